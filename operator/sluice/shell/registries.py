"""Resolves URIs of registries: each is asked for once, however many models follow it, and none where no model does.

reconcile ──note──> the URIs that a model follows (a few strings)
                    │
every 15 s ─────────┴──> one question for each namespace ──> its resolver ──> has an answer changed? ──wake──> its models' reconciles

Namespaces do not wait for each other, and one whose resolver does not answer is asked less often. Only the replica that
writes asks; what it does not know, it reads from the status.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sluice.shell.cache.keys import Key
from sluice.shell.order.workqueue import Done, Result, Why, WorkQueue
from sluice_core.kernel import commands, naming
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, Resolved, ResolverPod, Unresolved
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.ports import Clock, Resolvers
from sluice_core.situation import following, reporting

LOG: Final = logging.getLogger(__name__)

POLL_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 120.0
"""Longest pause between questions to a resolver that does not answer."""
BEGIN_SECONDS: Final = 2.0
"""Pause between questions to a new resolver that does not answer yet."""
PATIENT_SECONDS: Final = 60.0
"""How long a registry may be silent or unable to answer before the condition reports it: most of it passes by
itself."""
AT_ONCE: Final = 64
URIS: Final = 8
"""URIs in one question, which must be answered in seconds even where a registry takes half a second for each."""


@dataclass(slots=True)
class FollowedUri:
    """A URI of a namespace."""

    models: set[Key] = field(default_factory=set)
    """The models that follow it."""
    said: Resolution | None = None
    """The answer last given to models."""
    good_at: float = 0.0
    """When it was last resolved, or first asked for; monotonic."""


@dataclass(slots=True)
class PendingReport:
    """The outcome of a model's release, for its registry."""

    report: OutcomeReport
    since: float
    due: float
    """When it is reported next; monotonic."""
    tries: int = 0
    came: Reported | None = None
    """The result, as far as the model knows it."""


@dataclass(slots=True)
class FollowedNamespace:
    """A namespace with questions to its resolver."""

    asked: dict[str, FollowedUri] = field(default_factory=dict)
    reports: dict[Key, PendingReport] = field(default_factory=dict)
    pod: ResolverPod | None = None
    misses: int = 0


