"""The ScaledObject of a serving revision: KEDA creates a HorizontalPodAutoscaler for it, and scales its pods from and
to 0.

As in `core.render.autoscaler`, a release only sets the minimum of pods.
"""

from dataclasses import dataclass
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import autoscaler, common

ANNOTATION_PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
"""KEDA keeps exactly this number."""
POLL_SECONDS: Final = 10
"""Interval at which KEDA checks whether a model without pods is requested."""
NEVER_MORE: Final = 1_000_000
"""Requests a second for each pod: a trigger that only says that there are some requests one pod."""


@dataclass(frozen=True, slots=True)
class Signal:
    """PromQL whose value, one number, is held; an empty answer means unknown."""

    query: str
    shared: bool
    """Whether it is the sum over all pods, each with its share; otherwise a mean."""
    wakes: str = ""
    """PromQL above 0 while the model is requested, with or without pods."""


def desired_scaled_object(
    revision: Revision,
    deployment: ModelDeployment,
    signal: Signal,
    *,
    prometheus_url: str,
    minimum: int,
    pinned: bool = False,
    down: bool = False,
) -> dict[str, Any]:
    """The ScaledObject of a revision's Deployment, with the same name.

    Args:
        revision: the one to scale.
        deployment: must have `spec.autoscaling` with a `value`.
        signal: the load to hold.
        prometheus_url: the server that answers.
        minimum: pods that it needs now; 0 if it may have none without requests.
        pinned: whether that is also the maximum.
        down: whether it must have none, while a release without room for two versions replaces it.
    """
    settings = autoscaler.settings_of(deployment)
    least = min(minimum, settings.maximum_replicas)
    most = max(1, least) if pinned else settings.maximum_replicas
    metadata = common.child_metadata(deployment, revision.name, revision.name)
    if down:
        metadata["annotations"] = {ANNOTATION_PAUSED: "0"}
    triggers = [_trigger(prometheus_url, signal.query, settings.target.value or 1, shared=signal.shared)]
    if signal.wakes and settings.minimum_replicas == 0:
        triggers.append(_trigger(prometheus_url, signal.wakes, NEVER_MORE, shared=True))
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision.name},
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "pollingInterval": POLL_SECONDS,
            "cooldownPeriod": settings.scale_down_after_seconds,
            # Otherwise a model without requests yet loses its first pod at once.
            "initialCooldownPeriod": settings.scale_down_after_seconds,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": autoscaler.behaviour(settings)}},
            "triggers": triggers,
        },
    }


def _trigger(prometheus_url: str, query: str, threshold: int, *, shared: bool) -> dict[str, Any]:
    """No answer is not 0: the number of pods then stays unchanged."""
    return {
        "type": "prometheus",
        "metricType": "AverageValue" if shared else "Value",
        "metadata": {
            "serverAddress": prometheus_url,
            "query": query,
            "threshold": str(threshold),
            "ignoreNullValues": "false",
        },
    }
