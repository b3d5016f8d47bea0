"""The decision: from a prepared snapshot and findings to a plan.

    1 prepare     what is requested, stable, running; what must be asked      prepare.py
    2 progress    end, move or begin a release; its new status                rollout/
    3 children    the objects that follow from it                             children.py
    4 report      the ModelDeployment's own status                            report.py

The order of the writes is the order of safety: the record of a release comes before the change of the world that it
explains, so that a crash between any two writes is completed by the next reconcile instead of being repeated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice_core.decide import children, failure, news, notify, outliving, passing, report, routes, standing
from sluice_core.decide.news import News
from sluice_core.decide.prepare import Findings, Prepared
from sluice_core.kernel import conditions, differ
from sluice_core.kernel.news import happening
from sluice_core.kernel.plan import Apply, Delete, Event, Notice, Plan, Write, status_write
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import baseline, beginning, clocks, intents, lifecycle, patience, stepping, validation
from sluice_core.rollout.abtest import abtest
from sluice_core.rollout.abtest.comparison import Comparison
from sluice_core.rollout.attempts import Attempt, Refusal
from sluice_core.rollout.capacity import capacity, pods, shares
from sluice_core.rollout.freeze import Frozen
from sluice_core.rollout.moment import Effect, Moment
from sluice_core.rollout.routing import address, paths
from sluice_core.situation import reporting
from sluice_core.situation.situation import Blocked, Situation, testing
from sluice_core.watch import report as watch_report
from sluice_judge.schema.verdict import Verdict

DISPENSABLE: Final = frozenset({"pods", "poddisruptionbudgets", "jobs", "batchinferences", "namespaces"})
"""Resources that a decision can do without: their absence is never read as "nothing runs"."""

UNJUDGED_LOOK_SECONDS: Final = 5.0
"""Interval between reconciles of a release in which nothing is compared yet."""
FIRST_VERSION_LOOK_SECONDS: Final = 30.0
"""Interval between reconciles of a first version that does not come up: some problems show only with time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The situation after this reconcile has moved its release."""

    situation: Situation
    statuses: tuple[tuple[ModelRollout, ModelRolloutStatus], ...] = ()
    """Releases whose status is to be written, in order."""
    begun: ModelRollout | None = None
    refusal: Refusal | Blocked | None = None
    """Why the requested version is not being released."""
    attempt: Attempt | None = None
    """The attempt that `begun` releases."""
    until: float | None = None
    """When the freeze window that holds it ends, in seconds since the epoch."""
    plan: str = ""
    """What the steps are expected to need, in words, once that becomes known."""
    again: bool = False
    """Whether another reconcile must follow at once."""


def decide(prepared: Prepared, findings: Findings) -> Plan:
    """The plan for one ModelDeployment; empty when everything is as it should be."""
    snapshot = prepared.situation.snapshot
    situation = _watched(prepared, findings)
    unseen = [resource for resource in snapshot.forbidden if resource not in DISPENSABLE]
    if unseen:
        return failure.forbidden_plan(snapshot, unseen)
    done = progress(situation, findings)
    needs = capacity.plan(done.situation, findings.devices)
    needs = baseline.with_pods(done.situation, needs, findings.devices)
    kids = (
        children.untouched(done.situation)
        if _hands_over(done)
        else children.desired(done.situation, needs, created=done.begun is not None)
    )
    marked = (*_release_writes(done), *outliving.mark_writes(done.situation))
    gone = {(write.ref.kind, write.ref.name) for write in kids.writes if isinstance(write, Delete)}
    owned = (each for each in outliving.owner_writes(done.situation) if (each.ref.kind, each.ref.name) not in gone)
    writes = [*marked, *kids.writes, *owned]
    announced = [News(event, None) for event in outliving.events(situation)]
    announced += (*_release_news(done), *(News(event, _subject(done)) for event in kids.events))
    if not done.again:  # otherwise the next reconcile, which follows at once, knows more
        outlook: Attempt | Refusal | Blocked | None = done.refusal
        if outlook is None and situation.active is not None:  # otherwise `progress` has asked already
            outlook = lifecycle.next_attempt(done.situation)
        status = report.status(done.situation, outlook, findings.seen, needs, kids.shares)
        model = snapshot.deployment
        if status.resolved != model.status.resolved:
            done = replace(done, again=True)
        lasts = passing.of_model(done.situation, status)
        writes += differ.status_writes(model.kind, model.metadata, model.status, status, after_seconds=lasts)
        turned = report.events(model.metadata, model.status, status, snapshot.now)
        announced += (News(event, _subject(done)) for event in turned if not news.is_in_timeline(event, done.situation))
    return Plan(
        writes=tuple(writes),
        rollback=kids.serving if _only_rolls_back(done, address.observed_shares(situation), kids.shares) else None,
        begins=done.begun is not None,
        events=tuple(each.event for each in announced),
        notices=_notices(situation, announced),
        requeue_after=_requeue_after(done, findings, kids, snapshot.now),
        because=_because(done),
    )


def _hands_over(done: Progress) -> bool:
    """Whether a release without room for two versions has just ended and another one begins: the serving version stays
    until then.

    Otherwise the stable version, which has no pods, would be started.
    """
    latest = done.situation.latest
    if not done.again or done.situation.active is not None or latest is None:
        return False
    return latest.spec.capacity is CapacityMode.RECREATE and isinstance(lifecycle.next_attempt(done.situation), Attempt)


def _watched(prepared: Prepared, findings: Findings) -> Situation:
    """The situation with the current findings of its watch."""
    situation, deployment = prepared.situation, prepared.situation.snapshot.deployment
    before = deployment.status.watch
    said = watch_report.status(prepared.watched, findings.watch, before)
    if said is before:
        return situation
    status = deployment.status.model_copy(update={"watch": said})
    updated = replace(situation.snapshot, deployment=deployment.model_copy(update={"status": status}))
    return replace(situation, snapshot=updated)


def _notices(situation: Situation, announced: Sequence[News]) -> tuple[Notice, ...]:
    if isinstance(situation.policy, Blocked):
        return ()
    return notify.notices(situation.policy.notifications, situation.snapshot.deployment, announced)


def _subject(done: Progress) -> ModelRollout | None:
    """The release that this reconcile's events are about."""
    return done.begun or done.situation.active or (done.situation.latest if done.statuses else None)


