"""The Job that asks one version for its answers to a labelled data set."""

from typing import Any

from sluice.api.config import OperatorConfig
from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.core import naming
from sluice.core.desired import common
from sluice.core.rollout import validation
from sluice.core.rollout.validation import Scoring


def desired_job(
    active: ModelRollout, scoring: Scoring, deployment: ModelDeployment, config: OperatorConfig
) -> dict[str, Any]:
    """Its pods have no label of a revision, and that of the model with an addition: nobody sends them requests."""
    rules = active.spec.validation
    assert rules is not None
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": common.child_metadata(deployment, scoring.job, scoring.revision.name),
        "spec": {
            "completionMode": "Indexed",
            "completions": scoring.score.shards,
            "parallelism": scoring.score.shards,
            "activeDeadlineSeconds": rules.deadline_seconds,
            "template": {
                "metadata": {"labels": naming.aside_labels(deployment.metadata.name, validation.ASIDE)},
            },
        },
    }
