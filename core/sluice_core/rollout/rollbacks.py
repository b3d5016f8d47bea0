"""The version that served before, and the automatic rollback to it."""

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.api.v1alpha1.rolloutpolicy import OnAlarm
from sluice_core.kernel.snapshot import Revision
from sluice_core.render.pod import signatures
from sluice_core.rollout.attempts import Attempt
from sluice_core.situation.record import promoted_revision
from sluice_core.situation.situation import Blocked, Situation
from sluice_core.watch import report


def before(situation: Situation) -> str | None:
    """The revision that served before the stable one."""
    stable = situation.stable.name if situation.stable is not None else None
    for rollout in reversed(situation.snapshot.rollouts):
        if rollout.status.outcome is Outcome.PROMOTED and promoted_revision(rollout) == stable:
            return rollout.spec.source.revision if rollout.spec.source is not None else None
    return None


def number(situation: Situation, target: str) -> int:
    """The number of the next attempt to release it."""
    attempts = [r.spec.attempt for r in situation.snapshot.rollouts if r.spec.target.revision == target]
    return max(attempts, default=0) + 1


def unverified(situation: Situation, target: Revision) -> str:
    """Why the platform does not let a version serve again; empty if it does."""
    snapshot = situation.snapshot
    return signatures.pinned_problem(target.template, snapshot.deployment.metadata.namespace, snapshot.config)


def after_alarm(situation: Situation) -> Attempt | None:
    """A release of the version before, judged like any other, if the stable one has become worse and the policy says
    so.

    Once for each stable version: the judge would reject the same version again.
    """
    policy, stable, seen = situation.policy, situation.stable, situation.snapshot.deployment.status.watch
    if isinstance(policy, Blocked) or policy.watch is None or policy.watch.on_alarm is not OnAlarm.ROLL_BACK:
        return None
    if stable is None or seen is None or seen.alarm is None or seen.revision != stable.name:
        return None
    name = before(situation)
    target = situation.snapshot.revision(name) if name is not None else None
    if target is None or target.name == stable.name or _was_tried(situation, stable.name):
        return None
    if unverified(situation, target):
        return None
    alarm = report.words(seen.alarm, stable.name)
    return Attempt(target, number(situation, target.name), rollback=True, alarm=alarm)


def _was_tried(situation: Situation, stable: str) -> bool:
    rollouts = situation.snapshot.rollouts
    return any(each.spec.alarm and each.spec.source and each.spec.source.revision == stable for each in rollouts)
