"""How long a session lasts, how many there are, and what they leave."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable

import pytest

from kubectl_sluice.dashboard import sessions
from kubectl_sluice.dashboard.fleetwatch import MOST_NAMESPACES, WATCH_SECONDS, FleetWatch
from kubectl_sluice.dashboard.room import Full, Room
from kubectl_sluice.dashboard.sessions import ReaderSession, Sessions, seconds_left
from sluice_core import errors
from sluice_core.adapters import kinds
from tests.support import patience
from tests.support.live import tokenapi
from tests.support.live.tokenapi import Reader, TokenApi
from tests.unit.plugin.dashboard import objects


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(round(100 * patience.HANG_SECONDS)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not come")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api() -> AsyncIterator[TokenApi]:
    readers = {f"t{number}": Reader(f"user-{number // 10}") for number in range(60)}
    async with tokenapi.running(TokenApi(readers, objects.two_namespaces())) as api:
        yield api


@pytest.fixture
async def kept(api: TokenApi, clock: Clock) -> AsyncIterator[Sessions]:
    found = Sessions(api.server.connect, clock=clock, now=clock)
    yield found
    await found.close()


async def test_a_token_is_tried_once_and_then_known(kept: Sessions, api: TokenApi) -> None:
    first = await kept.of_token("t1")
    assert await kept.of_token("t1") is first
    assert await kept.of_id(first.id) is first
    assert [token for token, _ in api.asked] == ["t1"]
    assert len(first.id) >= 43


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([sessions.IDLE_SECONDS + 1], False),
        ([sessions.IDLE_SECONDS - 1] * 3, True),
        ([sessions.IDLE_SECONDS - 1] * 17, False),
    ],
)
async def test_a_session_ends_by_idleness_and_by_age(
    kept: Sessions, clock: Clock, steps: list[float], left: bool
) -> None:
    session = await kept.of_token("t1")
    for seconds in steps:
        clock.seconds += seconds
        found = await kept.of_id(session.id)
    assert (found is session) is left
    assert len(kept) == left


async def test_a_token_that_says_when_it_ends_ends_its_session(kept: Sessions, clock: Clock, api: TokenApi) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": clock() + 60}).encode()).decode().rstrip("=")
    token = f"h.{claims}.s"
    api.readers[token] = Reader("short")
    session = await kept.of_token(token)
    clock.seconds += 61
    assert await kept.of_id(session.id) is None


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b.c", "a.e30.c", "a.!.c", f"a.{'W' * 8000}.c", "a.eyJleHAiOiJuZXZlciJ9.c"]
)
def test_a_token_that_does_not_say_when_it_ends(token: str) -> None:
    assert seconds_left(token, 0.0) == float("inf")


async def test_nobody_pushes_others_out(kept: Sessions, clock: Clock) -> None:
    other = await kept.of_token("t55")
    for number in range(10):
        clock.seconds += 1
        await kept.of_token(f"t{number}")
    assert len(kept) == sessions.MOST_OF_ONE + 1
    assert await kept.of_id(other.id) is other


async def test_a_full_page_refuses_a_newcomer_and_ends_nobody(api: TokenApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST", 4)
    kept = Sessions(api.server.connect)
    found = [await kept.of_token(f"t{number}") for number in range(0, 40, 10)]
    with pytest.raises(Full):
        await kept.of_token("t50")
    assert [await kept.of_id(each.id) for each in found] == found
    await kept.close()


async def test_whose_sessions_are_the_most_gives_one(
    api: TokenApi, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ServiceAccounts of a namespace are one: who may make one makes many."""
    monkeypatch.setattr(sessions, "MOST", 4)
    kept = Sessions(api.server.connect, clock=clock)
    api.readers |= {f"a{n}": Reader(f"system:serviceaccount:evil:a{n}", frozenset()) for n in range(9)}
    victim = await kept.of_token("t0")
    for number in range(9):
        clock.seconds += 1
        await kept.of_token(f"a{number}")
    other = await kept.of_token("t10")
    assert await kept.of_id(victim.id) is victim
    assert await kept.of_id(other.id) is other
    assert [await kept.of_token(f"a{n}") and len(api.asked) for n in (7, 8)] == [len(api.asked)] * 2
    await kept.close()


