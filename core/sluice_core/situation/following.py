"""The version that a registry names, and its release.

    resolver ──> Snapshot.resolutions ──recorded──> status.resolved ──followed──> the requested revision
                                                          │
                                      by the next reconcile: the record comes before the release

The status decides which version is requested. So a restart, a crash between two writes or an unavailable resolver
change nothing, and all readers of the ModelDeployment, such as the plugin, see the same.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.registry import ResolvedModel
from sluice_core.kernel.conditions import Fact, Type
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import Resolution, Resolved, Unresolved
from sluice_core.kernel.snapshot import Snapshot
from sluice_judge import timestamps


class Followed(NamedTuple):
    """A ModelDeployment whose files are known."""

    deployment: ModelDeployment
    """The ModelDeployment with the files in its spec."""
    resolved: Resolved | None
    """The registry's answer; None: the spec says all."""


def uris(deployment: ModelDeployment) -> tuple[str, ...]:
    """The URIs to ask a registry for; empty if the spec says all."""
    model = deployment.spec.model
    return (model.uri,) if model.uri is not None and model.is_followed else ()


def followed(deployment: ModelDeployment) -> Followed | Unresolved:
    """The ModelDeployment with the files of the version in its status."""
    if not (asked := uris(deployment)):
        return Followed(deployment, None)
    known = deployment.resolved
    if known is None:
        return Unresolved(asked[0], Reason.RESOLVING, f"{asked[0]}: the registry is asked which version it is")
    if said := sources.refusal(known.source):
        return Unresolved(known.uri, Reason.ARTIFACT_NOT_SUPPORTED, f"status.resolved.source: {said}")
    resolved = Resolved(known.uri, known.pinned, known.version, known.source, known.digest)
    model = deployment.spec.model.model_copy(update={"uri": known.source, "follow": False})
    spec = deployment.spec.model_copy(update={"model": model})
    return Followed(deployment.model_copy(update={"spec": spec}), resolved)


def hindrance(snapshot: Snapshot, found: Unresolved) -> Unresolved:
    """Why nothing is known of a URI: the registry's current message, or its last one."""
    said = _heard(snapshot, found.uri)
    if isinstance(said, Unresolved):
        return said
    before = _before(snapshot)
    if before is None or before.status is not ConditionStatus.FALSE:
        return found
    reason = Reason.of(before.reason)
    return Unresolved(found.uri, reason, before.message) if isinstance(reason, Reason) else found


def recorded(snapshot: Snapshot) -> ResolvedModel | None:
    """The resolution for the status; the same object while it does not change."""
    deployment = snapshot.deployment
    for said in _known_resolutions(snapshot):
        known, now = deployment.resolved, timestamps.rfc3339(snapshot.now)
        if isinstance(said, Resolved):
            found = ResolvedModel(
                uri=said.uri,
                pinned=said.pinned,
                version=said.version,
                source=said.source,
                digest=said.digest,
                time=known.time if known is not None else now,
            )
            return found if found == known else found.model_copy(update={"time": now})
    return deployment.resolved


def asked_time(snapshot: Snapshot) -> float | None:
    """When the requested version last changed, by the spec or the alias; None if unknown."""
    known = snapshot.deployment.resolved
    moved = min(timestamps.seconds(known.time), snapshot.now) if known is not None else None
    times = (snapshot.asked_time, moved)
    return max((time for time in times if time is not None), default=None)


def fact(snapshot: Snapshot, unreported: str) -> Fact | None:
    """The state of the condition; None if no registry is asked. unreported: what the registry does not know, or empty."""
    deployment = snapshot.deployment
    known = recorded(snapshot)
    for uri in uris(deployment):
        said, before = _heard(snapshot, uri), _before(snapshot)
        if said is None and before is not None and before.status is not ConditionStatus.UNKNOWN:
            return Fact(before.status is ConditionStatus.TRUE, Reason.of(before.reason), before.message)
        if isinstance(said, Unresolved):
            stays = f"; version {known.version} stays asked for meanwhile" if known is not None else ""
            return Fact(False, said.reason, f"{said.message}{stays}")
        if known is None:
            return Fact(None, Reason.RESOLVING, f"{uri}: the registry is asked which version it is")
        place = sources.shown(known.source)
        return Fact(True, Reason.FOLLOWING, f"{uri} is version {known.version} ({place}){unreported}")
    return None


def _known_resolutions(snapshot: Snapshot) -> Iterator[Resolution]:
    for uri in uris(snapshot.deployment):
        if (said := _heard(snapshot, uri)) is not None:
            yield said


def _heard(snapshot: Snapshot, uri: str) -> Resolution | None:
    return next((each for each in snapshot.resolutions if each.uri == uri), None)


def _before(snapshot: Snapshot) -> Condition | None:
    """The condition as written for this spec: a new operator does not know better yet."""
    status = snapshot.deployment.status
    if status.observed_generation != snapshot.deployment.metadata.generation:
        return None
    return condition(snapshot.deployment)


def condition(deployment: ModelDeployment) -> Condition | None:
    """The last written condition, maybe for an earlier spec."""
    return next((each for each in deployment.status.conditions if each.type == Type.RESOLVED), None)
