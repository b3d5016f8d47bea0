"""Beginning, superseding, retrying and rolling back: which release should be running at all.

The new release itself is in `beginning.py`.
"""

from typing import Final

from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.intent import Action, Intent, ObservedIntent
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome, TimelineEntry
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import freeze, intents, rollbacks, steps, timeline
from sluice_core.rollout.attempts import Attempt, Refusal
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.freeze import Frozen
from sluice_core.situation.record import promoted_revision
from sluice_core.situation.situation import Blocked, Situation, UnreadablePolicy, testing
from sluice_judge import timestamps
from sluice_judge.judgement import Judgement
from sluice_judge.schema.policy import Stepping

FAILED: Final = (Outcome.ROLLED_BACK, Outcome.ABORTED)
RECENT_SECONDS: Final = 7 * 86_400.0
"""A version that served within this time is rolled back to without analysis."""


def superseded(situation: Situation, judgement: Judgement | None) -> ModelRolloutStatus | None:
    """The end of the running release when the user requests another version in the middle of it.

    In the bake a version becomes stable first if the bake has seen enough of it, and next to nothing against it
    (`Judgement.passes_on`); otherwise the old version stays the stable one. Without objectives nothing is ever seen,
    and a first version has none before it. A rollback to the old version is immediate either way, since it is still
    warm.
    """
    active, requested = situation.active, situation.requested
    if active is None or isinstance(requested, Blocked):
        return None
    again = _renders_differently(situation, active, requested)
    if requested.input_hash == intents.asked_for(active) and not _other_arms(situation, active) and not again:
        return None
    old, new = active.spec.source, promoted_revision(active)
    if requested.name == new and not testing(active):  # the spec now names what a person, or a test, has chosen
        return None
    going_back = old is None or requested.name == old.revision
    if active.status.permille >= steps.WHOLE and not going_back and _may_stay(situation, active, judgement):
        outcome, reason = Outcome.PROMOTED, Reason.SUPERSEDED_IN_BAKE
        why = f"{requested.name} was requested during the bake, which had seen enough of {new} and nothing against it"
    else:
        outcome, reason = Outcome.SUPERSEDED, Reason.SUPERSEDED
        why = f"{requested.name} was requested instead"
        if active.status.permille >= steps.WHOLE and old is not None and not going_back:
            why += f"; the bake had not shown yet that {new} is good, so {old.revision} stays the stable version"
        if again:
            why = f"{new} was never ready; {requested.name} is the same by today's ServingRuntime and configuration"
    closed = _closed(situation, active, outcome, reason, why)
    intent = intents.pending(active)
    if intent is None:
        return closed
    what = "the release has ended" if intent.action in (Action.ABORT, Action.ROLL_BACK) else "ignored"
    return _answered(closed, intent, f"{what}: {why}", situation.snapshot.now)


def _answered(status: ModelRolloutStatus, intent: Intent, result: str, now: float) -> ModelRolloutStatus:
    """The status with the result of an intent that a newer request has superseded, so that it does not stay pending."""
    entry = TimelineEntry(
        time=timestamps.rfc3339(now), actor=intent.requested_by, what=Reason(intent.action), why=result
    )
    return status.model_copy(
        update={
            "observed_intent": ObservedIntent(request_time=intent.request_time, result=result),
            "timeline": timeline.noted(status.timeline, [entry]),
        }
    )


def _closed(
    situation: Situation, active: ModelRollout, outcome: Outcome, reason: Reason, why: str
) -> ModelRolloutStatus:
    now = timestamps.rfc3339(situation.snapshot.now)
    entry = TimelineEntry(time=now, what=reason, why=why)
    return active.status.model_copy(
        update={
            **steps.over(active.status, outcome, now),
            "reason": reason,
            "message": why,
            "timeline": timeline.noted(active.status.timeline, [entry]),
        }
    )


def _renders_differently(situation: Situation, active: ModelRollout, requested: Revision) -> bool:
    """Whether a first version that was never ready would be rendered differently now."""
    name = active.spec.target.revision
    same = requested.input_hash == intents.asked_for(active) and requested.name != name
    first = active.spec.source is None and situation.stable is None
    return same and first and situation.snapshot.revision(name) is not None


