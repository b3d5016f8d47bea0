"""The decision: a snapshot and answers in, a plan out.

    1 interpret   what is asked for, what is stable, what is running          situation.py
    2 progress    end, move or begin a release; its new status                rollout/
    3 children    the objects that follow from it                             children.py
    4 report      the ModelDeployment's own status                            report.py

The order of the writes is the order of safety: the record of a release comes before the change of the world that it
explains, so that a crash between any two writes is completed by the next pass instead of being repeated.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from sluice.api.base import ApiModel
from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, TimelineEntry, Verdict
from sluice.core import children, differ, failure, report, timestamps
from sluice.core.analysis import judge
from sluice.core.analysis.model import Answers, Judgement, Question
from sluice.core.plan import Apply, Event, Plan, Write, status_write
from sluice.core.rollout import canary, lifecycle, trial
from sluice.core.rollout.gates import FUSE_SECONDS, Moment
from sluice.core.situation import Blocked, Situation, interpret
from sluice.core.snapshot import Revision, Snapshot

DISPENSABLE: Final = frozenset({"pods", "poddisruptionbudgets"})
"""Resources without which one can still decide: their absence is never read as "nothing runs"."""

FIRST_VERSION_LOOK_SECONDS: Final = 30.0
"""A first version that does not come up is looked at this often: some problems show by time alone."""

CALM: Final = frozenset(
    {
        "Promoted",
        "Superseded",
        "SupersededInBake",
        "Baking",
        "Paused",
        "Pause",
        "Resume",
        "Promote",
        "Retry",
        "BakingWithoutTraffic",
    }
)
"""What happens in a release that needs no warning; entered weights are calm as well."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The situation after this pass has moved its release."""

    situation: Situation
    statuses: tuple[tuple[ModelRollout, ModelRolloutStatus], ...] = ()
    """Releases whose status is to be written, in order."""
    begun: ModelRollout | None = None
    refusal: lifecycle.Refusal | Blocked | None = None
    """Why what is asked for is not being released."""
    judgement: Judgement | None = None
    news: tuple[TimelineEntry, ...] = ()
    again: bool = False
    """Another pass must follow at once."""


def questions(snapshot: Snapshot) -> tuple[Question, ...]:
    """What must be known to decide; empty at rest."""
    running = trial.running_trial(interpret(snapshot))
    return judge.questions(running) if running is not None else ()


def decide(snapshot: Snapshot, answers: Answers) -> Plan:
    """The plan for one ModelDeployment; empty when everything is as it should be."""
    unseen = [resource for resource in snapshot.forbidden if resource not in DISPENSABLE]
    if unseen:
        return failure.forbidden_plan(snapshot, unseen)
    situation = interpret(snapshot)
    running = trial.running_trial(situation)
    judgement = judge.judge(running, answers) if running is not None else None
    done = progress(situation, judgement)
    kids = children.desired(done.situation, created=done.begun is not None)
    writes = [*_release_writes(done), *kids.writes]
    events = [*_events(done), *kids.events]
    if done.begun is None:  # otherwise the next pass, which follows at once, has more to say
        status = report.status(done.situation, done.refusal, done.judgement, kids.shares)
        writes += _status_writes(snapshot.deployment, status)
        told = {event.reason for event in events}
        events += (event for event in report.events(snapshot.deployment.status, status) if event.reason not in told)
    return Plan(
        writes=tuple(writes),
        events=tuple(events),
        requeue_after=_requeue_after(done, kids, snapshot.now),
        because=_because(done),
    )


def progress(situation: Situation, judgement: Judgement | None) -> Progress:
    """Ends, moves or begins a release; at most one of these in a pass."""
    if isinstance(situation.requested, Blocked):
        return _moved(situation, judgement, refusal=situation.requested)
    ended = lifecycle.superseded(situation, judgement)
    if ended is not None and situation.active is not None:
        after = _with_status(situation, situation.active, ended)
        return Progress(
            after,
            statuses=((situation.active, ended),),
            judgement=judgement,
            news=tuple(ended.timeline[-1:]),
            again=True,
        )
    if situation.active is not None:
        return _moved(situation, judgement)
    attempt = lifecycle.next_attempt(situation)
    if isinstance(attempt, int):
        return _begun(situation, situation.requested, attempt)
    noted = lifecycle.after_the_end(situation)
    statuses = ((situation.latest, noted),) if noted is not None and situation.latest is not None else ()
    return Progress(situation, statuses=statuses, refusal=attempt)


