"""Settings of a server beside batching: instances, threads, TensorRT; and how they reach the server.

Each is a field of `spec.runtime`, with a template of the same name in the ServingRuntime: variables of the first
container, or none if the downloader's layout writes it into a configuration. Without a template it is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from sluice_core.api.v1alpha1.servingruntime import EnvTemplate, ServingRuntime, ServingRuntimeSpec
from sluice_core.api.v1alpha1.workload import RuntimeSpec
from sluice_core.render.pod import placeholders

DOWNLOADER: Final = (
    # (variable of the layouts, placeholder with its value)
    ("SLUICE_INSTANCES", "instances"),
    ("SLUICE_THREADS", "threads"),
    ("SLUICE_TENSORRT_PRECISION", "tensorRT.precision"),
    ("SLUICE_TENSORRT_WORKSPACE_MEBIBYTES", "tensorRT.maximumWorkspaceMebibytes"),
)


class TuningNotSupported(ValueError):
    """A ModelDeployment uses a setting that its runtime has no template for."""

    def __init__(self, field: str, runtime: str) -> None:
        super().__init__(
            f"spec.runtime.{field}: ServingRuntime {runtime!r} does not say how to pass this to its server; remove "
            f"the field, or add spec.{field} to the runtime"
        )


def require_supported(spec: ModelDeploymentSpec, runtime: ServingRuntime) -> None:
    """Raises `TuningNotSupported` for the first field without a template."""
    for field, _ in _wanted(spec):
        if _template(runtime.spec, field) is None:
            raise TuningNotSupported(field, runtime.metadata.name)


def downloader_env(spec: ModelDeploymentSpec) -> list[dict[str, str]]:
    """Variables for layouts that write it into a configuration."""
    known = {name: text for _, values in _wanted(spec) for name, text in values.items()}
    return [{"name": variable, "value": known[key]} for variable, key in DOWNLOADER if key in known]


def server_env(spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> list[dict[str, Any]]:
    """Variables of the model server, from the runtime's templates. Raises `placeholders.UnknownPlaceholder`."""
    found: list[dict[str, Any]] = []
    for field, values in _wanted(spec):
        template = _template(runtime, field)
        if template is not None:
            found += placeholders.filled(template.env, values, f"spec.{field}.env")
    return found


def _wanted(spec: ModelDeploymentSpec) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(field, its placeholders with their values), for each field that is set."""
    wanted = spec.runtime or RuntimeSpec()
    if wanted.instances is not None:
        yield "instances", {"instances": str(wanted.instances)}
    if wanted.threads is not None:
        yield "threads", {"threads": str(wanted.threads)}
    if wanted.tensor_rt is not None:
        yield (
            "tensorRT",
            {
                "tensorRT.precision": wanted.tensor_rt.precision.value,
                "tensorRT.maximumWorkspaceMebibytes": str(wanted.tensor_rt.maximum_workspace_mebibytes),
            },
        )


def _template(runtime: ServingRuntimeSpec, field: str) -> EnvTemplate | None:
    templates = {"instances": runtime.instances, "threads": runtime.threads, "tensorRT": runtime.tensor_rt}
    return templates.get(field)