def _other_arms(situation: Situation, active: ModelRollout) -> bool:
    """Whether the running A/B test differs from the spec's."""
    rules = active.spec.ab_test
    if rules is None or active.status.winner is not None:
        return False
    asked = {arm.name for arm in situation.arms if isinstance(arm, Revision)}
    return asked != {arm.end.revision for arm in rules.arms}


def _may_stay(situation: Situation, active: ModelRollout, judgement: Judgement | None) -> bool:
    """Whether a version in its bake can take all requests, and has been seen to answer them well.

    One that is released without analysis was stable within days, and a person has rolled back to it.
    """
    candidate = situation.candidate
    needed = shares.pods_for(steps.WHOLE, shares.whole(situation))
    if candidate is None or candidate.ready_endpoints < needed:
        return False
    if not active.spec.analysed:
        return True
    return judgement is not None and judgement.passes_on


def revision_lost(situation: Situation) -> ModelRolloutStatus | None:
    """The end of a release that has lost one of its versions; the requested version then begins anew.

    Without the stable one nothing can be compared. While it may answer, a person decides (`stable_lost`); once it
    cannot, its users wait for the first version that can.
    """
    active = situation.active
    if active is None or testing(active):
        return None
    name, source = promoted_revision(active), active.spec.source
    if situation.snapshot.revision(name) is None:
        why = f"the ControllerRevision {name} is gone, and so is the version that is being released"
        return _closed(situation, active, Outcome.SUPERSEDED, Reason.REVISION_LOST, why)
    if source is not None and situation.stable is None and not situation.lost:
        why = f"the ControllerRevision {source.revision} of the stable version is gone, and so are its pods"
        return _closed(situation, active, Outcome.SUPERSEDED, Reason.STABLE_VERSION_LOST, why)
    return None


def next_attempt(situation: Situation) -> Attempt | Refusal | None:
    """The release that should begin now; None if there is none.

    A failed version is not retried until the user requests another one in between, or a retry. A version that a person
    rolled back to, or that won a test, stays until the user requests a new one, or this one in between.
    """
    latest = situation.latest
    if situation.active is not None:
        return None
    back = rollback(situation) or rollbacks.after_alarm(situation)
    if back is not None:
        return back
    requested = situation.requested
    if isinstance(requested, Blocked):
        return None
    if situation.lost and requested.name != situation.lost:
        return Refusal(Reason.STABLE_VERSION_LOST, lost_stable(situation))
    if situation.stable is not None and requested.name == situation.stable.name:
        return _test(situation, requested)
    following = Attempt(requested, rollbacks.number(situation, requested.name))
    if latest is None or situation.latest_is_old or intents.asked_for(latest) != requested.input_hash:
        return _unless_frozen(situation, following)
    if latest.status.outcome is Outcome.PROMOTED and not latest.status.withdrawn:
        lost = situation.stable is None and requested.name == promoted_revision(latest)
        return following if lost else _diverted(situation, latest, requested)  # lost: it is pinned again, as the first
    if latest.status.outcome not in FAILED or latest.status.withdrawn:
        return _unless_frozen(situation, following)
    intent = intents.pending(latest)
    if intent is not None and intent.action is Action.RETRY:
        again = Attempt(requested, following.number, start_step=_failed_step(latest))
        return _unless_frozen(situation, again)
    return Refusal(
        Reason(latest.status.outcome),
        f"{requested.name} was not released ({latest.status.reason}: "
        f"{latest.status.message}); change spec.model, or retry with: {commands.for_release(latest, 'retry')}",
    )


def lost_stable(situation: Situation) -> str:
    """Why no ControllerRevision pins the stable version any more, and what to do."""
    lost = situation.lost
    return (
        f"the ControllerRevision {lost} of the stable version is gone, and what it pinned may still answer: nothing can "
        f"be compared with it. Restore it from a backup, or set spec.model back to {_uri(situation, lost)}, which pins "
        f"it again; if nobody needs that version, delete its Deployment {lost}: the version that spec.model names is "
        "then the first one"
    )


