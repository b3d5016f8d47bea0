"""What the page of many models costs, in processor time beside that of few: a machine that is slow is so for both."""

import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx

from tests.support.live import tokenapi
from tests.support.live.tokenapi import Reader, TokenApi
from tests.unit.plugin.dashboard import objects
from tests.unit.plugin.dashboard.conftest import ALL, World

FEW, MANY = 100, 1000
PAGES: Final = ("/", "/models/team-c/model-0000/releases/model-0000-r1")
TURNS: Final = 15
FIRST_PAGE_BYTES: Final = 50 * 1024


@asynccontextmanager
async def reading(models: int) -> AsyncIterator[httpx.AsyncClient]:
    """A reader of a page of so many models, each with a release."""
    api = TokenApi({ALL: Reader("all")}, [])
    for number in range(models):
        name, status = f"model-{number:04d}", objects.builders.RUNNING if number % 20 == 0 else {"outcome": "Promoted"}
        api.objects += [objects.model(name, "team-c"), objects.release(name, "team-c", **status)]
    async with tokenapi.running(api):
        world = World(api)
        async with world.client(ALL, app=world.app()) as client:
            yield client
        await world.doors[-1].close()


async def spent(client: httpx.AsyncClient, path: str) -> float:
    """Seconds of the processor for a page."""
    began = time.process_time()
    answer = await client.get(path)
    assert answer.status_code == 200
    assert len(answer.content) <= FIRST_PAGE_BYTES or path != "/"
    return time.process_time() - began


async def test_a_thousand_models_are_shown_in_small_pages_that_cost_little_more_than_those_of_a_hundred() -> None:
    async with AsyncExitStack() as stack:
        clients = {models: await stack.enter_async_context(reading(models)) for models in (FEW, MANY)}
        first = {models: await spent(client, "/") for models, client in clients.items()}
        times = defaultdict[tuple[str, int], list[float]](list)
        for _ in range(TURNS):
            for path in PAGES:
                for models, client in clients.items():
                    times[path, models].append(await spent(client, path))
    ratios = {path: statistics.median(times[path, MANY]) / statistics.median(times[path, FEW]) for path in PAGES}
    print(f"ten times as many models: the first page {first[MANY] / first[FEW]:.1f} times, then {ratios}")
    assert first[MANY] <= 3 * (MANY / FEW) * first[FEW], "as the lists grow"
    assert max(ratios.values()) <= 4
