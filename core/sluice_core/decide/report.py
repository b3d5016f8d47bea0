"""The ModelDeployment's own status: what serves, what is being released, and what blocks it."""

from collections.abc import Iterator, Mapping

from sluice_core.api.base import ObjectMeta
from sluice_core.api.v1alpha1.modeldeployment import (
    LastRollout,
    ModelDeployment,
    ModelDeploymentStatus,
    RevisionStatus,
    RolloutSummary,
)
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.variants import VariantState
from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.decide import facts, routes
from sluice_core.kernel import conditions
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.news import happening, is_recent, spell
from sluice_core.kernel.plan import Event
from sluice_core.kernel.reasons import BY_RELEASE, QUIET, Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import steps
from sluice_core.rollout.attempts import Attempt, Refusal
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.situation import following, variants
from sluice_core.situation.situation import Blocked, Situation
from sluice_judge import timestamps
from sluice_judge.judgement import Judgement


def status(
    situation: Situation,
    outlook: Attempt | Refusal | Blocked | None,
    judgement: Judgement | None,
    needs: Capacity,
    shares: Mapping[str, int],
) -> ModelDeploymentStatus:
    """The whole status; equal to the stored one when nothing changed.

    Args:
        situation: after this reconcile has moved the release.
        outlook: the release that begins next, or why the requested version is not being released.
        judgement: the running release's.
        needs: the pods that each side should have, and why some are not created.
        shares: permille by revision, as the route has them after this reconcile.
    """
    snapshot = situation.snapshot
    observed = snapshot.deployment.status
    generation = snapshot.deployment.metadata.generation
    return ModelDeploymentStatus(
        observed_generation=generation,
        url=routes.url(snapshot),
        stable=_stable_status(situation, shares),
        candidate=_revision_status(situation.candidate, shares, observed) if situation.candidate else None,
        arms=[_revision_status(arm, shares, observed) for arm in situation.candidates]
        if situation.candidate is None
        else [],
        variants=variants.statuses(snapshot),
        rollout=_summary(situation.active),
        resolved=following.recorded(snapshot),
        watch=observed.watch,
        last_rollouts=[_last(r) for r in reversed(snapshot.rollouts) if r.status.outcome is not None][:5],
        conditions=conditions.summarise(
            facts.facts(situation, outlook, judgement, needs),
            observed=observed.conditions,
            generation=generation,
            now=snapshot.now,
        ),
    )


def events(
    model: ObjectMeta, before: ModelDeploymentStatus, after: ModelDeploymentStatus, now: float
) -> Iterator[Event]:
    """Events for every reason that turned a condition bad, with the remedy; for created variants; and for alarms of the
    watch that are over.

    A condition that turned bad within the last minutes is listed again, under the same name.
    """
    record = (ModelDeployment.kind, model.name)
    yield from _variant_events(model, before, after, now)
    yield from _over(model, before, after, now)
    known = {condition.reason for condition in before.conditions if conditions.is_bad(condition)}
    listed: set[str] = set()
    for condition in after.conditions:
        reason, turned = Reason.of(condition.reason), timestamps.seconds(condition.last_transition_time)
        if not conditions.is_bad(condition) or reason in listed or reason.marks & (QUIET | BY_RELEASE):
            continue
        if is_recent(turned, now) or reason not in known:
            listed.add(reason)
            time = turned if is_recent(turned, now) else now
            message = f"{condition.type}: {condition.message}"
            yield Event(reason, message, happening(model.uid, reason, spell(time)), time, record)


def _variant_events(
    model: ObjectMeta, before: ModelDeploymentStatus, after: ModelDeploymentStatus, now: float
) -> Iterator[Event]:
    states = {(variant.name, variant.uri): variant.state for variant in before.variants}
    failed = Reason.VARIANT_FAILED
    for variant in after.variants:
        if states.get((variant.name, variant.uri), VariantState.PENDING) is variant.state:
            continue
        if variant.state is VariantState.READY:
            yield _variant_event(model, Reason.VARIANT_READY, f"{variant.name}: {variants.words(variant)}", now)
        elif variant.state is VariantState.FAILED and not any(c.reason == failed for c in after.conditions):
            yield _variant_event(model, failed, f"{variant.name}: {variant.message}", now)