def rollback(situation: Situation) -> Attempt | None:
    """The rollback that a person requested; None if there is none, or its version is unknown (see `after_the_end`)."""
    latest = situation.latest
    intent = intents.pending(latest) if latest is not None else None
    if latest is None or situation.active is not None or intent is None or intent.action is not Action.ROLL_BACK:
        return None
    if intents.is_overtaken(situation, latest):
        return None
    name = intent.to_revision or rollbacks.before(situation)
    target = situation.snapshot.revision(name) if name is not None else None
    if target is None or situation.stable is None or target.name == situation.stable.name:
        return None
    if rollbacks.unverified(situation, target):
        return None
    return Attempt(
        target, rollbacks.number(situation, target.name), rollback=True, analysed=not _recent(situation, target.name)
    )


def leaves_for_older(situation: Situation) -> bool:
    """Whether a person requests, in the middle of a release, a version older than the stable one."""
    active = situation.active
    intent = intents.pending(active) if active is not None else None
    if active is None or intent is None or intent.action is not Action.ROLL_BACK or active.spec.source is None:
        return False
    return (
        not intents.is_overtaken(situation, active)
        and intent.to_revision not in (None, active.spec.source.revision)
        and (situation.snapshot.revision(intent.to_revision or "") is not None)
    )


def left_for_older(situation: Situation, active: ModelRollout) -> ModelRolloutStatus:
    """The end of a release for an older version; the intent stays pending for the rollback that follows."""
    intent = intents.pending(active)
    by = f"{intent.requested_by} asked to go back to {intent.to_revision}" if intent is not None else ""
    return _closed(situation, active, Outcome.ABORTED, Reason.ABORTED, by)


def _recent(situation: Situation, revision: str) -> bool:
    """Whether it was stable within `RECENT_SECONDS`."""
    ends = [
        rollout.status.end_time
        for rollout in situation.snapshot.rollouts
        if rollout.status.outcome is Outcome.PROMOTED
        and rollout.spec.source is not None
        and rollout.spec.source.revision == revision
    ]
    return any(end and situation.snapshot.now - timestamps.seconds(end) < RECENT_SECONDS for end in ends)


def _unless_frozen(situation: Situation, attempt: Attempt) -> Attempt | Refusal | None:
    closed = frozen(situation)
    if closed is None or situation.stable is None:
        return attempt
    if isinstance(closed, Blocked):
        return Refusal(closed.reason, closed.message)
    return Refusal(Reason.FROZEN, closed.message, until=closed.until)


def frozen(situation: Situation) -> Frozen | Blocked | None:
    """The open freeze window; `Blocked` while unknown, because the policy cannot be read."""
    if isinstance(situation.policy, Blocked):
        return situation.policy if isinstance(situation.policy, UnreadablePolicy) else None
    try:
        return freeze.frozen(situation.policy.freeze_windows, situation.snapshot.now)
    except freeze.InvalidWindow as error:
        return Blocked(Reason.POLICY_INVALID, str(error))


def _diverted(situation: Situation, latest: ModelRollout, requested: Revision) -> Refusal:
    """A person or a test decided to serve another version than the spec names."""
    serving = promoted_revision(latest)
    if situation.stable is None:
        return Refusal(
            Reason.STABLE_VERSION_LOST,
            f"the ControllerRevision {serving} of the stable version is gone; restore it from a backup, or change "
            "spec.model to a version that is known to be good",
        )
    if latest.status.winner is not None:
        return Refusal(
            Reason.WINNER_PROMOTED,
            f"{serving} won the A/B test and serves; set spec.model to {_uri(situation, serving)}",
        )
    if latest.spec.alarm:
        return Refusal(
            Reason.ROLLED_BACK_BY_WATCH,
            f"{serving} serves because {latest.spec.source.revision if latest.spec.source else 'what served'} had become "
            f"worse ({latest.spec.alarm}); spec.model still names {sources.shown(requested.uri)}: set it to "
            f"{_uri(situation, serving)}, or change it to a version that is better",
        )
    return Refusal(
        Reason.ROLLED_BACK_BY_PERSON,
        f"{serving} serves because a person went back to it; spec.model still names {sources.shown(requested.uri)}: "
        f"set it to {_uri(situation, serving)}, or change it to a version that is better",
    )


def _uri(situation: Situation, name: str) -> str:
    """The model of a revision, which may only be known from its releases."""
    ends = (end for rollout in situation.snapshot.rollouts for end in rollout.spec.ends)
    known = (each.uri for each in ends if each.revision == name)
    revision = situation.snapshot.revision(name)
    return sources.shown(revision.uri if revision is not None else next(known, f"the model of {name}"))


