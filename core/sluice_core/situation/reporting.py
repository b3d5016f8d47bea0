"""The outcome of a release, for the registry that named its version.

    the release ends ──> OutcomeReport ──resolver──> tags of the version ──> ModelRollout status.reported

The report is repeated until that is written: a repetition changes nothing. Only the newest release with an outcome for
a version is reported, so that none overwrites a later one. A version that a person or the watch rolled back from was
rolled back, too, however its own release ended. An A/B test says nothing about its control, which serves in any case.
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
    """The next report; None for a model that follows no registry (any more): it has no receiver."""
    if not snapshot.config.registry.write_outcomes or not following.uris(snapshot.deployment):
        return None
    newest = {uri: rollout.metadata.name for rollout in snapshot.rollouts for uri, *_ in _said(rollout)}
    untold = (each for each in snapshot.rollouts if each.status.outcome is not None and not each.status.reported)
    reports = (OutcomeReport(each.metadata.name, tuple(_versions(each, newest))) for each in untold)
    return next((report for report in reports if report.versions), None)


def told(snapshot: Snapshot) -> Iterator[ModelRollout]:
    """The releases that the registry now knows, recorded in their status."""
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
    """A release's outcomes for versions, by their URIs: the outcome, empty while it runs, and why."""
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
    """The registry's versions for which no later release has an outcome."""
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