def _over(
    model: ObjectMeta, before: ModelDeploymentStatus, after: ModelDeploymentStatus, now: float
) -> Iterator[Event]:
    """Events for the watch's alarms that are over."""
    healthy = next(
        (each.message for each in after.conditions if each.type == Type.HEALTHY), "nothing is watched any more"
    )
    record = (ModelDeployment.kind, model.name)
    alarm = before.watch.alarm if before.watch is not None else None
    if alarm is not None and (after.watch is None or after.watch.alarm is None):
        reason, message = Reason.NO_LONGER_WORSE, f"{alarm.objective}: what began at {alarm.since} is over; {healthy}"
        yield Event(
            reason, message, happening(model.uid, reason, alarm.objective, alarm.since, alarm.noticed), now, record
        )
    noticed, still = _inputs_moved(before), _inputs_moved(after)
    if noticed and not still:
        reason, message = Reason.INPUTS_AS_EXPECTED, f"what was noticed at {noticed} is over; {healthy}"
        yield Event(reason, message, happening(model.uid, reason, noticed), now, record)


def _inputs_moved(status: ModelDeploymentStatus) -> str:
    """When a change of the inputs was noticed; empty: none was."""
    drift = status.watch.drift if status.watch is not None else None
    return (drift.noticed or "") if drift is not None else ""


def _variant_event(model: ObjectMeta, reason: Reason, message: str, now: float) -> Event:
    id_ = happening(model.uid, reason, message, timestamps.rfc3339(now))
    return Event(reason, message, id_, now, (ModelDeployment.kind, model.name))


def _stable_status(situation: Situation, shares: Mapping[str, int]) -> RevisionStatus | None:
    """The stable version's status; if no ControllerRevision pins it any more, its name, which may be the last record of
    it.
    """
    if situation.stable is not None:
        return _revision_status(situation.stable, shares, situation.snapshot.deployment.status)
    share = steps.rounded_percent(shares.get(situation.lost, 0))
    return RevisionStatus(revision=situation.lost, weight=share) if situation.lost else None


def _revision_status(revision: Revision, shares: Mapping[str, int], before: ModelDeploymentStatus) -> RevisionStatus:
    return RevisionStatus(
        revision=revision.name,
        model_version=revision.model_version,
        weight=steps.rounded_percent(shares.get(revision.name, 0)),
        ready_replicas=revision.ready_replicas,
        replicas=revision.replicas,
        verification=signed(revision, before),
    )


def signed(revision: Revision, before: ModelDeploymentStatus) -> VerificationStatus | None:
    """The signer of a revision, as its oldest pod reports it; without pods, as last known."""
    reported = next((pod.verification for pod in revision.pods if pod.verification is not None), None)
    known = (each for each in (before.stable, before.candidate, *before.arms) if each is not None)
    return reported or next((each.verification for each in known if each.revision == revision.name), None)


def _summary(active: ModelRollout | None) -> RolloutSummary | None:
    if active is None:
        return None
    status = active.status
    return RolloutSummary(
        name=active.metadata.name,
        strategy=active.spec.strategy,
        verdict=str(status.verdict or ""),
        reason=status.reason,
        message=status.message,
        step=status.step,
        steps=len(steps.steps(active)),
        requests_needed=status.requests_needed,
        estimated_completion_time=status.estimated_completion_time,
    )


def _last(rollout: ModelRollout) -> LastRollout:
    return LastRollout(
        name=rollout.metadata.name,
        outcome=str(rollout.status.outcome),
        reason=rollout.status.reason,
        end_time=rollout.status.end_time,
    )
