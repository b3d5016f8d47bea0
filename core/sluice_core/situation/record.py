"""The stable version, according to the newest of the remaining records.

    ModelRollout 1   to A           promoted ───────────────────────────┐ stable since 1: A
    ModelRollout 2   from A, to B   promoted ──────────────┐            │ before 2: A
       └── ControllerRevision B   sluice.dev/stable-since: "2"          │ stable since 2: B
    ModelRollout 3   from B, to C   running                             │ before 3: B

A promotion is one write, of the ModelRollout's status; the rest follows from it. But a ModelRollout may be deleted by
hand, and a backup may have no statuses: the other records then replace it.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing import endpoints
from sluice_judge import timestamps

UNPROMOTED: Final = (Outcome.ROLLED_BACK, Outcome.ABORTED, Outcome.INCONCLUSIVE)
"""Outcomes that a ModelRollout is annotated with: no other object shows them."""


def promoted_revision(rollout: ModelRollout) -> str:
    """The revision that is stable once the rollout is promoted."""
    return rollout.status.winner or rollout.spec.target.revision


def stable(snapshot: Snapshot) -> tuple[str, int] | None:
    """(name, sequence) of the stable revision and of the release that made it stable, 0 if unknown.

    Its ControllerRevision may be gone: then nothing else is stable, since earlier versions have no pods. The mark is
    gone with it; so the status or the route decides if it names such a version that still gets users' requests.
    """
    newest = sorted(_records(snapshot), key=lambda record: record[0])[-1:]
    unrecorded = _reported(snapshot) or _routed_unpinned(snapshot)
    for position, name in newest:
        # If the recorded one is lost as well, the route cannot know better.
        pinned = snapshot.revision(name) is not None
        if unrecorded is not None and pinned and answers_unpinned(snapshot, unrecorded):
            name = max(name, unrecorded, key=lambda each: _routed(snapshot, each))
        return name, position // 2
    unrecorded = unrecorded or _running_unrecorded(snapshot)
    return None if unrecorded is None else (unrecorded, 0)


def answers_unpinned(snapshot: Snapshot, name: str) -> bool:
    """Whether a version has lost its ControllerRevision, but its pods still exist or may come back."""
    if snapshot.revision(name) is not None:
        return False
    return ("Deployment", name) in snapshot.objects or bool(endpoints.ready(snapshot.objects.values(), name))


def last_sequence(snapshot: Snapshot) -> int:
    """The sequence of the newest release in any record; 0 before the first one."""
    noted = (revision.stable_since or 0 for revision in snapshot.revisions)
    return max((*noted, *(rollout.spec.sequence for rollout in snapshot.rollouts)), default=0)


def restored(snapshot: Snapshot) -> tuple[ModelRollout, ...]:
    """The rollouts, with lost outcomes restored.

    One that is followed by another has ended, even if only the mark of the other one's version is left. The newest has
    ended if its version is marked: the mark is written afterwards.
    """
    pairs = itertools.zip_longest(snapshot.rollouts, snapshot.rollouts[1:])
    return tuple(_with_outcome(snapshot, rollout, following) for rollout, following in pairs)


def _records(snapshot: Snapshot) -> Iterator[tuple[int, str]]:
    """(position, revision): twice the sequence of the release that made it stable, one less if it was stable before
    that.
    """
    for rollout in snapshot.rollouts:
        if rollout.status.outcome is Outcome.PROMOTED:
            yield 2 * rollout.spec.sequence, promoted_revision(rollout)
        if rollout.spec.source is not None:
            yield 2 * rollout.spec.sequence - 1, rollout.spec.source.revision
    for revision in snapshot.revisions:
        if revision.stable_since is not None:
            yield 2 * revision.stable_since, revision.name


def _reported(snapshot: Snapshot) -> str | None:
    """The stable version in the status, if the whole history was deleted."""
    reported = snapshot.deployment.status.stable
    return reported.revision if reported is not None else None


def _routed(snapshot: Snapshot, name: str) -> int:
    """Its share of the requests in permille."""
    return snapshot.route.weight(name) if snapshot.route is not None else 0


def _routed_unpinned(snapshot: Snapshot) -> str | None:
    """If the status is lost as well: the unpinned version with the most requests."""
    pinned = {revision.name for revision in snapshot.revisions}
    routed = snapshot.route.weights if snapshot.route is not None else ()
    unpinned = [(permille, name) for name, permille in routed if name not in pinned and permille > 0]
    return max(unpinned)[1] if unpinned else None


def _running_unrecorded(snapshot: Snapshot) -> str | None:
    """Otherwise the oldest revision that has a Deployment, but not during its first release."""
    latest = snapshot.rollouts[-1] if snapshot.rollouts else None
    if not snapshot.unseen or (latest is not None and latest.status.outcome is None):
        return None
    running = (revision.name for revision in snapshot.revisions if ("Deployment", revision.name) in snapshot.objects)
    return next(running, None)


def _with_outcome(snapshot: Snapshot, rollout: ModelRollout, following: ModelRollout | None) -> ModelRollout:
    if rollout.status.outcome is not None:
        return rollout
    promoted, noted = _promoted_by(snapshot, rollout, following), _noted(snapshot, rollout)
    marked = max((revision.stable_since or 0 for revision in snapshot.revisions), default=0)
    if promoted is None and noted is None and following is None and marked <= rollout.spec.sequence:
        return rollout
    return rollout.model_copy(update={"status": _restored_status(snapshot, rollout, promoted, noted)})


def _noted(snapshot: Snapshot, rollout: ModelRollout) -> Outcome | None:
    """Its outcome without a promotion, from its own annotation; ignored if it has a status."""
    noted = rawobjects.annotations(snapshot.objects.get((rollout.kind, rollout.metadata.name), {}))
    outcome = noted.get(naming.ANNOTATION_OUTCOME)
    seen = (rollout.status.observed_generation or 0) > 0
    return Outcome(outcome) if outcome in UNPROMOTED and not seen else None


def _promoted_by(snapshot: Snapshot, rollout: ModelRollout, following: ModelRollout | None) -> str | None:
    """The revision that a rollout without outcome has promoted, according to the other records; None if none."""
    after = {r.name for r in snapshot.revisions if r.stable_since == rollout.spec.sequence}
    if following is not None and following.spec.source is not None:
        after.add(following.spec.source.revision)
    return next((name for name in _promotable(rollout) if name in after), None)


def _promotable(rollout: ModelRollout) -> Sequence[str]:
    """A test ends with its control, which was stable before, or with an arm."""
    if rollout.spec.ab_test is None:
        return (rollout.spec.target.revision,)
    return [arm.end.revision for arm in rollout.spec.ab_test.arms]


def _restored_status(
    snapshot: Snapshot, rollout: ModelRollout, promoted: str | None, noted: Outcome | None
) -> ModelRolloutStatus:
    ended = f"it ended as {noted}" if noted is not None else "another release followed it"
    why = f"{promoted} was promoted" if promoted is not None else ended
    return rollout.status.model_copy(
        update={
            "outcome": Outcome.PROMOTED if promoted is not None else noted or Outcome.SUPERSEDED,
            "winner": promoted if rollout.spec.ab_test is not None else None,
            "reason": Reason.RESTORED,
            "message": f"its status was lost; {why}, as other objects say",
            "end_time": timestamps.rfc3339(snapshot.now),
            "permille": 1000 if promoted is not None else 0,
            "weight": 100 if promoted is not None else 0,
        }
    )
