"""An object that leaves a watch by labels was deleted or lost its labels: in the second case they are written back.

deleted, says a watch ──> is it there? ──> no:  the store forgets it
                                      └──> yes: its labels are written; meanwhile the store knows it as it was
"""

import asyncio
from collections.abc import Callable
from typing import Final

from sluice.shell.cache import trim
from sluice.shell.cache.keys import Woken, identity_of, owner_of
from sluice.shell.cache.store import Store
from sluice.shell.leadership.term import Lead, LeaseLost
from sluice_core import errors
from sluice_core.adapters.kinds import BY_KIND
from sluice_core.kernel import rawobjects
from sluice_core.kernel.plan import Patch, Ref
from sluice_core.kernel.snapshot import Object
from sluice_core.ports import Cluster

rest: Final = asyncio.sleep
KUBERNETES_OWN: Final = frozenset({"Pod", "EndpointSlice"})
"""People remove a pod's labels to inspect it while another one serves; an EndpointSlice has the labels of its
Service."""
AT_ONCE: Final = 4
REST_SECONDS: Final = 10.0
"""An object is relabelled once in this time, however often its labels are removed."""


class Relabeler:
    """Writes removed labels back."""

    def __init__(self, store: Store, cluster: Cluster, wake: Callable[[Woken], None], lead: Lead) -> None:
        self._store = store
        self._cluster = cluster
        self._wake = wake
        self._lead = lead
        self._places = asyncio.Semaphore(AT_ONCE)
        self._pending: dict[str, Object] = {}
        """By uid: objects that have left a watch and are looked up next."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def looks(self, gone: Object) -> bool:
        """Whether it looks up an object that has left a watch, and then notifies the store itself."""
        if not self._may_be_there(gone):
            return False
        uid = rawobjects.uid(gone)
        self._pending[uid] = gone
        if uid not in self._tasks:
            self._tasks[uid] = asyncio.create_task(self._look(uid))
        return True

    async def close(self) -> None:
        """Looks up nothing more, and ends what is under way: the next leader lists what is there."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _may_be_there(self, gone: Object) -> bool:
        """False for objects that Kubernetes deletes step by step, that we deleted, or that go with their owner."""
        if gone["kind"] in KUBERNETES_OWN or not BY_KIND[gone["kind"]].selector or rawobjects.is_going(gone):
            return False
        owner, known = owner_of(gone), self._store.get(*identity_of(gone))
        if owner is None or known is None or rawobjects.uid(known) != rawobjects.uid(gone):
            return False
        about = self._store.get(owner.kind, owner.namespace, owner.name)
        stays = about is not None and not rawobjects.is_going(about) and not self._store.is_ending(owner.namespace)
        return stays and self._lead.may_write()

    async def _look(self, uid: str) -> None:
        while (gone := self._pending.pop(uid, None)) is not None:
            try:
                async with self._places:
                    stored = await self._relabelled(gone)
            except (errors.ApiError, LeaseLost):
                stored = None
            self._wake(self._store.drop(gone) if stored is None else self._store.put(stored))
            if stored is not None:
                await rest(REST_SECONDS)
        del self._tasks[uid]

    async def _relabelled(self, gone: Object) -> Object | None:
        """The object with its labels; None where it no longer exists."""
        place = identity_of(gone)
        ref = Ref(BY_KIND[place.kind].api_version, place.kind, place.name, place.namespace, rawobjects.uid(gone))
        found = await self._lead.answer(self._cluster.read(ref))
        if found is None or rawobjects.uid(found) != ref.uid or rawobjects.is_going(found):
            return None
        labels = {name: text for name, text in rawobjects.labels(gone).items() if name in trim.OUR_LABELS}
        return await self._lead.answer(self._cluster.write(Patch(ref, {"metadata": {"labels": labels}})))