class Following:
    """Followed URIs and their answers; not for use by several threads."""

    def __init__(
        self,
        resolvers: Resolvers,
        *,
        find: Callable[[str], ResolverPod | None],
        wake: Callable[[Key], None],
        clock: Clock,
    ) -> None:
        """find: the pod that answers for a namespace. wake: has a model reconciled when an answer has changed."""
        self._resolvers = resolvers
        self._find = find
        self._wake = wake
        self._clock = clock
        self._tenants: dict[str, FollowedNamespace] = {}
        self._by_model: dict[Key, tuple[str, ...]] = {}
        self._queue: WorkQueue[str] = WorkQueue(
            self._turn, monotonic=clock.monotonic, workers=AT_ONCE, deadline_seconds=None
        )
        """The namespaces, each due when it is asked next."""

    def note(self, key: Key, uris: tuple[str, ...]) -> tuple[Resolution, ...]:
        """Sets the URIs that a model follows from now on; the answers known."""
        before = self._by_model.get(key, ())
        if uris != before:
            self._leave(key, before)
            self._join(key, uris)
        if not uris:
            return ()
        asked = self._tenants[key.namespace].asked
        return tuple(said for uri in uris if (said := asked[uri].said) is not None)

    def heard(self, key: Key, seen: Snapshot) -> Snapshot:
        """A reconcile's snapshot with the known answers to the model's URIs, and the state of its report."""
        known = self.note(key, following.uris(seen.deployment))
        return replace(seen, resolutions=known, reported=self._told(key, reporting.due(seen)))

    def count(self) -> int:
        """How many URIs are followed."""
        return sum(len(tenant.asked) for tenant in self._tenants.values())

    async def run(self) -> None:
        """Until cancelled."""
        await self._queue.run()

    async def ask(self, namespace: str) -> float | None:
        """Asks once for all URIs of a namespace; seconds until the next question, None where none are followed."""
        tenant = self._tenants.get(namespace)
        if tenant is None:
            return None
        if tenant.pod is None:
            tenant.pod = self._find(namespace)
        uris = tuple(tenant.asked)
        parts = [uris[begin : begin + URIS] for begin in range(0, len(uris), URIS)]
        heard = [await self._heard(tenant.pod, part) for part in parts]
        now = self._clock.monotonic()
        for part, answers in zip(parts, heard, strict=True):
            said = {each.uri: each for each in answers or ()}
            for uri in part:
                self._hear(tenant, uri, said.get(uri), now, namespace=namespace)
        if tenant.pod is not None:
            await self._report(tenant, tenant.pod)
        answered = all(answers is not None for answers in heard)
        tenant.misses = 0 if answered else tenant.misses + 1
        if not answered:
            tenant.pod = None
        return self._pause_seconds(tenant, now)

    async def _heard(self, pod: ResolverPod | None, uris: Sequence[str]) -> tuple[Resolution, ...] | None:
        return await self._resolvers.resolve(pod, uris) if pod is not None else None

    def _pause_seconds(self, tenant: FollowedNamespace, now: float) -> float:
        """A new resolver is asked again soon: a first version waits for it."""
        if not tenant.misses:
            return POLL_SECONDS
        newest = max((each.good_at for each in tenant.asked.values()), default=0.0)
        if now - newest < PATIENT_SECONDS and any(each.said is None for each in tenant.asked.values()):
            return BEGIN_SECONDS
        return min(LONGEST_SECONDS, POLL_SECONDS * 2.0 ** min(tenant.misses - 1, 8))

    def _hear(
        self, tenant: FollowedNamespace, uri: str, said: Resolution | None, now: float, *, namespace: str
    ) -> None:
        """Keeps the last answer through problems that pass by themselves, until it is too old."""
        asked = tenant.asked.get(uri)
        if asked is None:  # no model follows it any more
            return
        if isinstance(said, Resolved):
            asked.good_at = now
        elif now - asked.good_at < PATIENT_SECONDS and (isinstance(asked.said, Resolved) or _passes(said)):
            return
        found = said if said is not None else _silent(uri, namespace)
        if found != asked.said:
            asked.said = found
            for key in asked.models:
                self._wake(key)

    async def _report(self, tenant: FollowedNamespace, pod: ResolverPod) -> None:
        """Reports again what the registry does not have yet."""
        for key, pending in list(tenant.reports.items()):
            now = self._clock.monotonic()
            if pending.due > now or (pending.came is not None and not pending.came.problem):
                continue
            came = await self._resolvers.report(pod, pending.report)
            pending.tries += 1
            pending.due = now + min(LONGEST_SECONDS, POLL_SECONDS * 2.0 ** min(pending.tries - 1, 8))
            lasts = self._clock.monotonic() - pending.since >= PATIENT_SECONDS
            if came is not None and came != pending.came and (lasts or not came.problem):
                pending.came = came
                self._wake(key)

    def _told(self, key: Key, report: OutcomeReport | None) -> Reported | None:
        """Queues a report to the registry; its result so far."""
        tenant = self._tenants.get(key.namespace)
        if tenant is None or report is None:
            if tenant is not None:
                tenant.reports.pop(key, None)
            return None
        pending = tenant.reports.get(key)
        if pending is None or pending.report != report:
            now = self._clock.monotonic()
            pending = tenant.reports[key] = PendingReport(report, since=now, due=now)
            self._queue.add(key.namespace, after=0.0)
        return pending.came

    def _join(self, key: Key, uris: tuple[str, ...]) -> None:
        now = self._clock.monotonic()
        for uri in uris:
            tenant = self._tenants.setdefault(key.namespace, FollowedNamespace())
            if uri not in tenant.asked:
                tenant.asked[uri] = FollowedUri(good_at=now)
                self._queue.add(key.namespace, after=0.0)
            tenant.asked[uri].models.add(key)
        if uris:
            self._by_model[key] = uris

    def _leave(self, key: Key, uris: tuple[str, ...]) -> None:
        self._by_model.pop(key, None)
        for uri in uris:
            tenant = self._tenants[key.namespace]
            tenant.asked[uri].models.discard(key)
            if not tenant.asked[uri].models:
                del tenant.asked[uri]
        if uris:
            self._tenants[key.namespace].reports.pop(key, None)
        if uris and not self._tenants[key.namespace].asked:
            del self._tenants[key.namespace]

    async def _turn(self, namespace: str, _: Why) -> Result:
        try:
            return Done(await self.ask(namespace))
        except Exception:  # a defect must not end the questions for all others
            LOG.exception("unexpected error when a registry was asked", extra={"namespace": namespace})
            return Done(LONGEST_SECONDS)


def _passes(said: Unresolved | None) -> bool:
    """Whether it usually passes by itself."""
    return said is None or said.reason is Reason.REGISTRY_UNREACHABLE


def _silent(uri: str, namespace: str) -> Unresolved:
    label = f"app.kubernetes.io/component={naming.RESOLVER}"
    pods = commands.kubectl("get", "deployments,pods", "-l", label, namespace=namespace)
    return Unresolved(
        uri,
        Reason.RESOLVER_NOT_READY,
        f"{uri}: the namespace's resolver does not answer; see {pods}, and whether a NetworkPolicy lets the operator ask it",
    )
