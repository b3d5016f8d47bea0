"""Revisions to roll back to, and how what serves differs from the manifest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.api.v1alpha1.rolloutspec import ReleaseEnd
from sluice_core.kernel.snapshot import Revision


@dataclass(frozen=True, slots=True)
class KnownRevision:
    """One revision that can serve again."""

    name: str
    uri: str
    version: str
    serves: bool
    """Whether it is the stable version now."""

    @property
    def words(self) -> str:
        """`digits-1111111111 (s3://models/digits/1, version two)`."""
        return f"{self.name} ({self.uri}{f', version {self.version}' if self.version else ''})"


@dataclass(frozen=True, slots=True)
class Divergence:
    """What serves, or is about to, compared with the manifest."""

    revision: str
    serves: str
    """The location of its model."""
    asked: str
    """The location of the manifest's model."""
    message: str


def from_revisions(revisions: Sequence[Revision], deployment: ModelDeployment) -> tuple[KnownRevision, ...]:
    """Those that the cluster keeps, newest first."""
    stable = _stable(deployment)
    return tuple(KnownRevision(r.name, r.uri, r.model_version or "", r.name == stable) for r in revisions)


def from_rollouts(rollouts: Iterable[ModelRollout], deployment: ModelDeployment) -> tuple[KnownRevision, ...]:
    """Those named by releases, for people who may not list ControllerRevisions; newest release first."""
    ends: dict[str, ReleaseEnd] = {}
    for rollout in rollouts:
        for end in (rollout.spec.target, rollout.spec.source):
            if end is not None:
                ends.setdefault(end.revision, end)
    stable = _stable(deployment)
    return tuple(KnownRevision(e.revision, e.uri, e.model_version or "", e.revision == stable) for e in ends.values())


def served_before(rollouts: Iterable[ModelRollout], deployment: ModelDeployment) -> str | None:
    """The revision that served before the stable one; None where there was none. rollouts: newest first."""
    stable = _stable(deployment)
    for rollout in rollouts:
        promoted = rollout.status.winner or rollout.spec.target.revision
        if rollout.status.outcome is Outcome.PROMOTED and promoted == stable:
            return rollout.spec.source.revision if rollout.spec.source is not None else None
    return None


def divergence(deployment: ModelDeployment, serving: KnownRevision) -> Divergence | None:
    """How the manifest differs from what serves; None where it names the same model."""
    asked = deployment.asked_uri
    if asked == serving.uri:
        return None
    return Divergence(
        revision=serving.name,
        serves=serving.uri,
        asked=asked,
        message=(
            f"the manifest still asks for {asked}, but {serving.uri} serves; set spec.model.uri to {serving.uri}, or "
            "to a version that is better"
        ),
    )


def _stable(deployment: ModelDeployment) -> str | None:
    return deployment.status.stable.revision if deployment.status.stable is not None else None
