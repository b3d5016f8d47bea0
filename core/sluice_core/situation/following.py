"""Which version a registry names, and what is made of it.

    resolver ──> Snapshot.resolutions ──recorded──> status.resolved ──followed──> the revision that is asked for
                                                          │
                                      by the next reconcile: the record comes before the release

What is asked for is what the status says. So a restart, a crash between two writes or a resolver that is away change
nothing, and whoever reads the ModelDeployment, such as the plugin, finds the same.
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
    """It names them itself."""
    resolved: Resolved | None
    """What a registry has said; None: the spec says all."""


def uris(deployment: ModelDeployment) -> tuple[str, ...]:
    """What a registry is asked for; nothing where the spec says all."""
    model = deployment.spec.model
    return (model.uri,) if model.uri is not None and model.is_followed else ()


def followed(deployment: ModelDeployment) -> Followed | Unresolved:
    """The ModelDeployment as it would be if its spec named the files of the version that its status speaks of."""
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
    """Why nothing is known of a URI: as the registry says it, or as it has said it before."""
    said = _heard(snapshot, found.uri)
    if isinstance(said, Unresolved):
        return said
    before = _before(snapshot)
    if before is None or before.status is not ConditionStatus.FALSE:
        return found
    reason = Reason.of(before.reason)
    return Unresolved(found.uri, reason, before.message) if isinstance(reason, Reason) else found


def recorded(snapshot: Snapshot) -> ResolvedModel | None:
    """What the status is to say; the very same while it stays so."""
    deployment = snapshot.deployment
    for said in _heard_of(snapshot):
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
    """When what is asked for changed last, by whoever wrote the spec or moved the alias; None where that is not known."""
    known = snapshot.deployment.resolved
    moved = min(timestamps.seconds(known.time), snapshot.now) if known is not None else None
    times = (snapshot.asked_time, moved)
    return max((time for time in times if time is not None), default=None)


def fact(snapshot: Snapshot, unreported: str) -> Fact | None:
    """What the condition says; None where no registry is asked. unreported: what the registry does not know, or empty."""
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


def _heard_of(snapshot: Snapshot) -> Iterator[Resolution]:
    for uri in uris(snapshot.deployment):
        if (said := _heard(snapshot, uri)) is not None:
            yield said


def _heard(snapshot: Snapshot, uri: str) -> Resolution | None:
    return next((each for each in snapshot.resolutions if each.uri == uri), None)


def _before(snapshot: Snapshot) -> Condition | None:
    """The condition as it was written for this very spec: an operator that has just begun knows no better yet."""
    status = snapshot.deployment.status
    if status.observed_generation != snapshot.deployment.metadata.generation:
        return None
    return condition(snapshot.deployment)


def condition(deployment: ModelDeployment) -> Condition | None:
    """What was said last, maybe of an earlier spec."""
    return next((each for each in deployment.status.conditions if each.type == Type.RESOLVED), None)
