"""A registry of the simulated world, and the operator's answers from the namespace's resolver."""

from dataclasses import dataclass, field, replace

from sluice.shell.followers import Followers, follows
from sluice.shell.registries import POLL_SECONDS
from sluice_core.api.v1alpha1 import registry
from sluice_core.kernel import naming
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, Resolved, Unresolved
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.situation import following, reporting
from tests.support.simulated.controllers import Controllers

NOT_FOUND = "the registry has no such alias"


def version(uri: str, number: int, *, digest: str = "a", source: str = "") -> Resolved:
    """The registry's answer for a URI that names a version."""
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
    """A cluster with models that follow a registry."""

    registry: dict[str, Resolution] = field(default_factory=dict)
    """Its answer for each URI."""
    resolver_up: bool = True
    """Whether the resolver's pod answers; it must be ready, too."""
    heard: dict[str, Resolution] = field(default_factory=dict)
    """The operator's answers, until it restarts."""
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the URI of a version: the tags written to it."""
    tag_writes: list[str] = field(default_factory=list)
    """Releases reported to the registry, each as often as it was."""
    refuses_tags: bool = False
    pending: dict[str, OutcomeReport] = field(default_factory=dict)
    """Reports to send, by model."""
    came: dict[str, Reported] = field(default_factory=dict)

    def moves(self, uri: str, number: int, **more: str) -> None:
        """A user moves the alias."""
        self.registry[uri] = version(uri, number, **more)

    def first_follower(self) -> str | None:
        followers = Followers()
        for model in self.of_kind("ModelDeployment"):
            followers.see("default", model["metadata"]["name"], model)
        return followers.first("default")

    def resolutions(self, snapshot: Snapshot) -> Snapshot:
        """With the known answers for what the model follows."""
        known = [self.heard[uri] for uri in following.uris(snapshot.deployment) if uri in self.heard]
        due, came = reporting.due(snapshot), self.came.get(snapshot.name)
        self.pending.pop(snapshot.name, None)
        if due is not None:
            self.pending[snapshot.name] = due
        told = came if due is not None and came is not None and came.release == due.release else None
        return replace(snapshot, resolutions=tuple(known), reported=told)

    def poll(self, before: float) -> bool:
        """Asks every few seconds, and at once for unknown URIs; whether any answer has changed."""
        first = self.first_follower()
        if first is None or not self.resolver_up or not self.ready.get(naming.resolver_name(first)):
            return False
        uris = {str(each["spec"]["model"]["uri"]) for each in self.of_kind("ModelDeployment") if follows(each)}
        due = self.now // POLL_SECONDS != before // POLL_SECONDS
        asked = {uri for uri in uris if due or uri not in self.heard}
        known = {uri: self.registry.get(uri, Unresolved(uri, Reason.NOT_IN_REGISTRY, NOT_FOUND)) for uri in asked}
        changed = any(self.heard.get(uri) != said for uri, said in known.items())
        self.heard.update(known)
        return self._report() or changed

    def _report(self) -> bool:
        """Whether there is a result that the operator does not know yet."""
        news = False
        for model, report in self.pending.items():
            came = Reported(report.release, "it refuses tags" if self.refuses_tags else "")
            if not self.refuses_tags and self.came.get(model) != came:
                for told in report.versions:
                    self.tags.setdefault(registry.pinned(told.name, told.version), {}).update(told.tags)
                self.tag_writes.append(report.release)
            news = news or self.came.get(model) != came
            self.came[model] = came
        return news
