"""Images that cannot be pulled: a container's, or the model's."""

import re
from collections.abc import Iterator
from typing import Final

from sluice_core.kernel import naming
from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import PodReason
from sluice_core.parsing.podproblems import podstate
from sluice_core.render.pod import podnames

NOT_PULLED: Final = {
    PodReason.ERR_IMAGE_PULL,
    PodReason.IMAGE_PULL_BACK_OFF,
    PodReason.ERR_IMAGE_NEVER_PULL,
    PodReason.INVALID_IMAGE_NAME,
}
_RUNNER: Final = "config.batchRunner.image (config.spark.image with engine Spark)"
CHART_VALUES: Final = {
    naming.BATCH_CONTAINER: _RUNNER,
    naming.SPARK_DRIVER_CONTAINER: "config.spark.image",
    naming.SPARK_EXECUTOR_CONTAINER: "config.spark.image",
    naming.OPTIMIZER_CONTAINER: "config.optimizer.image",
}
"""Where the images of Sluice's own containers are configured, by the container's name."""
_BACK_OFF: Final = re.compile(r'^Back-off pulling image "[^"]*"(: )?(ErrImagePull: )?')


def image_not_pulled(pod: Object, _now: float) -> Problem | None:
    for status in podstate.all_statuses(pod):
        waiting = podstate.state(status, "waiting")
        if waiting.get("reason") not in NOT_PULLED:
            continue
        reason = PodReason(waiting["reason"])
        if reason is PodReason.ERR_IMAGE_PULL:
            reason = PodReason.IMAGE_PULL_BACK_OFF
        detail = _BACK_OFF.sub("", waiting.get("message") or "")
        said = waiting.get("message") or ""
        model = next((found for found in _image_volumes(pod) if found[1] in said), None)
        if model is not None:
            field, image = model
            return Problem(
                reason,
                f"the model's image {image} cannot be pulled{podstate.because(detail)}; check {field}.uri, the registry, and "
                f"the Secret of {field}.credentialsSecretRef",
            )
        return Problem(
            reason,
            f"image {podstate.image(pod, status)} cannot be pulled{podstate.because(detail)}; {_image_remedy(reason, status)}",
        )
    return None


def _image_volumes(pod: Object) -> Iterator[tuple[str, str]]:
    """(the field that names it, the image)."""
    for volume in pod.get("spec", {}).get("volumes") or ():
        reference = (volume.get("image") or {}).get("reference")
        if reference:
            named = podnames.field_of(str(volume.get("name")), podnames.MODEL_VOLUME)
            yield named or podnames.MODEL_FIELD, reference


def _image_remedy(reason: PodReason, status: Object) -> str:
    name = str(status.get("name"))
    if podnames.field_of(name):
        return "check storageInitializer in the operator's configuration"
    if name in CHART_VALUES:
        value = CHART_VALUES[name]
        return f"check {value} of the chart, and the registry; serving-runtime/README.md says how to build it"
    if reason == PodReason.ERR_IMAGE_NEVER_PULL:
        return "load the image on the node, or change imagePullPolicy in the ServingRuntime"
    return "check its name in the ServingRuntime, the registry, and spec.imagePullSecrets"