def progress(situation: Situation, findings: Findings) -> Progress:
    """Ends, moves or begins a release; at most one of these in a reconcile."""
    active = situation.active
    if active is not None and lifecycle.leaves_for_older(situation):
        return _ended(situation, active, lifecycle.left_for_older(situation, active))
    if isinstance(situation.requested, Blocked):
        return _moved(situation, findings, refusal=situation.requested)
    ended = lifecycle.superseded(situation, findings.judgement) or lifecycle.revision_lost(situation)
    if ended is not None and active is not None:
        return _ended(situation, active, ended)
    if active is not None:
        return _moved(situation, findings)
    attempt = lifecycle.next_attempt(situation)
    if isinstance(attempt, Attempt):
        return _begun(situation, attempt)
    noted = lifecycle.after_the_end(situation)
    statuses = ((situation.latest, noted),) if noted is not None and situation.latest is not None else ()
    until = attempt.until if attempt is not None else None
    return Progress(situation, statuses=statuses, refusal=attempt, until=until)


def _ended(situation: Situation, active: ModelRollout, status: ModelRolloutStatus) -> Progress:
    return Progress(
        _with_status(situation, active, status),
        statuses=((active, status),),
        again=True,
    )


def _begun(situation: Situation, attempt: Attempt) -> Progress:
    rollout = beginning.begin(situation, attempt)
    if isinstance(rollout, Blocked):
        return Progress(situation, refusal=rollout)
    statuses: tuple[tuple[ModelRollout, ModelRolloutStatus], ...] = ()
    latest = situation.latest
    if latest is not None and (intent := intents.pending(latest)) is not None:
        statuses = ((latest, lifecycle.followed(latest, intent, attempt, situation.snapshot.now)),)
    return Progress(replace(situation, active=rollout), begun=rollout, attempt=attempt, statuses=statuses, again=True)


