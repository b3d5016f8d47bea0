"""The HorizontalPodAutoscaler of a serving revision. While there is one, a Deployment's replicas are not ours.

A release only says how few pods there may be; how many there are is a matter of load:

    at rest  minReplicas = spec.autoscaling.minimumReplicas        in a release  minReplicas = what the step needs
"""

from typing import Any, Final

from sluice_core.api.v1alpha1.autoscaling import Autoscaling, ScalingMetric
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common

RESOURCES: Final = {ScalingMetric.CPU: "cpu", ScalingMetric.MEMORY: "memory"}
"""Metrics of the use of a resource, with its name in Kubernetes."""
UTILIZATION_PERCENT: Final = 70
"""The target utilization of resource requests where the user names none."""


def desired_autoscaler(
    revision: Revision, deployment: ModelDeployment, *, minimum: int, pinned: bool = False
) -> dict[str, Any]:
    """The autoscaler of a revision's Deployment, with the same name.

    Args:
        revision: whose pods are scaled.
        deployment: must have `spec.autoscaling`.
        minimum: pods that it needs now; fewer than `minimumReplicas` for a candidate with a small share.
        pinned: whether it may have no more either, as while devices are handed from one version to the other.
    """
    settings = settings_of(deployment)
    least = max(1, min(minimum, settings.maximum_replicas))  # a Deployment with 0 replicas is not scaled at all
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": common.child_metadata(deployment, revision.name, revision.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision.name},
            "minReplicas": least,
            "maxReplicas": least if pinned else settings.maximum_replicas,
            "metrics": [_metric(revision, settings)],
            "behavior": behaviour(settings),
        },
    }


def settings_of(deployment: ModelDeployment) -> Autoscaling:
    """`spec.autoscaling`; ValueError where there is none."""
    if deployment.spec.autoscaling is None:
        raise ValueError(f"ModelDeployment {deployment.metadata.name}: spec.autoscaling is not set")
    return deployment.spec.autoscaling


def behaviour(settings: Autoscaling) -> dict[str, Any]:
    """How quickly pods go; they come as quickly as Kubernetes lets them."""
    return {"scaleDown": {"stabilizationWindowSeconds": settings.scale_down_after_seconds}}


def _metric(revision: Revision, settings: Autoscaling) -> dict[str, Any]:
    """The model server's use alone: a sidecar without requests would make the mean of the pod unknown."""
    return {
        "type": "ContainerResource",
        "containerResource": {
            "name": RESOURCES[settings.target.metric],
            "container": revision.template["spec"]["containers"][0]["name"],
            "target": {
                "type": "Utilization",
                "averageUtilization": settings.target.utilization_percent or UTILIZATION_PERCENT,
            },
        },
    }
