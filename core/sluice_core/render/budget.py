"""The PodDisruptionBudget: a node drain takes one pod of the model at a time."""

from typing import Any

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming
from sluice_core.render import common


def desired_budget(deployment: ModelDeployment) -> dict[str, Any]:
    """One budget for the pods of all revisions: a pod with two budgets cannot be evicted at all.

    It is created with the second pod: a node drain may always take the only one. `maxUnavailable` rather than
    `minAvailable`, so that a single replica does not block a node drain. Pods that are not ready may always go: a
    candidate that never becomes ready must not hold a node.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": common.child_metadata(deployment, deployment.metadata.name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {naming.LABEL_OWNER: deployment.metadata.name}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
