"""What one reader asks for at once, and what others have of the page then."""

import asyncio
from collections import Counter

import pytest

from kubectl_sluice.dashboard import pages
from tests.unit.plugin.dashboard.conftest import ALL, NOBODY, OF_A, World
from tests.unit.plugin.dashboard.test_pages import batch


async def test_the_end_of_a_session_ends_its_news(world: World) -> None:
    async with world.client(ALL, app=world.app()) as client:
        await client.get("/")
    kept = world.doors[-1].sessions
    session = await kept.of_token(ALL)
    told = pages._news(session, (), await session.fleets.of(()), None)
    await anext(told)
    await kept.end(session)
    assert [each async for each in told][-1] == "event: changed\ndata: over\n\n"


async def test_a_stream_that_does_not_begin_gives_its_place_back(world: World) -> None:
    async with world.client(NOBODY, app=world.app()) as client:
        assert (await client.get("/events?namespace=team-a")).status_code == 403
    assert (await world.doors[-1].sessions.of_token(NOBODY)).streams == 0


async def test_batches_of_a_namespace_that_sorts_early_leave_others_in_sight(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_BATCHES", 4)
    many = [("aaa", f"many-{number}") for number in range(6)]
    for namespace, name in (*many, ("team-a", "nightly"), ("team-b", "weekly")):
        world.api.put(batch(name, namespace))
    async with world.client(ALL) as client:
        page = (await client.get("/batches")).text
    assert [name for _, name in many if f">{name}</a>" in page] == ["many-0", "many-1"]
    assert ">nightly</a>" in page
    assert ">weekly</a>" in page
    assert "4 more than there is room for" in page


async def test_pages_of_one_reader_wait_for_each_other_and_no_others(world: World) -> None:
    app, most, waiting = world.app(), pages.PAGES["of_one"], pages.PAGES["waiting"]
    world.api.slow = slow = asyncio.Event()

    def reached() -> int:
        return sum("/batchinferences/none" in path for _, path in world.api.asked)

    async with world.client(ALL, app=app) as greedy, world.client(OF_A, app=app) as other:
        asked = [asyncio.create_task(greedy.get("/batches/team-a/none")) for _ in range(48)]
        done = asyncio.as_completed(asked)
        refused = [(await next(done)).status_code for _ in range(48 - most - waiting)]
        assert set(refused) == {429}
        world.api.slow = None
        assert (await other.get("/models/team-a/digits")).status_code == 200
        assert reached() == most
        slow.set()
        assert Counter(each.status_code for each in await asyncio.gather(*asked)) == {
            404: most + waiting,
            429: 48 - most - waiting,
        }
