"""The ModelDeployment's own status: what serves, what is being released, and what is in the way."""

from collections.abc import Iterator, Mapping

from sluice.api.v1alpha1.common import Condition, ConditionStatus
from sluice.api.v1alpha1.modeldeployment import LastRollout, ModelDeploymentStatus, RevisionStatus, RolloutSummary
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.api.v1alpha1.variants import VariantState
from sluice.core.decide import facts, routes
from sluice.core.judge.model import Judgement
from sluice.core.kernel import conditions
from sluice.core.kernel.conditions import CONDITIONS, Polarity
from sluice.core.kernel.plan import Event
from sluice.core.kernel.reasons import BY_RELEASE, QUIET, Reason
from sluice.core.kernel.snapshot import Revision
from sluice.core.rollout import steps
from sluice.core.rollout.capacity.model import Capacity
from sluice.core.rollout.lifecycle import Attempt, Refusal
from sluice.core.situation import variants
from sluice.core.situation.situation import Blocked, Situation


def status(
    situation: Situation,
    outlook: Attempt | Refusal | Blocked | None,
    judgement: Judgement | None,
    needs: Capacity,
    shares: Mapping[str, int],
) -> ModelDeploymentStatus:
    """The whole status; equal to the stored one when nothing changed.

    Args:
        situation: after this pass has moved the release.
        outlook: the release that begins next, or why what is asked for is not being released.
        judgement: of the running release.
        needs: the pods that each side should have, and why some are not created.
        shares: permille by revision, as the route has them after this pass.
    """
    snapshot = situation.snapshot
    observed = snapshot.deployment.status
    generation = snapshot.deployment.metadata.generation
    return ModelDeploymentStatus(
        observed_generation=generation,
        url=routes.url(snapshot),
        stable=_revision_status(situation.stable, shares) if situation.stable else None,
        candidate=_revision_status(situation.candidate, shares) if situation.candidate else None,
        arms=[_revision_status(arm, shares) for arm in situation.candidates] if situation.candidate is None else [],
        variants=variants.statuses(snapshot),
        rollout=_summary(situation.active),
        last_rollouts=[_last(r) for r in reversed(snapshot.rollouts) if r.status.outcome is not None][:5],
        conditions=conditions.summarise(
            facts.facts(situation, outlook, judgement, needs),
            observed=observed.conditions,
            generation=generation,
            now=snapshot.now,
        ),
    )


def events(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    """One event for every reason that a condition has turned bad for, with the remedy; and for variants that are made."""
    yield from _variant_events(before, after)
    known = {condition.reason for condition in before.conditions if _is_bad(condition)}
    for condition in after.conditions:
        reason = Reason.of(condition.reason)
        if _is_bad(condition) and reason not in known and not reason.marks & (QUIET | BY_RELEASE):
            known.add(reason)
            yield Event(reason, f"{condition.type}: {condition.message}")


def _variant_events(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    states = {(variant.name, variant.uri): variant.state for variant in before.variants}
    for variant in after.variants:
        if states.get((variant.name, variant.uri), VariantState.PENDING) is variant.state:
            continue
        if variant.state is VariantState.READY:
            yield Event(Reason.VARIANT_READY, f"{variant.name}: {variants.words(variant)}")
        elif variant.state is VariantState.FAILED and not any(
            c.reason == Reason.VARIANT_FAILED for c in after.conditions
        ):
            yield Event(Reason.VARIANT_FAILED, f"{variant.name}: {variant.message}")


def _is_bad(condition: Condition) -> bool:
    polarity = next((d.polarity for d in CONDITIONS if d.type == condition.type), None)
    if polarity is None:  # of another version of the operator, or somebody else's
        return False
    bad = ConditionStatus.FALSE if polarity is Polarity.NORMAL_TRUE else ConditionStatus.TRUE
    return condition.status is bad


def _revision_status(revision: Revision, shares: Mapping[str, int]) -> RevisionStatus:
    return RevisionStatus(
        revision=revision.name,
        model_version=revision.model_version,
        weight=steps.rounded_percent(shares.get(revision.name, 0)),
        ready_replicas=revision.ready_replicas,
        replicas=revision.replicas,
    )


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
