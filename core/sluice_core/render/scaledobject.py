"""The ScaledObject of a serving revision: KEDA makes a HorizontalPodAutoscaler of it, and takes its pods from and to 0.

The rules of `core.render.autoscaler` hold here, too: a release only says how few pods there may be.
"""

from dataclasses import dataclass
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import autoscaler, common

ANNOTATION_PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
"""KEDA keeps to this number and to nothing else."""
POLL_SECONDS: Final = 10
"""How often KEDA looks whether a model without pods is asked for."""
NEVER_MORE: Final = 1_000_000
"""Requests a second for each pod: a trigger that only tells that there are some asks for one pod."""


@dataclass(frozen=True, slots=True)
class Signal:
    """PromQL whose value, one number, is held; empty answers mean that nobody knows."""

    query: str
    shared: bool
    """Whether it is the sum over all pods, of which each has its part; otherwise a mean."""
    wakes: str = ""
    """PromQL above 0 while somebody asks for the model, with or without pods."""


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
        revision: whose pods are scaled.
        deployment: must have `spec.autoscaling` with a `value`.
        signal: what is held.
        prometheus_url: who answers.
        minimum: pods that it needs now; 0 where it may have none while nobody asks.
        pinned: whether it may have no more either.
        down: whether it must have none, as while a release without room for two versions replaces it.
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
            # Otherwise what nobody has asked for yet loses its first pod at once.
            "initialCooldownPeriod": settings.scale_down_after_seconds,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": autoscaler.behaviour(settings)}},
            "triggers": triggers,
        },
    }


def _trigger(prometheus_url: str, query: str, threshold: int, *, shared: bool) -> dict[str, Any]:
    """No answer is not 0: the number of pods then stays as it is."""
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