def _begun(situation: Situation, requested: Revision, attempt: int) -> Progress:
    rollout = lifecycle.begin(situation, requested, attempt)
    if isinstance(rollout, Blocked):
        return Progress(situation, refusal=rollout)
    statuses: tuple[tuple[ModelRollout, ModelRolloutStatus], ...] = ()
    latest = situation.latest
    if latest is not None and (intent := lifecycle.pending_intent(latest)) is not None:
        statuses = ((latest, lifecycle.retried(latest, intent)),)
    return Progress(replace(situation, active=rollout), begun=rollout, statuses=statuses)


def _moved(situation: Situation, judgement: Judgement | None, refusal: Blocked | None = None) -> Progress:
    active = situation.active
    candidate = situation.candidate
    if active is None or candidate is None:
        return Progress(situation, refusal=refusal)
    snapshot = situation.snapshot
    moved = canary.move(
        Moment(
            now=snapshot.now,
            rollout=active,
            stable=situation.stable,
            candidate=candidate,
            route=snapshot.route,
            route_message=report.route_blocked(snapshot),
            replicas=snapshot.deployment.spec.replicas,
            judgement=judgement,
            intent=lifecycle.pending_intent(active),
        )
    )
    after = _with_status(situation, active, moved.rollout.status)
    if active.spec.source is None and moved.decision.reason == "CandidateNotReady" and not moved.news:
        return Progress(after, refusal=refusal)
    return Progress(
        after, statuses=((active, moved.rollout.status),), judgement=judgement, news=moved.news, refusal=refusal
    )


def _with_status(situation: Situation, rollout: ModelRollout, status: ModelRolloutStatus) -> Situation:
    """The situation as it will be once the status is written."""
    updated = rollout.model_copy(update={"status": status})
    rollouts = tuple(updated if r.metadata.name == rollout.metadata.name else r for r in situation.snapshot.rollouts)
    again = interpret(replace(situation.snapshot, rollouts=rollouts))
    return replace(again, requested=situation.requested)


def _release_writes(done: Progress) -> Iterator[Write]:
    situation = done.situation
    if done.begun is not None:
        target = situation.requested
        if isinstance(target, Revision):
            yield from children.revision_writes(situation, target)
        yield Apply(lifecycle.manifest(done.begun, situation))
    for rollout, status in done.statuses:
        yield from _status_writes(rollout, status)


def _status_writes(written: ModelRollout | ModelDeployment, status: ApiModel) -> Iterator[Write]:
    """The status, unless the object has it already."""
    if not differ.status_equal(status.to_wire(), written.status.to_wire()):
        yield status_write(written.kind, written.metadata.name, written.metadata.namespace, status)


def _events(done: Progress) -> Iterator[Event]:
    if done.begun is not None and done.begun.spec.source is not None:
        spec = done.begun.spec
        yield Event(
            "RolloutStarted",
            f"{spec.source.revision if spec.source else 'nothing'} -> {spec.target.revision} "
            f"({spec.target.uri}), attempt {spec.attempt}",
        )
    for entry in done.news:
        if entry.what != "MetricsUnavailable":  # its event comes with the condition, after blind_seconds
            calm = entry.what in CALM or entry.what.startswith("Weight")
            yield Event(entry.what, entry.why, warning=not calm)


def _requeue_after(done: Progress, kids: children.Children, now: float) -> float | None:
    waits = [kids.look_again_after] if kids.look_again_after is not None else []
    active = done.situation.active
    if done.again or done.begun is not None:
        waits.append(0.0)
    if active is not None and active.spec.source is None:
        waits.append(FIRST_VERSION_LOOK_SECONDS)
    elif active is not None:
        waits.append(done.judgement.next_look_seconds if done.judgement is not None else 5.0)
        waits.extend(after for after in _clock_waits(active.status, now) if after > 0)
    return min(waits) if waits else None


def _clock_waits(status: ModelRolloutStatus, now: float) -> Iterator[float]:
    for moment, extra in (
        (status.bake_end_time, 0.0),
        (status.deadline_time, 0.0),
        (status.unready_since, FUSE_SECONDS),
    ):
        if moment is not None:
            yield timestamps.seconds(moment) + extra - now


def _because(done: Progress) -> str:
    if done.begun is not None:
        return f"begin {done.begun.metadata.name}"
    if done.statuses:
        status = done.statuses[-1][1]
        return f"{status.verdict or Verdict.WAIT}: {status.reason}: {status.message}"
    return done.refusal.message if done.refusal is not None else ""
