"""What registries say: each URI is asked for once, however many models follow it, and nothing where none does.

reconcile ──note──> the URIs that a model follows (a few strings)
                    │
every 15 s ─────────┴──> one question for each namespace ──> its resolver ──> has an answer changed? ──wake──> its models' reconciles

Namespaces do not wait for each other, and one whose resolver does not answer is asked less often. Only the replica that
writes asks. What it does not know, it reads in the status.
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
"""Between questions to a resolver that does not answer."""
BEGIN_SECONDS: Final = 2.0
"""Between questions to one that has just been made, and does not answer yet."""
PATIENT_SECONDS: Final = 60.0
"""How long a registry may be silent, or say that it cannot tell, before the condition says so: most of it passes by itself."""
AT_ONCE: Final = 64
URIS: Final = 8
"""In one question, which is to be answered in seconds also where a registry takes half a second for each."""


@dataclass(slots=True)
class FollowedUri:
    """A URI of a namespace."""

    models: set[Key] = field(default_factory=set)
    """Who follows it."""
    said: Resolution | None = None
    """What models were told last."""
    good_at: float = 0.0
    """When it was known last, or has been asked for first; monotonic."""


@dataclass(slots=True)
class PendingReport:
    """How a model's release ended, for its registry."""

    report: OutcomeReport
    since: float
    due: float
    """When it is told next; monotonic."""
    tries: int = 0
    came: Reported | None = None
    """What came of it, as far as the model was told."""


@dataclass(slots=True)
class FollowedNamespace:
    """A namespace of which something is asked."""

    asked: dict[str, FollowedUri] = field(default_factory=dict)
    reports: dict[Key, PendingReport] = field(default_factory=dict)
    pod: ResolverPod | None = None
    misses: int = 0


class Following:
    """What is followed, and what is known of it; not for use by several threads."""

    def __init__(
        self,
        resolvers: Resolvers,
        *,
        find: Callable[[str], ResolverPod | None],
        wake: Callable[[Key], None],
        clock: Clock,
    ) -> None:
        """find: who answers for a namespace. wake: has a reconcile over a model, for which something else is known now."""
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
        """What is followed for a model from now on; what is known of it."""
        before = self._by_model.get(key, ())
        if uris != before:
            self._leave(key, before)
            self._join(key, uris)
        if not uris:
            return ()
        asked = self._tenants[key.namespace].asked
        return tuple(said for uri in uris if (said := asked[uri].said) is not None)

    def heard(self, key: Key, seen: Snapshot) -> Snapshot:
        """What a reconcile sees, with what is known of what its model follows, and of what is to be told of it."""
        known = self.note(key, following.uris(seen.deployment))
        return replace(seen, resolutions=known, reported=self._told(key, reporting.due(seen)))

    def count(self) -> int:
        """How many URIs are followed."""
        return sum(len(tenant.asked) for tenant in self._tenants.values())

    async def run(self) -> None:
        """Until cancelled."""
        await self._queue.run()

    async def ask(self, namespace: str) -> float | None:
        """One question for all that a namespace follows; seconds until the next one, None where nothing is followed."""
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
        """A resolver that was just made is asked again soon: a first version waits for it."""
        if not tenant.misses:
            return POLL_SECONDS
        newest = max((each.good_at for each in tenant.asked.values()), default=0.0)
        if now - newest < PATIENT_SECONDS and any(each.said is None for each in tenant.asked.values()):
            return BEGIN_SECONDS
        return min(LONGEST_SECONDS, POLL_SECONDS * 2.0 ** min(tenant.misses - 1, 8))

    def _hear(
        self, tenant: FollowedNamespace, uri: str, said: Resolution | None, now: float, *, namespace: str
    ) -> None:
        """What passes by itself is not told while what was known before is not old."""
        asked = tenant.asked.get(uri)
        if asked is None:  # nobody follows it any more
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
        """Once more what the registry does not have yet."""
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
        """Has a report told from now on; what came of it."""
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
    """Whether waiting cures it, mostly."""
    return said is None or said.reason is Reason.REGISTRY_UNREACHABLE


def _silent(uri: str, namespace: str) -> Unresolved:
    label = f"app.kubernetes.io/component={naming.RESOLVER}"
    pods = commands.kubectl("get", "deployments,pods", "-l", label, namespace=namespace)
    return Unresolved(
        uri,
        Reason.RESOLVER_NOT_READY,
        f"{uri}: the namespace's resolver does not answer; see {pods}, and whether a NetworkPolicy lets the operator ask it",
    )