def _failed_step(latest: ModelRollout) -> int:
    """The spec's step in which an attempt failed; a lead step counts as the one after it. The first one, if shares are
    chosen by what is at risk."""
    if latest.spec.stepping is Stepping.AUTO:
        return 1
    index = latest.status.step
    every = steps.steps(latest)
    if latest.status.lead_permille is not None and any(step.permille > 0 for step in every[: index - 1]):
        index -= 1
    return max(1, min(index, len(latest.spec.steps)))


def _test(situation: Situation, control: Revision) -> Attempt | Refusal | None:
    """The A/B test in the spec, unless it was run already."""
    arms = tuple(arm for arm in situation.arms if isinstance(arm, Revision))
    if not arms or any(arm == situation.stable for arm in arms):
        return None
    names = {arm.name for arm in arms}
    made = [
        rollout
        for rollout in situation.snapshot.rollouts
        if rollout.spec.ab_test is not None
        and _arms_of(rollout) == names
        and rollout.status.outcome is not Outcome.SUPERSEDED
    ]
    last = made[-1] if made else None
    if last is not None and intents.asked_for(last) == control.input_hash:
        intent = intents.pending(last)
        if not (last == situation.latest and intent is not None and intent.action is Action.RETRY):
            return None
    return _unless_frozen(situation, Attempt(control, rollbacks.number(situation, control.name), arms=arms))


def _arms_of(rollout: ModelRollout) -> set[str]:
    return {arm.end.revision for arm in rollout.spec.ab_test.arms} if rollout.spec.ab_test is not None else set()


def after_the_end(situation: Situation) -> ModelRolloutStatus | None:
    """What the newest, ended release still has to record: a handled intent, or that its version was withdrawn."""
    latest = situation.latest
    if latest is None or situation.active is not None:
        return None
    update: dict[str, object] = {}
    intent = intents.pending(latest)
    if intent is not None and (intent.action is not Action.RETRY or frozen(situation) is None):
        update["observed_intent"] = ObservedIntent(
            request_time=intent.request_time, result=_answer(situation, latest, intent)
        )
    requested = situation.requested
    kept_back = (latest.status.outcome in FAILED or intents.is_diverted(latest)) and not latest.status.withdrawn
    if kept_back and isinstance(requested, Revision) and requested == situation.stable:
        update["withdrawn"] = True
    return latest.status.model_copy(update=update) if update else None


def _answer(situation: Situation, latest: ModelRollout, intent: Intent) -> str:
    """Why an intent on an ended release does nothing."""
    requested, target = situation.requested, latest.spec.target
    if intent.action is Action.RETRY and latest.status.outcome in FAILED and requested == situation.stable:
        forth = commands.for_release(latest, "rollback", "--to", target.revision)
        how = forth if latest.spec.rollback else f"set spec.model to {sources.shown(target.uri)}"
        return f"ignored: what spec.model asks for serves; to release {target.revision} again: {how}"[:512]
    if intent.action is not Action.ROLL_BACK:
        return f"ignored: the rollout has ended ({latest.status.outcome})"
    if intents.is_overtaken(situation, latest):
        return "ignored: another version was requested later"
    name = intent.to_revision or rollbacks.before(situation)
    if situation.stable is not None and name == situation.stable.name:
        return f"ignored: {name} serves already"
    back = situation.snapshot.revision(name) if name is not None else None
    if back is not None and (said := rollbacks.unverified(situation, back)):
        return f"refused: {back.name}: {said}"[:512]
    known = ", ".join(r.name for r in situation.snapshot.revisions if r != situation.stable) or "none"
    return f"refused: there is no revision {name or 'before this one'}; known: {known}"[:512]


def followed(rollout: ModelRollout, intent: Intent, attempt: Attempt, now: float) -> ModelRolloutStatus:
    """The old attempt's status once another one has begun, requested by a person or not."""
    if intent.action is not Action.RETRY and not attempt.rollback:
        return _answered(rollout.status, intent, f"ignored: {attempt.target.name} was requested instead", now)
    return rollout.status.model_copy(
        update={"observed_intent": ObservedIntent(request_time=intent.request_time, result="a new attempt has begun")}
    )
