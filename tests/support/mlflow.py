"""A registry of the simulated world, and what the operator has heard of it from the namespace's resolver."""

from dataclasses import dataclass, field, replace

from sluice.api.v1alpha1 import registry
from sluice.core.kernel import naming
from sluice.core.kernel.reasons import Reason
from sluice.core.kernel.resolutions import Resolution, Resolved, Unresolved
from sluice.core.kernel.snapshot import Snapshot
from sluice.core.situation import following
from sluice.shell.followers import Followers
from sluice.shell.following import POLL_SECONDS
from tests.support.controllers import Controllers

NOT_FOUND = "the registry has no such alias"


def version(uri: str, number: int, *, digest: str = "a", source: str = "") -> Resolved:
    """What the registry says of a URI that names a version."""
    name = registry.name_of(uri)
    return Resolved(
        uri=uri,
        pinned=registry.pinned(name, str(number)),
        version=str(number),
        source=source or f"s3://mlflow/{name}/{number}/artifacts",
        digest=f"sha256:{digest * 64}",
    )


@dataclass
class Registries(Controllers):
    """With models that follow it."""

    registry: dict[str, Resolution] = field(default_factory=dict)
    """What it says of each URI."""
    resolver_up: bool = True
    """Whether the resolver's pod answers; it must be ready, too."""
    heard: dict[str, Resolution] = field(default_factory=dict)
    """What the operator knows, until it is started again."""

    def moves(self, uri: str, number: int, **more: str) -> None:
        """Somebody sets the alias."""
        self.registry[uri] = version(uri, number, **more)

    def first_follower(self) -> str | None:
        followers = Followers()
        for model in self.of_kind("ModelDeployment"):
            followers.see("default", model["metadata"]["name"], model)
        return followers.first("default")

    def resolutions(self, snapshot: Snapshot) -> Snapshot:
        """With what is known of what the model follows."""
        known = [self.heard[uri] for uri in following.uris(snapshot.deployment) if uri in self.heard]
        return replace(snapshot, resolutions=tuple(known))

    def poll(self, before: float) -> bool:
        """Asks every few seconds, and of what nothing is known at once; whether anything else is known now."""
        first = self.first_follower()
        if first is None or not self.resolver_up or not self.ready.get(naming.resolver_name(first)):
            return False
        uris = {str(model["spec"]["model"].get("uri")) for model in self.of_kind("ModelDeployment")}
        due = self.now // POLL_SECONDS != before // POLL_SECONDS
        asked = {uri for uri in uris if registry.is_followed(uri) and (due or uri not in self.heard)}
        known = {uri: self.registry.get(uri, Unresolved(uri, Reason.NOT_IN_REGISTRY, NOT_FOUND)) for uri in asked}
        changed = any(self.heard.get(uri) != said for uri, said in known.items())
        self.heard.update(known)
        return changed
