"""A winner's promotion: from here on it is a release like any other, with a single step: the bake."""

from sluice_core.api.v1alpha1.modelrollout import ArmStatus, StepRecord
from sluice_core.rollout import steps
from sluice_core.rollout.abtest.comparison import Comparison
from sluice_judge import timestamps


def promoted(winner: ArmStatus, seen: Comparison) -> dict[str, object]:
    """The changes in the test's status."""
    permille = seen.rules.shares[winner.revision]
    now = timestamps.rfc3339(seen.now)
    return {
        "winner": winner.revision,
        "state": winner.state,
        "objectives": winner.objectives,
        "ready_time": winner.ready_time,
        "load_seconds": winner.load_seconds,
        "deadline_time": timestamps.rfc3339(seen.now + seen.rollout.spec.progress_deadline_seconds),
        "steps": [StepRecord(permille=permille, start_time=seen.rollout.status.start_time or now)],
        **steps.exposed(permille),
    }
