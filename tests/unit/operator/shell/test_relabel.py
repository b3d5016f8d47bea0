"""What leaves a watch is gone, or has lost its labels and gets them back."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice.shell.cache.keys import Key, Woken
from sluice.shell.cache.store import Store
from sluice.shell.leadership.term import Lead
from sluice.shell.reconciler import relabel
from sluice.shell.reconciler.relabel import Relabeler
from sluice_core import errors
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Event, Patch, Ref, Write
from sluice_core.kernel.snapshot import Object
from tests.support import patience
from tests.unit.operator.shell.builders import eventually, make_model, make_object, make_store

OURS = Woken(frozenset({Key("team", "digits")}))


@dataclass
class Api:
    """An API server with one object, or none."""

    there: dict[str, Any] | None
    fails: bool = False
    read_so_often: int = 0
    written: list[Write] = field(default_factory=list)

    async def read(self, _: Ref) -> Object | None:
        self.read_so_often += 1
        if self.fails:
            raise errors.Unavailable("away")
        return self.there

    async def write(self, write: Write) -> Object | None:
        self.written.append(write)
        assert isinstance(write, Patch)
        assert self.there is not None
        metadata = self.there["metadata"]
        version = str(int(metadata["resourceVersion"]) + 1)
        labels = {**metadata["labels"], **write.change["metadata"]["labels"]}
        self.there = {**self.there, "metadata": {**metadata, "resourceVersion": version, "labels": labels}}
        return self.there

    async def emit(self, about: Ref, event: Event) -> None:
        raise AssertionError


def pinned(version: int, **metadata: Any) -> dict[str, Any]:
    found = make_object("ControllerRevision", "digits-a", owner="digits", version=version)
    found["metadata"]["labels"]["theirs"] = "yes"
    found["metadata"].update(metadata)
    return found


def made(api: Api, *, leads: bool = True, **model: Any) -> tuple[Store, Relabeler, list[Woken]]:
    store, woken = make_store(), list[Woken]()
    store.put(make_model(**model))
    store.put(pinned(3))
    lead = Lead(may_write=lambda: leads, seconds_left=lambda: 1e6)
    return store, Relabeler(store, api, woken.append, lead), woken


async def test_what_has_lost_its_labels_gets_ours_back_and_was_never_gone() -> None:
    api = Api(pinned(4, labels={"theirs": "yes"}))
    store, relabeler, woken = made(api)
    assert relabeler.looks(pinned(4))
    await eventually(lambda: woken != [])
    ref = Ref("apps/v1", "ControllerRevision", "digits-a", "team", "ControllerRevision-digits-a")
    assert api.written == [Patch(ref, {"metadata": {"labels": {naming.LABEL_OWNER: "digits"}}})]
    assert store.count("ControllerRevision") == 1
    assert OURS not in woken


@pytest.mark.parametrize(
    "api",
    [Api(None), Api(pinned(4, uid="another")), Api(pinned(4, deletionTimestamp="now")), Api(pinned(4), fails=True)],
    ids=["deleted", "made again", "being deleted", "nobody knows"],
)
async def test_what_is_not_there_is_forgotten(api: Api) -> None:
    store, relabeler, woken = made(api)
    assert relabeler.looks(pinned(4))
    await eventually(lambda: woken == [OURS])
    assert (store.count("ControllerRevision"), api.written) == (0, [])


@pytest.mark.parametrize(
    ("gone", "leads", "model"),
    [
        (pinned(4), False, {}),
        (pinned(4, deletionTimestamp="now"), True, {}),
        (pinned(4, uid="another"), True, {}),
        (pinned(4, labels={}), True, {}),
        (make_object("Pod", "p", owner="digits"), True, {}),
        (make_object("ModelRollout", "r", owner="digits"), True, {}),
        (pinned(4), True, {"name": "gone"}),
    ],
    ids=["not the leader", "deleted", "another", "nobody's", "a pod", "watched without labels", "without its model"],
)
async def test_nobody_looks_at_what_is_gone_for_sure(gone: Object, *, leads: bool, model: dict[str, Any]) -> None:
    api = Api(pinned(4))
    _, relabeler, _ = made(api, leads=leads, **model)
    assert not relabeler.looks(gone)
    assert api.read_so_often == 0


async def test_who_takes_the_labels_again_and_again_makes_no_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in each rest, however often."""
    rests, over = 0, asyncio.Event()

    async def rest(_: float) -> None:
        nonlocal rests
        rests += 1
        await over.wait()

    monkeypatch.setattr(relabel, "rest", rest)
    api = Api(pinned(4, labels={}))
    _, relabeler, woken = made(api)
    for version in range(4, 20):
        assert relabeler.looks(pinned(version))
        await eventually(lambda: rests == 1)
    assert len(api.written) == 1
    over.set()
    await eventually(lambda: len(woken) == 2)
    assert len(api.written) == 2


async def test_an_operator_that_stops_does_not_wait_for_a_rest() -> None:
    api = Api(pinned(4, labels={}))
    _, relabeler, woken = made(api)
    assert relabeler.looks(pinned(4))
    await eventually(lambda: woken != [])
    (resting,) = relabeler._tasks.values()
    async with asyncio.timeout(patience.HANG_SECONDS):
        await relabeler.close()
    assert resting.cancelled()
