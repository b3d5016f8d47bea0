"""Releases of one model, and their audit trails."""

from typing import NamedTuple

from kubectl_sluice.views.releases.arms import ab_test_view
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.views import words


class HistoryLine(NamedTuple):
    """One release in one line."""

    name: str
    way: str
    """How it was released: the strategy, `first version` or `rollback`."""
    uri: str
    version: str
    outcome: str
    """How it ended; `running` while it has not."""
    reason: str
    message: str
    start_time: str
    duration_seconds: float
    """Until its end, or until now."""
    age_seconds: float
    """Since its end, or since its start while it runs."""
    candidate_requests: int
    """Requests that the candidate answered, or the arms of a test."""


class AuditEntry(NamedTuple):
    """One entry of a release's audit trail."""

    time: str
    actor: str
    what: str
    why: str


def history_line(rollout: ModelRollout, *, now: float) -> HistoryLine:
    """The line of one release at `now`, seconds since the epoch."""
    status, test = rollout.status, ab_test_view(rollout)
    start = status.start_time or rollout.metadata.creation_timestamp
    end = words.seconds_of(status.end_time) if status.end_time else now
    return HistoryLine(
        name=rollout.metadata.name,
        way=way_of(rollout),
        uri=rollout.spec.target.uri,
        version=rollout.spec.target.model_version or "",
        outcome=str(status.outcome) if status.outcome is not None else "running",
        reason=status.reason,
        message=status.message,
        start_time=start,
        duration_seconds=max(end - words.seconds_of(start), 0.0),
        age_seconds=max(now - (end if status.end_time else words.seconds_of(start)), 0.0),
        candidate_requests=sum(arm.requests for arm in test.arms)
        if test is not None
        else sum(step.candidate_requests for step in status.steps),
    )


def way_of(rollout: ModelRollout) -> str:
    """The strategy of its release, or the reason for having none."""
    if rollout.spec.source is None:
        return "first version"
    return "rollback" if rollout.spec.rollback else str(rollout.spec.strategy)


def timeline(rollout: ModelRollout) -> tuple[AuditEntry, ...]:
    """The audit trail of one release, oldest first."""
    return tuple(AuditEntry(e.time, e.actor, e.what, e.why) for e in rollout.status.timeline)
