"""Replays of a release from Prometheus' samples: cached, a few at a time, and only for a reader who has just read
it."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.dashboard import reading
from kubectl_sluice.dashboard.room import Room
from kubectl_sluice.dashboard.sessions import ReaderSession
from kubectl_sluice.dashboard.settings import DashboardSettings
from kubectl_sluice.offline import recording
from kubectl_sluice.offline.recording import Recording
from kubectl_sluice.views.releases import proof
from kubectl_sluice.views.releases.proof import ReplayedRelease
from sluice_core.adapters import kinds
from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_core.adapters.prometheusaccess import PrometheusAccess
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import commands
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import ownkinds, worlds
from sluice_core.ports import Metrics
from sluice_judge.model import Answers, Trial
from sluice_judge.replay import record, replay

MOST: Final = 32
"""How many replays are kept. The oldest of the owner with the most is evicted first."""
AT_ONCE: Final = 2
"""Replays at once: each takes a core while it lasts."""
RUNNING_SECONDS: Final = 30.0
"""How long the replay of a running release is kept. That of an ended one never changes."""
ANSWER_SECONDS: Final = 20.0
LONGEST_SECONDS: Final = 14 * 86_400
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""Names become part of patterns: another name could match foreign series."""
ROLLOUTS: Final = kinds.BY_KIND[ModelRollout.kind]
MODELS: Final = kinds.BY_KIND[ModelDeployment.kind]
PODS: Final = kinds.BY_KIND["Pod"]
RUNTIMES: Final = kinds.BY_KIND[ServingRuntime.kind]


Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A replay. until: when it expires, if its release runs."""

    owner: str
    until: float
    made: ReplayedRelease


class Unproven(Exception):
    """There is nothing to replay; the message says why."""


class Proofs:
    """Replays with Prometheus' credentials, the page's only ones. Prometheus knows no tenants, so the release is read
    with the reader's token each time, even for a cached replay, and the questions name its namespace."""

    def __init__(self, settings: DashboardSettings, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._kept: dict[Key, Kept] = {}
        self._room = Room(MOST)
        """Replays, by owner."""
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def of(self, reader: ReaderSession, namespace: str, name: str) -> ReplayedRelease:
        """Raises `Unproven`, and errors of `sluice_core.errors` where this reader may not read the release."""
        cluster = reader.cluster
        raw = await cluster.fetch(ROLLOUTS, namespace, name)
        rollout = ownkinds.parsed_rollout(raw)
        if not isinstance(rollout, ModelRollout) or rollout.metadata.namespace != namespace:
            raise Unproven("This page does not understand the release.")
        if not all(map(_NAME.fullmatch, (rollout.spec.model_deployment, *recording.revisions(rollout)))):
            raise Unproven("Its versions have names that no operator gives: Prometheus is not asked for them.")
        key = (
            f"{namespace}/{name}/{raw['metadata'].get('uid', '')}",
            "" if rollout.status.outcome is None else _version(raw),
        )
        if (known := self._known(key)) is not None:
            return known
        async with self._turn:
            if (known := self._known(key)) is not None:  # made while this one waited
                return known
            made = await self._made(cluster, rollout)
            self._keep(key, Kept(reader.owner, time.monotonic() + RUNNING_SECONDS, made))
            return made

    def _keep(self, key: Key, kept: Kept) -> None:
        if (before := self._kept.pop(key, None)) is not None:
            self._room.add(before.owner, -1)
        while not self._room.take(kept.owner, 1, self._give):
            if not self._room.held(kept.owner):
                return  # all others have at most one
            self._give(kept.owner)
        self._kept[key] = kept

    def _give(self, owner: str) -> bool:
        oldest = next(key for key, each in self._kept.items() if each.owner == owner)
        del self._kept[oldest]
        self._room.add(owner, -1)
        return True

    def _known(self, key: Key) -> ReplayedRelease | None:
        """The cached replay of a release; of a running one only for a moment."""
        found = self._kept.get(key)
        return found.made if found is not None and (key[1] or time.monotonic() < found.until) else None

    async def close(self) -> None:
        if isinstance(self._metrics, PrometheusMetrics):
            self._metrics.close()

    async def _made(self, cluster: kubectl.Kubectl, rollout: ModelRollout) -> ReplayedRelease:
        now = time.time()
        try:
            wanted = recording.of_release(rollout, now=now)
        except record.NothingRecorded:
            raise Unproven("It is the first version: there was nothing to compare it with.") from None
        if wanted.seconds > LONGEST_SECONDS:
            line = commands.for_release(rollout, "record")
            raise Unproven(f"It began too long ago to be replayed here; {line}, and replay of what it prints, can try.")
        namespace, name = rollout.metadata.namespace, rollout.spec.model_deployment
        kept = await reading.seen(cluster.fetch_revisions(namespace, name))
        runtimes = await reading.seen(cluster.fetch_all(RUNTIMES))
        model = await reading.seen(cluster.fetch(MODELS, namespace, name))
        runs, selector = rollout.status.outcome is None, kubectl.owned_by(name)
        pods = await reading.seen(cluster.fetch_all(PODS, namespace=namespace, selector=selector)) if runs else ()
        deployment = None if model is None else ownkinds.parsed_deployment(model)
        trial = recording.trial(
            rollout,
            wanted,
            config=self._settings.operator,
            preset=self._settings.preset,
            kept=kept or (),
            runtimes=worlds.parsed_runtimes(runtimes or ()),
            routing=deployment.spec.routing if isinstance(deployment, ModelDeployment) else None,
            pods=pods or (),
            now=now,
        )
        answers = await self._asked().answer(record.questions(trial, seconds=wanted.seconds), trial.now)
        return await asyncio.to_thread(_replayed, trial, answers, wanted, rollout)

    def _asked(self) -> Metrics:
        if self._metrics is None:
            folder = self._settings.prometheus_credentials
            access = PrometheusAccess(folder, self._settings.operator.prometheus_secret_name or str(folder or ""))
            self._metrics = PrometheusMetrics(
                self._settings.operator.prometheus_url, access, timeout_seconds=ANSWER_SECONDS
            )
        return self._metrics


def _version(raw: Object) -> str:
    return str(raw["metadata"].get("resourceVersion", ""))


def _replayed(trial: Trial, answers: Answers, wanted: Recording, rollout: ModelRollout) -> ReplayedRelease:
    try:
        lines = recording.lines(trial, answers, wanted)
        return proof.replayed(rollout, list(lines))
    except record.NothingRecorded as error:
        raise Unproven(f"{error}") from error
    except replay.Unreadable as error:
        raise Unproven(f"The counters cannot be replayed: {error}") from error
