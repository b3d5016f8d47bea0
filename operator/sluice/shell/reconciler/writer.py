"""Performs a plan's writes one at a time: only while this replica leads, and only on objects of ours.

write ──> API server ──> answer ──> store ──> whom else it matters to looks again
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sluice.shell.cache.keys import NOBODY, Key, Woken, identity_of
from sluice.shell.cache.store import Store
from sluice.shell.leadership.term import Lead, LeaseLost
from sluice.shell.reconciler import claiming
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core import errors
from sluice_core.kernel import rawobjects
from sluice_core.kernel.plan import Apply, ApplyStatus, Ref, Write, target_of
from sluice_core.kernel.snapshot import Object
from sluice_core.ports import Cluster


@dataclass(frozen=True, slots=True)
class Writer:
    """Applies writes to the cluster and the store."""

    store: Store
    cluster: Cluster
    wake: Callable[[Woken], None]
    """Wakes the keys that depend on a written object: its echo brings the store nothing new."""
    lead: Lead
    telemetry: Telemetry

    async def write(self, key: Key, write: Write) -> bool:
        """Performs a write of a reconcile of `key` and stores the answer; True when more than a status changed.

        Raises `LeaseLost`, or the API server's error: an `errors.ApiError`.
        """
        if not self.lead.may_write():
            raise LeaseLost
        kind, namespace, name = target_of(write)
        before = self.store.get(kind, namespace, name)
        try:
            stored = await self._written(key, write)
        except errors.ApiError as error:
            self.telemetry.api_errors.labels(kind, type(error).__name__).inc()
            raise
        self.telemetry.count_write(write, before)
        woken = self.store.put(stored) if stored is not None else self._gone(before)
        if isinstance(write, Apply) and stored is not None:
            self.store.applied(write.manifest, stored)
        if others := woken.keys - {key}:
            self.wake(Woken(others))
        return bool(woken) and not isinstance(write, ApplyStatus)

    async def _written(self, key: Key, write: Write) -> Object | None:
        """The object as it is stored now. An unknown object with its name is looked up: only ours is written."""
        try:
            return await self.lead.answer(self.cluster.write(write))
        except errors.Conflict as error:
            if not isinstance(write, Apply):
                raise
            place = identity_of(write.manifest)
            ref = Ref(write.manifest["apiVersion"], place.kind, place.name, place.namespace)
            there = await self.lead.answer(self.cluster.read(ref))
            found = claiming.unlabelled(self.store, key, place, there, error)
            return await self.lead.answer(self.cluster.write(replace(write, uid=rawobjects.uid(found))))

    def _gone(self, before: Object | None) -> Woken:
        """The deleted object is the one known when the request was sent; another one may have its name by now."""
        return NOBODY if before is None else self.store.drop(before, for_good=True)
