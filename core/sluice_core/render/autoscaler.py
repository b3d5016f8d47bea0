"""The HorizontalPodAutoscaler of a serving revision. While it exists, it owns the Deployment's replicas.

A release only sets the minimum of pods; the load decides their number:

    at rest  minReplicas = spec.autoscaling.minimumReplicas        in a release  minReplicas = what the step needs
"""

from typing import Any, Final

from sluice_core.api.v1alpha1.autoscaling import Autoscaling, ScalingMetric
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common

RESOURCES: Final = {ScalingMetric.CPU: "cpu", ScalingMetric.MEMORY: "memory"}
"""Metrics of resource use, with the resource's name in Kubernetes."""
UTILIZATION_PERCENT: Final = 70
"""The default target utilization of resource requests."""


def desired_autoscaler(
    revision: Revision, deployment: ModelDeployment, *, minimum: int, pinned: bool = False
) -> dict[str, Any]:
    """The autoscaler of a revision's Deployment, with the same name.

    Args:
        revision: the one to scale.
        deployment: must have `spec.autoscaling`.
        minimum: pods that it needs now; fewer than `minimumReplicas` for a candidate with a small share.
        pinned: whether that is also the maximum, while devices are handed from one version to the other.
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
    """`spec.autoscaling`; ValueError without it."""
    if deployment.spec.autoscaling is None:
        raise ValueError(f"ModelDeployment {deployment.metadata.name}: spec.autoscaling is not set")
    return deployment.spec.autoscaling


def behaviour(settings: Autoscaling) -> dict[str, Any]:
    """How quickly pods are removed; they are added as quickly as Kubernetes allows."""
    return {"scaleDown": {"stabilizationWindowSeconds": settings.scale_down_after_seconds}}


def _metric(revision: Revision, settings: Autoscaling) -> dict[str, Any]:
    """The metric of the model server alone: a sidecar without requests would make the pod's mean unknown."""
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
