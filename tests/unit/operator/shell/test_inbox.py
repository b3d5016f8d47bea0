"""What watches bring waits as the newest version of each object, within a bound; kopf itself queues nothing."""

import asyncio
import importlib.metadata
import re
from typing import Any

import pytest
from kopf._cogs.clients import watching
from kopf._cogs.structs import references
from kopf._core.reactor import queueing

from sluice.shell.informer import kopfparts
from sluice.shell.informer import watcher as watch
from sluice.shell.informer.inbox import FULL_BYTES, Inbox
from sluice_core.adapters.kinds import BY_KIND
from sluice_core.kernel.snapshot import Object
from tests.support.packages import modules
from tests.unit.operator.shell.builders import eventually, make_object

STORM = 20_000
PODS = references.Resource("", "v1", "pods", namespaced=True)


def opened(delivered: list[tuple[str, Object]]) -> Inbox:
    return Inbox(asyncio.get_running_loop(), lambda *event: delivered.append(event))


async def test_a_storm_of_updates_of_one_object_is_its_newest_version() -> None:
    delivered: list[tuple[str, Object]] = []
    inbox = opened(delivered)
    for version in range(STORM):
        assert inbox.put("MODIFIED", make_object("Pod", "p", version=version), 2_000) is None, "there is room"
    inbox.put("MODIFIED", make_object("Pod", "q"), 2_000)
    await eventually(lambda: len(delivered) == 2)
    assert [(event, raw["metadata"]["resourceVersion"]) for event, raw in delivered] == [
        ("MODIFIED", str(STORM - 1)),
        ("MODIFIED", "1"),
    ]


async def test_what_went_and_came_again_by_another_uid_is_heard_of_in_order() -> None:
    delivered: list[tuple[str, Object]] = []
    inbox = opened(delivered)
    for event, uid in [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]:
        inbox.put(event, make_object("Pod", "p", uid=uid), 100)
    await eventually(lambda: len(delivered) == 2)
    assert [(event, raw["metadata"]["uid"]) for event, raw in delivered] == [("DELETED", "a"), ("ADDED", "b")]


async def test_watches_wait_while_it_is_full() -> None:
    """Of other objects each; what they wait for is that the event loop has time."""
    delivered: list[tuple[str, Object]] = []
    inbox = opened(delivered)
    rooms = [inbox.put("ADDED", make_object("Pod", f"p{number}"), FULL_BYTES // 4) for number in range(5)]
    assert rooms[:4] == [None] * 4
    assert rooms[4] is not None
    assert delivered == [], "the loop has had no turn yet"
    await rooms[4]
    assert delivered != []
    await eventually(lambda: len(delivered) == 5)


async def test_an_event_that_fails_keeps_no_other_back() -> None:
    delivered: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    def deliver(_: str, raw: Object) -> None:
        if raw["metadata"]["name"] == "p0":
            raise ValueError
        delivered.append(raw["metadata"]["name"])

    inbox = Inbox(asyncio.get_running_loop(), deliver)
    for number in range(100):
        inbox.put("ADDED", make_object("Pod", f"p{number}"), 100)
    await eventually(lambda: len(delivered) == 99)


async def test_one_that_is_closed_takes_and_delivers_nothing() -> None:
    delivered: list[tuple[str, Object]] = []
    inbox = opened(delivered)
    room = inbox.put("ADDED", make_object("Pod", "p"), 2 * FULL_BYTES)
    inbox.close()
    assert inbox.put("ADDED", make_object("Pod", "q"), 2 * FULL_BYTES) is None
    assert room is not None
    await room
    assert delivered == []


def test_one_short_file_knows_the_private_modules_of_kopf() -> None:
    users = [path for path in modules() if re.search(r"^ *(from|import) kopf\._", path.read_text(), re.MULTILINE)]
    assert [path.name for path in users] == ["kopfparts.py"]
    assert len(users[0].read_text().splitlines()) <= 120


async def test_kopf_has_no_object_in_its_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """`kopf._core.reactor.queueing.watcher` queues what `watching.infinite_watch` yields; `watch` takes that away."""
    assert importlib.metadata.version("kopf") == kopfparts.READ_IN, "read again what kopfparts.py replaces of kopf"
    assert queueing.watching is watching
    heard: list[str] = []

    async def versions(**_: Any) -> Any:
        yield watching.Bookmark.LISTED
        for version in range(3):
            yield {"type": "MODIFIED", "object": make_object("Pod", f"p{version}"), kopfparts.SIZE: 100}
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}, kopfparts.SIZE: 100}

    async def queued(**_: Any) -> None:
        raise AssertionError

    async def never(_: Any) -> str:
        raise AssertionError

    monkeypatch.setattr(kopfparts, "KOPF_WATCHES", versions)

    def deliver(_: str, raw: Object, __: int) -> None:
        heard.append(raw["metadata"]["name"])

    settings = watch.settings_of([BY_KIND["Pod"]], never, deliver)
    await queueing.watcher(namespace=None, settings=settings, resource=PODS, processor=queued)
    assert heard == ["p0", "p1", "p2"]
