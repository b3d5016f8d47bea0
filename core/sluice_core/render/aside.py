"""A pod of the platform's beside a model, which no selector of the model matches."""

from typing import Any

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming
from sluice_core.render import common


def desired_aside(
    deployment: ModelDeployment,
    name: str,
    role: str,
    *,
    container: dict[str, Any],
    volumes: list[dict[str, Any]],
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Its Deployment, a child of the model.

    Args:
        deployment: the model.
        name: the Deployment's.
        role: what it does (`naming.OBSERVER`, `naming.RESOLVER`). It is also the component's label on the pod, for those
            who select the pods of all models, such as NetworkPolicies.
        container: its only container.
        volumes: the pod's.
        annotations: the pod's.
    """
    labels = naming.aside_labels(deployment.metadata.name, role)
    secrets = [ref.to_wire() for ref in deployment.spec.image_pull_secrets or ()]
    metadata = {"labels": {**labels, "app.kubernetes.io/component": role}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": common.child_metadata(deployment, name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {**metadata, "annotations": annotations} if annotations else metadata,
                "spec": {
                    **common.pod_fields(),
                    "containers": [container],
                    "volumes": volumes,
                    **({"imagePullSecrets": secrets} if secrets else {}),
                },
            },
        },
    }