async def test_sessions_that_begin_at_once_are_no_more_than_there_may_be(
    api: TokenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 4)
    kept = Sessions(api.server.connect)
    began = await asyncio.gather(*(kept.of_token(f"t{number}") for number in range(60)), return_exceptions=True)
    assert len(kept) == 4
    assert {type(each) for each in began} == {ReaderSession, Full}
    await kept.close()


async def test_tokens_that_wait_are_no_more_than_there_may_be(
    kept: Sessions, api: TokenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_WAITING", 5)
    tried = await asyncio.gather(*(kept.of_token(f"guess-{n}") for n in range(100)), return_exceptions=True)
    refused = [each for each in tried if isinstance(each, errors.Unavailable)]
    assert len(refused) == 100 - sessions.AT_ONCE - 5
    assert len(api.asked) == sessions.AT_ONCE + 5


async def test_a_refused_token_leaves_nothing(kept: Sessions) -> None:
    with pytest.raises(errors.Denied):
        await kept.of_token("unknown")
    assert len(kept) == 0


async def test_an_anonymous_reader_is_nobody(kept: Sessions, api: TokenApi) -> None:
    api.readers["anonymous"] = Reader("system:anonymous")
    with pytest.raises(errors.Denied):
        await kept.of_token("anonymous")


async def names(watch: FleetWatch) -> list[str]:
    return [line.name for line in await watch.lines()]


async def test_a_watch_shows_what_changes(kept: Sessions, api: TokenApi) -> None:
    session = await kept.of_token("t1")
    watch = await session.fleets.of(())
    assert await names(watch) == ["digits", "faces", "hidden-model"]
    await eventually(lambda: api.open_watches == 2)
    asked, before = len(api.asked), watch.number
    api.put(objects.model("new", "team-c"))
    api.put(objects.release("faces", "team-a", sequence=2, step=1))
    api.drop(objects.model("digits", "team-a"))
    await eventually(lambda: watch.number == before + 3)
    found = {line.name: line.release for line in await watch.lines()}
    assert found == {"faces": "faces-r2", "hidden-model": "hidden-model-r1", "new": ""}
    assert len(api.asked) == asked
    assert watch.changes(("team-a", "faces")) > before
    assert watch.changes(("team-b", "hidden-model")) == before


async def test_an_older_release_changes_nothing_and_a_lost_one_is_looked_for(kept: Sessions, api: TokenApi) -> None:
    newest = objects.release("faces", "team-a", sequence=7)
    api.put(newest)
    watch = await (await kept.of_token("t1")).fleets.of(())
    await eventually(lambda: api.open_watches == 2)
    api.put(objects.release("faces", "team-a", sequence=3))
    await eventually(lambda: watch.number == 2)
    assert {line.name: line.release for line in await watch.lines()}["faces"] == "faces-r7"
    api.drop(newest)
    await eventually(lambda: watch.over)
    assert {line.name: line.release for line in await watch.lines()}["faces"] == "faces-r3"


async def test_what_was_read_counts_for_five_minutes_at_most(kept: Sessions, api: TokenApi, clock: Clock) -> None:
    session = await kept.of_token("t1")
    assert len(await names(await session.fleets.of(()))) == 3
    api.readers["t1"] = Reader("user-0", frozenset())
    clock.seconds += WATCH_SECONDS - 1
    assert len(await names(await session.fleets.of(()))) == 3
    clock.seconds += 1
    with pytest.raises(errors.Denied):
        await session.fleets.of(("team-b",))


async def test_a_watch_that_breaks_is_read_anew(kept: Sessions, api: TokenApi) -> None:
    watch = await (await kept.of_token("t1")).fleets.of(())
    await eventually(lambda: api.open_watches == 2)
    api.end_watches()
    await eventually(lambda: watch.over)
    api.objects = api.objects[:2]
    assert await names(watch) == ["digits"]


async def test_the_end_of_a_session_ends_its_watches(kept: Sessions, api: TokenApi) -> None:
    session = await kept.of_token("t1")
    await session.fleets.of(())
    await eventually(lambda: api.open_watches == 2)
    await kept.end(session)
    await eventually(lambda: api.open_watches == 0)


async def test_a_session_keeps_no_more_than_there_is_room_for(
    kept: Sessions, api: TokenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubectl_sluice.dashboard.fleetlist.MOST_BYTES", 9000)
    watch = await (await kept.of_token("t1")).fleets.of(())
    assert 0 < len(await names(watch)) < 3
    assert watch.left_out > 0


async def test_lists_that_fill_the_page_leave_others_theirs_and_give_their_room_back(
    kept: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept._lists, "room", room := Room(20_000))
    hogs = [await kept.of_token(f"t{number}") for number in (10, 20, 30)]
    small = await kept.of_token("t1")
    for hog in hogs:
        for scope in ((), ("team-a",), ("team-b",)):
            hog.fleets._not_everywhere = 1e9 if scope else 0.0
            await hog.fleets.of(scope)
    assert len(await names(await small.fleets.of(("team-a",)))) >= 1
    assert 0 < room.taken <= 20_000
    for session in (small, *hogs):
        await kept.end(session)
    assert room.taken == 0


async def test_a_reader_of_many_namespaces_has_connections_left(kept: Sessions, api: TokenApi) -> None:
    names = [f"team-{number:02d}" for number in range(MOST_NAMESPACES)]
    api.readers["lists"] = Reader("lists", frozenset(names), lists_namespaces=True)
    api.objects += [{"kind": "Namespace", "metadata": {"name": name}} for name in names]
    session = await kept.of_token("lists")
    await session.fleets.of(())
    await eventually(lambda: api.open_watches == 2 * MOST_NAMESPACES)
    with pytest.raises(errors.Missing):
        await session.cluster.fetch(kinds.BY_KIND["Pod"], names[0], "none")


async def test_a_list_that_was_ended_is_not_read_again(kept: Sessions, api: TokenApi) -> None:
    session = await kept.of_token("t1")
    watch = await session.fleets.of(())
    await kept.end(session)
    for ended in (watch.ready(), session.fleets.of(())):
        with pytest.raises(errors.Unavailable):
            await ended
    assert kept._lists.room.taken == 0


async def test_a_watch_ends_with_its_token(kept: Sessions, clock: Clock, api: TokenApi) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": clock() + 60}).encode()).decode().rstrip("=")
    api.readers[f"h.{claims}.s"] = Reader("short")
    session = await kept.of_token(f"h.{claims}.s")
    watch = await session.fleets.of(())
    clock.seconds += 59
    assert not watch.over
    clock.seconds += 2
    assert watch.over
    assert session.over


async def test_a_page_with_large_objects_is_read_in_parts(
    kept: Sessions, api: TokenApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubectl_sluice.adapters.kubectl.PAGE_BYTES", 3000)
    assert len(await names(await (await kept.of_token("t1")).fleets.of(()))) == 3
    assert any("limit=1&" in path or path.endswith("limit=1") for _, path in api.asked)


async def test_a_list_is_read_page_by_page(kept: Sessions, api: TokenApi) -> None:
    api.page = 1
    assert await names(await (await kept.of_token("t1")).fleets.of(())) == ["digits", "faces", "hidden-model"]


async def test_who_may_list_namespaces_sees_those_that_may_be_read(kept: Sessions, api: TokenApi) -> None:
    api.readers["lists"] = Reader("lists", frozenset({"team-a"}), lists_namespaces=True)
    api.objects += [{"kind": "Namespace", "metadata": {"name": name}} for name in ("team-a", "team-b")]
    watch = await (await kept.of_token("lists")).fleets.of(())
    assert await names(watch) == ["digits", "faces"]
    assert watch.denied == ("team-b",)
