"""What a page shows of one object, read with its reader's token on request."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.views import commands
from kubectl_sluice.views import live as views_live
from kubectl_sluice.views.commands import ActionLine
from kubectl_sluice.views.releases import explain, history, questions, release, revisions
from kubectl_sluice.views.releases.explain import Explanation
from kubectl_sluice.views.releases.history import AuditEntry
from kubectl_sluice.views.releases.questions import DeviceLine, HarmLine, PodLine, SplitLine
from kubectl_sluice.views.releases.release import ReleaseView, RolloutView
from kubectl_sluice.views.releases.revisions import Divergence, KnownRevision
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.resolutions import Unresolved
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.render import workload
from sluice_core.situation import following

ROUTES: Final = ("HTTPRoute", "GRPCRoute")
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A ModelDeployment and what belongs to it; None for what this reader may not read, or cannot now."""

    raw: Object
    deployment: ModelDeployment
    rollouts: tuple[ModelRollout, ...]
    """Newest first."""
    pods: tuple[Object, ...] | None
    routes: tuple[Object, ...] | None
    kept: tuple[Revision, ...] | None
    now: float

    @property
    def known(self) -> tuple[KnownRevision, ...]:
        """The revisions that can serve again, as far as this reader can see."""
        if self.kept is None:
            return revisions.from_rollouts(self.rollouts, self.deployment)
        return revisions.from_revisions(self.kept, self.deployment)

    @property
    def weights(self) -> dict[str, int] | None:
        """The weights of the model's own HTTPRoute."""
        name = self.deployment.metadata.name
        main = [each for each in self.routes or () if (each["kind"], each["metadata"]["name"]) == (ROUTES[0], name)]
        return questions.route_weights(main[0]) if main else None

    @property
    def divergence(self) -> Divergence | None:
        """How the manifest differs from what serves."""
        serving = next((each for each in self.known if each.serves), None)
        return revisions.divergence(self.deployment, serving) if serving is not None else None

    @property
    def same_pods(self) -> bool | None:
        """Whether the manifest asks for the very pods that serve; None where that is unknown."""
        stable = self.deployment.status.stable
        serving = next((each for each in self.kept or () if stable is not None and each.name == stable.revision), None)
        found = following.followed(self.deployment)
        if serving is None or isinstance(found, Unresolved):
            return None
        return serving.input_hash == workload.input_hash(found.deployment, found.resolved)

    @property
    def view(self) -> ReleaseView:
        live = views_live.live(self.raw, pods=self.pods, now=self.now)
        return release.release_view(self.deployment, self.rollouts, now=self.now, live=live)

    def actions(self) -> tuple[ActionLine, ...]:
        meta = self.deployment.metadata
        newest = next(iter(self.rollouts), None)
        before = revisions.served_before(self.rollouts, self.deployment)
        return commands.actions(meta.name, meta.namespace, newest, self.known, before=before)


@dataclass(frozen=True, slots=True)
class ReleaseAnswers:
    """The answers to a release's twelve questions, except the replay."""

    rollout: RolloutView
    newest: bool
    explanation: Explanation
    split: tuple[SplitLine, ...]
    harm: tuple[HarmLine, ...]
    pods: tuple[PodLine, ...] | None
    devices: tuple[DeviceLine, ...] | None
    timeline: tuple[AuditEntry, ...]
    unattended: tuple[str, ...]
    actions: tuple[ActionLine, ...]


async def model(cluster: kubectl.Kubectl, namespace: str, name: str) -> ReadModel:
    """Reads it; raises errors of `sluice_core.errors` where this reader may not see the model or its releases."""
    selector = kubectl.owned_by(name)
    raw = await cluster.fetch(kinds.BY_KIND[ModelDeployment.kind], namespace, name)
    rollouts, pods, http, grpc, kept = await asyncio.gather(
        cluster.fetch_rollouts(namespace, name),
        seen(cluster.fetch_all(kinds.BY_KIND["Pod"], namespace=namespace, selector=selector)),
        seen(cluster.fetch_all(kinds.BY_KIND[ROUTES[0]], namespace=namespace, selector=selector)),
        seen(cluster.fetch_all(kinds.BY_KIND[ROUTES[1]], namespace=namespace, selector=selector)),
        seen(cluster.fetch_revisions(namespace, name)),
    )
    return ReadModel(
        raw=raw,
        deployment=kubectl.parsed(raw),
        rollouts=release.newest_first(rollouts),
        pods=pods,
        routes=None if http is None else (*http, *(grpc or ())),
        kept=kept,
        now=time.time(),
    )


def answers(read: ReadModel, chosen: ModelRollout) -> ReleaseAnswers:
    """The answers about one of the model's releases."""
    newest = chosen is read.rollouts[0]
    view = release.release_view(read.deployment, [chosen], now=read.now).rollout
    assert view is not None
    return ReleaseAnswers(
        rollout=view,
        newest=newest,
        explanation=explain.explain(read.deployment, read.rollouts, chosen, now=read.now),
        split=questions.split(chosen, read.weights),
        harm=questions.harm(view.objectives),
        pods=None if read.pods is None else questions.pods(chosen, read.pods, now=read.now),
        devices=None if read.pods is None else questions.held(chosen, read.pods),
        timeline=history.timeline(chosen),
        unattended=questions.unattended(chosen, now=read.now),
        actions=read.actions(),
    )


async def seen(asked: Awaitable[Found]) -> Found | None:
    """None where this reader may not see it, the cluster lacks such objects, or does not answer now: the rest of a page
    does not wait for it."""
    try:
        return await asked
    except kubectl.CredentialsRefused:
        raise
    except errors.ApiError:
        return None
