"""How a release ended, for the registry that named its version.

    the release ends ──> OutcomeReport ──resolver──> tags of the version ──> ModelRollout status.reported

Until that is written it is told again: twice the same changes nothing. Of a version only the newest release that says something
is told, so that none is told after a later one. What a person or the watch went back from was rolled back, too, however its own
release ended. An A/B test says nothing of its control, which serves whatever becomes of the arms.
"""

from collections.abc import Iterator, Mapping

from sluice_core.api.v1alpha1 import registry
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel import conditions
from sluice_core.kernel.resolutions import OutcomeReport, VersionTags
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.situation import following

EVIDENCE_LENGTH = 500


def due(snapshot: Snapshot) -> OutcomeReport | None:
    """What is to be told next; nothing of a model that follows no registry (any more): nobody is there to tell it."""
    if not snapshot.config.registry.write_outcomes or not following.uris(snapshot.deployment):
        return None
    newest = {uri: rollout.metadata.name for rollout in snapshot.rollouts for uri, *_ in _said(rollout)}
    untold = (each for each in snapshot.rollouts if each.status.outcome is not None and not each.status.reported)
    reports = (OutcomeReport(each.metadata.name, tuple(_versions(each, newest))) for each in untold)
    return next((report for report in reports if report.versions), None)


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


def _said(rollout: ModelRollout) -> Iterator[tuple[str, str, str]]:
    """What a release says of which versions, by their URIs: the outcome, empty while it runs, and why."""
    spec, status = rollout.spec, rollout.status
    if spec.ab_test is not None:
        return
    yield spec.target.uri, str(status.outcome or ""), f"{status.reason}: {status.message}"
    if spec.rollback and status.outcome is Outcome.PROMOTED and spec.source is not None:
        yield (
            spec.source.uri,
            str(Outcome.ROLLED_BACK),
            f"went back to {spec.target.uri}: {spec.alarm or 'a person asked for it'}",
        )


def _versions(rollout: ModelRollout, newest: Mapping[str, str]) -> Iterator[VersionTags]:
    """Those of a registry of which no later release says anything."""
    for uri, outcome, why in _said(rollout):
        named = registry.name_and_version(uri)
        if named is not None and newest[uri] == rollout.metadata.name:
            tags = {
                "sluice.release": f"{rollout.metadata.namespace}/{rollout.metadata.name}",
                "sluice.time": rollout.status.end_time or "",
                "sluice.evidence": conditions.shortened(why, EVIDENCE_LENGTH),
                "sluice.outcome": outcome,
            }
            yield VersionTags(*named, tuple(tags.items()))
