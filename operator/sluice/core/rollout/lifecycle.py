"""Beginning, superseding and trying again: which release should be running at all."""

from dataclasses import dataclass
from typing import Any

from sluice.api.base import API_VERSION, ObjectMeta
from sluice.api.v1alpha1.modelrollout import (
    Action,
    Intent,
    ModelRollout,
    ModelRolloutSpec,
    ModelRolloutStatus,
    ObservedIntent,
    Outcome,
    ReleaseEnd,
    TimelineEntry,
)
from sluice.core import naming, timestamps
from sluice.core.analysis.model import Judgement
from sluice.core.desired import common
from sluice.core.rollout import canary
from sluice.core.situation import Blocked, Situation
from sluice.core.snapshot import Revision

FAILED = (Outcome.ROLLED_BACK, Outcome.ABORTED)


def pending_intent(rollout: ModelRollout) -> Intent | None:
    """A person's wish that has not been handled."""
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is None or (observed is not None and observed.request_time == intent.request_time):
        return None
    return intent


def superseded(situation: Situation, judgement: Judgement | None) -> ModelRolloutStatus | None:
    """The end of the running release when the user asks for something else in the middle of it.

    In the bake a version without evidence against it becomes stable first (E_bake < 1/√α); going back to the old
    version is immediate either way, since it is still warm.
    """
    active, requested = situation.active, situation.requested
    if active is None or isinstance(requested, Blocked) or requested.name == active.spec.target.revision:
        return None
    old = active.spec.source
    now = timestamps.rfc3339(situation.snapshot.now)
    going_back = old is None or requested.name == old.revision
    if active.status.weight >= 100 and not going_back and _bake_is_clean(judgement):
        outcome, reason = Outcome.PROMOTED, "SupersededInBake"
        why = f"{requested.name} was asked for in the bake, with no evidence against {active.spec.target.revision}"
    else:
        outcome, reason = Outcome.SUPERSEDED, "Superseded"
        why = f"{requested.name} was asked for instead"
    entry = TimelineEntry(time=now, what=reason, why=why)
    return active.status.model_copy(
        update={
            "outcome": outcome,
            "reason": reason,
            "message": why,
            "end_time": now,
            "weight": 100 if outcome is Outcome.PROMOTED else 0,
            "requests_needed": None,
            "estimated_completion_time": None,
            "timeline": [*active.status.timeline, entry][-canary.TIMELINE_LIMIT :],
        }
    )


def _bake_is_clean(judgement: Judgement | None) -> bool:
    return judgement is not None and judgement.bake_log < judgement.rollback_threshold_log / 2


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no release begins although another version is asked for than serves."""

    reason: str
    message: str


def next_attempt(situation: Situation) -> int | Refusal | None:
    """The number of the attempt that should begin now; None when nothing is to be released.

    A version that failed is not tried again until the user asks for another one in between, or says retry.
    """
    requested, latest = situation.requested, situation.latest
    if isinstance(requested, Blocked) or situation.active is not None:
        return None
    if situation.stable is not None and requested.name == situation.stable.name:
        return None
    attempts = [r.spec.attempt for r in situation.snapshot.rollouts if r.spec.target.revision == requested.name]
    following = max(attempts, default=0) + 1
    if latest is None or latest.spec.target.input_hash != requested.input_hash:
        return following
    if latest.status.outcome not in FAILED or latest.status.withdrawn:
        return following
    intent = pending_intent(latest)
    if intent is not None and intent.action is Action.RETRY:
        return following
    return Refusal(
        str(latest.status.outcome),
        f"{requested.name} was not released ({latest.status.reason}: "
        f"{latest.status.message}); change spec.model, or try again with: kubectl sluice retry "
        f"{situation.snapshot.name}",
    )


def begin(situation: Situation, requested: Revision, attempt: int) -> ModelRollout | Blocked:
    """The ModelRollout of a new attempt, with the rules as they are now."""
    policy = situation.policy
    if isinstance(policy, Blocked):
        return policy
    snapshot = situation.snapshot
    wishes = snapshot.deployment.spec.rollout
    ends: dict[str, Any] = {"from": _end(situation.stable) if situation.stable else None, "to": _end(requested)}
    spec = ModelRolloutSpec(
        **ends,
        model_deployment=snapshot.name,
        sequence=max((r.spec.sequence for r in snapshot.rollouts), default=0) + 1,
        attempt=attempt,
        strategy=wishes.strategy,
        policy=situation.policy_name,
        base_replicas=snapshot.deployment.spec.replicas,
        steps=wishes.canary.steps if wishes.canary is not None else policy.steps,
        objectives=wishes.objectives if wishes.objectives is not None else policy.objectives,
        false_rollback_probability=policy.false_rollback_probability,
        false_advance_probability=policy.false_advance_probability,
        scrape_interval_seconds=policy.scrape_interval_seconds,
        blind_seconds=policy.blind_seconds,
        idle_seconds=policy.idle_seconds,
        progress_deadline_seconds=wishes.progress_deadline_seconds or policy.progress_deadline_seconds,
        on_deadline=wishes.on_deadline or policy.on_deadline,
        bake_seconds=policy.bake_seconds if wishes.bake_seconds is None else wishes.bake_seconds,
        initial_dispersion=policy.initial_dispersion,
    )
    name = naming.rollout_name(requested.name, attempt)
    return ModelRollout(metadata=ObjectMeta(name=name, namespace=snapshot.namespace), spec=spec)


def manifest(rollout: ModelRollout, situation: Situation) -> dict[str, Any]:
    """The object that creates a release."""
    return {
        "apiVersion": API_VERSION,
        "kind": ModelRollout.kind,
        "metadata": common.child_metadata(
            situation.snapshot.deployment, rollout.metadata.name, revision=rollout.spec.target.revision
        ),
        "spec": rollout.spec.to_wire(),
    }


def after_the_end(situation: Situation) -> ModelRolloutStatus | None:
    """What the newest, ended release still has to note: a wish that was handled, or that its version was withdrawn."""
    latest = situation.latest
    if latest is None or situation.active is not None:
        return None
    update: dict[str, object] = {}
    intent = pending_intent(latest)
    if intent is not None:
        update["observed_intent"] = ObservedIntent(
            request_time=intent.request_time, result=f"ignored: the rollout has ended ({latest.status.outcome})"
        )
    requested = situation.requested
    failed = latest.status.outcome in FAILED and not latest.status.withdrawn
    if failed and isinstance(requested, Revision) and requested == situation.stable:
        update["withdrawn"] = True
    return latest.status.model_copy(update=update) if update else None


def retried(rollout: ModelRollout, intent: Intent) -> ModelRolloutStatus:
    """The old attempt's status once its retry has begun."""
    return rollout.status.model_copy(
        update={"observed_intent": ObservedIntent(request_time=intent.request_time, result="a new attempt has begun")}
    )


def _end(revision: Revision) -> ReleaseEnd:
    return ReleaseEnd(
        revision=revision.name, input_hash=revision.input_hash, uri=revision.uri, model_version=revision.model_version
    )