def _moved(situation: Situation, findings: Findings, refusal: Blocked | None = None) -> Progress:
    active, candidate = situation.active, situation.candidate
    if active is not None and testing(active):
        return _compared(situation, active, findings, refusal)
    if active is None or candidate is None:
        return Progress(situation, refusal=refusal)
    planned = _planned(active, findings)
    situation = _with_status(situation, active, planned.status)
    snapshot = situation.snapshot
    closed = _frozen(situation)
    moved = stepping.move(
        Moment(
            now=snapshot.now,
            rollout=planned,
            stable=situation.stable,
            candidate=candidate,
            route=snapshot.route,
            route_message=routes.blocked(snapshot) or pods.crowded(situation),
            paths=paths.wanted(situation, snapshot.route.weights) if snapshot.route is not None else None,
            replicas=shares.whole(situation),
            capacity=baseline.with_pods(situation, capacity.plan(situation, findings.devices), findings.devices),
            frozen=closed,
            judgement=findings.judgement,
            control=findings.control,
            intent=intents.pending(active),
            loads=patience.observed_loads(snapshot.rollouts),
            by_service=snapshot.by_service,
            validation=validation.find(situation),
        )
    )
    after = _with_status(situation, active, moved.rollout.status)
    plan = findings.forecast.message if findings.forecast is not None and planned != active else ""
    if active.spec.source is None and moved.decision.effect is Effect.AWAITS_PODS and not moved.news:
        return Progress(after, refusal=refusal)
    return Progress(
        after,
        statuses=((active, moved.rollout.status),),
        plan=plan,
        until=moved.decision.until,
        refusal=refusal,
        again=moved.decision.step is not None,
    )


def _compared(situation: Situation, active: ModelRollout, findings: Findings, refusal: Blocked | None) -> Progress:
    """One reconcile over an A/B test."""
    snapshot, rules = situation.snapshot, active.spec.ab_test
    assert rules is not None
    closed = _frozen(situation)
    moved = abtest.move(
        Comparison(
            now=snapshot.now,
            rollout=active,
            rules=rules,
            stable=situation.stable,
            revisions={revision.name: revision for revision in situation.candidates},
            route=snapshot.route,
            route_message=routes.blocked(snapshot),
            replicas=shares.whole(situation),
            waits_for=capacity.plan(situation, findings.devices).wait,
            frozen=closed,
            judgements=findings.arms,
            intent=intents.pending(active),
            loads=patience.observed_loads(snapshot.rollouts),
        )
    )
    return Progress(
        _with_status(situation, active, moved.rollout.status),
        statuses=((active, moved.rollout.status),),
        until=moved.decision.until,
        refusal=refusal,
        again=moved.rollout.status.winner is not None,
    )


def _planned(active: ModelRollout, findings: Findings) -> ModelRollout:
    if findings.forecast is None or findings.forecast.rate <= 0:
        return active
    return active.model_copy(update={"status": stepping.planned(active.status, findings.forecast)})


def _frozen(situation: Situation) -> Frozen | None:
    """The freeze window that holds a running release. Windows that cannot be read may be open, so they hold it."""
    closed = lifecycle.frozen(situation)
    if not isinstance(closed, Blocked):
        return closed
    held = "nothing moves forward meanwhile, as in a freeze window; a roll-back is always allowed"
    return Frozen(situation.policy_name, f"{closed.message}; {held}", until=None, reason=closed.reason)


def _with_status(situation: Situation, rollout: ModelRollout, status: ModelRolloutStatus) -> Situation:
    """The situation after the status is written."""
    return situation.updated(rollout.model_copy(update={"status": status}))


