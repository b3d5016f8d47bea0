"""LoRA adapters: how a server learns of those beside its model.

spec.model.adapters ──an init container each (core.render.downloader)──> /adapters/NAME
                    ──spec.adapters of the ServingRuntime──> arguments of the server
"""

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime, ServingRuntimeSpec
from sluice_core.kernel import naming
from sluice_core.render import common
from sluice_core.render.pod import placeholders


class AdaptersNotSupported(ValueError):
    """A ModelDeployment has adapters that its server cannot serve; the message begins with the field."""


def require_supported(deployment: ModelDeployment, runtime: ServingRuntime) -> None:
    """Raises `AdaptersNotSupported`."""
    names, taken = [each.name for each in deployment.spec.model.adapters], common.served_name(deployment)
    if names and runtime.spec.adapters is None:
        raise AdaptersNotSupported(
            f"spec.model.adapters: ServingRuntime {runtime.metadata.name!r} does not say how its server loads adapters; "
            "remove the field, use another runtime, or add spec.adapters to this one"
        )
    if taken in names:
        raise AdaptersNotSupported(
            f"spec.model.adapters: {taken!r} is the name of the model; requests could not tell them apart; rename the adapter"
        )


def server_args(deployment: ModelDeployment, runtime: ServingRuntimeSpec) -> list[str]:
    """Arguments of the model server, from the runtime's template. Raises `placeholders.UnknownPlaceholder`."""
    template, wanted = runtime.adapters, deployment.spec.model.adapters
    if template is None or not wanted:
        return []
    found = placeholders.filled(template.args, {"adapters.count": str(len(wanted))}, "spec.adapters.args")
    for each in wanted:
        values = {"adapter.name": each.name, "adapter.path": f"{naming.ADAPTERS_PATH}/{each.name}"}
        found += placeholders.filled(template.each, values, "spec.adapters.each")
    return [str(argument) for argument in found]
