"""How a release ended, for the registry that named its version.

    the release ends ──> OutcomeReport ──resolver──> tags of the version ──> ModelRollout status.reported

Until that is written it is told again: twice the same changes nothing. Only the newest release of a version is told, so that
none is told after a later one.
"""

from collections.abc import Iterator

from sluice.api.v1alpha1 import registry
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.core.kernel import conditions
from sluice.core.kernel.resolutions import OutcomeReport
from sluice.core.kernel.snapshot import Snapshot
from sluice.core.situation import following

EVIDENCE_LENGTH = 500


def due(snapshot: Snapshot) -> OutcomeReport | None:
    """What is to be told next; nothing of a model that follows no registry (any more): nobody is there to tell it."""
    if not snapshot.config.registry.write_outcomes or not following.uris(snapshot.deployment):
        return None
    newest = {rollout.spec.target.uri: rollout for rollout in snapshot.rollouts}
    untold = (each for each in newest.values() if each.status.outcome is not None and not each.status.reported)
    return next((found for each in untold if (found := _report(each)) is not None), None)


def told(snapshot: Snapshot) -> Iterator[ModelRollout]:
    """The releases of which the registry knows now, with that in their status."""
    reported = snapshot.reported
    if reported is None or reported.problem:
        return
    for rollout in snapshot.rollouts:
        if rollout.metadata.name == reported.release and not rollout.status.reported:
            status = rollout.status.model_copy(update={"reported": True})
            yield rollout.model_copy(update={"status": status})


def problem(snapshot: Snapshot) -> str:
    """Why the registry does not know of a release yet, or empty."""
    reported = snapshot.reported
    if reported is None or not reported.problem:
        return ""
    return f"; how {reported.release} ended is not in the registry yet: {reported.problem}"


def _report(rollout: ModelRollout) -> OutcomeReport | None:
    """None where its version is none of a registry's."""
    named = registry.name_and_version(rollout.spec.target.uri)
    if named is None:
        return None
    status = rollout.status
    said = {
        "sluice.release": f"{rollout.metadata.namespace}/{rollout.metadata.name}",
        "sluice.time": status.end_time or "",
        "sluice.evidence": conditions.shortened(f"{status.reason}: {status.message}", EVIDENCE_LENGTH),
        "sluice.outcome": str(status.outcome),
    }
    return OutcomeReport(rollout.metadata.name, *named, tuple(said.items()))
