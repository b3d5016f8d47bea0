"""How much of the history is kept."""

from collections.abc import Iterator

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel import writing
from sluice_core.kernel.plan import Write
from sluice_core.situation.situation import Situation


def deletions(situation: Situation) -> Iterator[Write]:
    """Keeps the newest rollouts, those that define the stable version, and the revisions that they refer to."""
    snapshot = situation.snapshot
    ended = [r for r in snapshot.rollouts if r.status.outcome is not None]
    kept = set(_names(ended[-snapshot.config.history_limit :])) | set(_names(snapshot.rollouts[-1:]))
    kept |= set(_names([r for r in ended if r.status.outcome is Outcome.PROMOTED][-1:]))
    kept |= set(_names([r for r in snapshot.rollouts if r.status.outcome is None]))
    for rollout in snapshot.rollouts:
        if rollout.metadata.name not in kept:
            yield from writing.deleted(snapshot, ModelRollout.kind, rollout.metadata.name)
    used = {end.revision for r in snapshot.rollouts if r.metadata.name in kept for end in r.spec.ends}
    used |= {
        r.spec.baseline_revision for r in snapshot.rollouts if r.spec.baseline_revision and r.status.outcome is None
    }
    running = {name for kind, name in snapshot.objects if kind in ("Deployment", "Service")}
    for revision in snapshot.revisions:
        if revision.name not in used | running and revision != situation.stable:
            yield from writing.deleted(snapshot, "ControllerRevision", revision.name)


def _names(rollouts: list[ModelRollout] | tuple[ModelRollout, ...]) -> Iterator[str]:
    return (rollout.metadata.name for rollout in rollouts)
