"""Looks that only found increased counters: they are written once a minute.

looks    o────o────o────o────o────o────o────o────o────o────o────o────o     each continues from the last write,
written  o                                                           o     and reads later samples again

What an unwritten look has counted is still in Prometheus, and evidence is keyed by the samples' times, so the result is
the same. A decision, a proof or a problem is written at once.
"""

import re
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ArmStatus, ModelRolloutStatus
from sluice_core.rollout.moment import Decision, Release
from sluice_judge.schema.verdict import ObjectiveStatus

_COUNTED: Final = re.compile(r"\(about [^)]*\)|[0-9][0-9.,]*")
"""The parts of a message that change with the counters."""


def written(
    release: Release, before: ModelRolloutStatus, after: ModelRolloutStatus, decision: Decision
) -> ModelRolloutStatus:
    """The status after a reconcile, or the one before it if the reconcile has only counted."""
    if not release.counts_only:
        return after
    counted = decision.counts
    return before if _without_counts(before, counted=counted) == _without_counts(after, counted=counted) else after


def _without_counts(status: ModelRolloutStatus, *, counted: bool) -> ModelRolloutStatus:
    """The status without figures. counted: whether its message contains some."""
    records = [step.model_copy(update={"candidate_requests": 0, "stable_requests": 0}) for step in status.steps]
    return status.model_copy(
        update={
            "state": None,
            "baseline_state": None,
            "message": _words(status.message) if counted else status.message,
            "requests_needed": None,
            "estimated_completion_time": None,
            "plan": [],
            "steps": records,
            "objectives": list(map(_objective, status.objectives)),
            "arms": list(map(_arm, status.arms)),
        }
    )


def _arm(arm: ArmStatus) -> ArmStatus:
    return arm.model_copy(
        update={
            "state": None,
            "ratio": None,
            "ratio_low": None,
            "ratio_high": None,
            "objectives": list(map(_objective, arm.objectives)),
        }
    )


def _objective(objective: ObjectiveStatus) -> ObjectiveStatus:
    return ObjectiveStatus(
        name=objective.name,
        required=objective.required,
        boundary_millis=objective.boundary_millis,
        proven=objective.proven,
        message=_words(objective.message),
    )


def _words(message: str) -> str:
    return _COUNTED.sub("#", message)