def _release_writes(done: Progress) -> Iterator[Write]:
    situation = done.situation
    if done.begun is not None and done.attempt is not None:
        for revision in (done.attempt.target, *done.attempt.arms, *baseline.pinned(situation, done.begun)):
            yield from children.revision_writes(situation, revision)
        yield Apply(beginning.manifest(done.begun, situation))
    moved = {rollout.metadata.name for rollout, _ in done.statuses}
    restored = {rollout.metadata.name: rollout for rollout in situation.restored}
    changed = {r.metadata.name: r for r in standing.unseen(situation.snapshot.rollouts)}
    reported = {rollout.metadata.name: rollout for rollout in reporting.told(situation.snapshot)}
    for name, rollout in (changed | restored | reported).items():
        if name not in moved:
            yield _status_write(situation, rollout, rollout.status)
    for rollout, status in done.statuses:
        if situation.refused:  # whether it is accepted decides whether a version may get more requests
            yield _status_write(situation, rollout, status)
        else:
            after = standing.stated(rollout, status, situation.snapshot.now)
            lasts = passing.of_release(rollout, after)
            yield from differ.status_writes(rollout.kind, rollout.metadata, rollout.status, after, after_seconds=lasts)


def _status_write(situation: Situation, rollout: ModelRollout, status: ModelRolloutStatus) -> Write:
    after = standing.stated(rollout, status, situation.snapshot.now)
    return status_write(rollout.kind, rollout.metadata.name, rollout.metadata.namespace, after)


def _only_rolls_back(done: Progress, before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    """Whether this reconcile's changes of the routes would be safe without its record: no version but the one that the
    release came from gets more requests, and no step begins, which may mean copies or a preview."""
    for rollout, status in done.statuses:
        source = rollout.spec.source
        begins = status.step != rollout.status.step or len(status.steps) > len(rollout.status.steps)
        ends = status.outcome not in (None, Outcome.PROMOTED)
        if source is None or status.outcome is Outcome.PROMOTED or (begins and not ends):
            return False
        if any(permille > before.get(name, 0) for name, permille in after.items() if name != source.revision):
            return False
    return bool(done.statuses)


def _release_news(done: Progress) -> Iterator[News]:
    snapshot, active = done.situation.snapshot, done.situation.active
    yield from news.of_releases(done.situation)
    if done.begun is not None:
        yield from news.begun(done.begun, snapshot.deployment.metadata, snapshot.now)
    if done.plan and active is not None:
        reason, record = Reason.ROLLOUT_PLANNED, (active.kind, active.metadata.name)
        message = conditions.shortened(done.plan, conditions.MESSAGE_LIMIT)
        yield News(Event(reason, message, happening(active.metadata.uid, reason), snapshot.now, record), active)


def _requeue_after(done: Progress, findings: Findings, kids: children.Children, now: float) -> float | None:
    waits = [kids.look_again_after] if kids.look_again_after is not None else []
    active = done.situation.active
    if done.again:
        waits.append(0.0)
    if active is not None and active.spec.source is None:
        waits.append(FIRST_VERSION_LOOK_SECONDS)
    elif active is not None:
        waits.append(min((j.next_look_seconds for j in findings.judgements), default=UNJUDGED_LOOK_SECONDS))
        after = done.situation
        patient = patience.waits(active, after.candidates, after.stable, after.snapshot.rollouts, now)
        waits.extend(end for end in (*clocks.waits(active.status, now), *patient) if end > 0)
    if done.until is not None:
        waits.append(max(1.0, done.until - now))
    return min(waits) if waits else None


def _because(done: Progress) -> str:
    if done.begun is not None:
        return f"begin {done.begun.metadata.name}"
    if done.statuses:
        status = done.statuses[-1][1]
        return f"{status.verdict or Verdict.WAIT}: {status.reason}: {status.message}"
    return done.refusal.message if done.refusal is not None else ""
