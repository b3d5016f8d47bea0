"""What somebody does to the page of a cluster, over real sockets, and what others have of it then."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from kubectl_sluice.dashboard import sessions
from tests.support.live import pageprocess, tokenapi
from tests.support.live.tokenapi import Raw, Reader, TokenApi
from tests.unit.plugin.dashboard import objects

ADMIN, VICTIM = "token-of-admin", "token-of-victim"
HALVES = (
    b"GET / HTTP/1.1\r\nHost: page\r\n",
    b"POST /login HTTP/1.1\r\nHost: page\r\nOrigin: http://page\r\nContent-Length: 9\r\n\r\ntoken",
    b"",
)
FLOOD = 1010
"""More connections than the page has for anybody."""


@pytest.fixture
async def api() -> AsyncIterator[TokenApi]:
    readers = {ADMIN: Reader("admin"), VICTIM: Reader("victim", frozenset({"team-a"}))}
    async with tokenapi.running(TokenApi(readers, objects.two_namespaces())) as api:
        yield api


@contextlib.asynccontextmanager
async def half_sent(port: int, sent: bytes) -> AsyncIterator[None]:
    writers = []
    try:
        for _ in range(FLOOD):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writers.append(writer)
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


async def test_requests_that_are_half_sent_keep_nobody_out_and_the_page_alive(api: TokenApi) -> None:
    with pageprocess.running(api.address) as page:
        for sent in HALVES:
            async with half_sent(page.port, sent), page.client(ADMIN) as client:
                assert await page.health() == 200
                assert (await client.get("/")).status_code == 200
        async with half_sent(page.health_port, HALVES[0]):
            assert await page.health() == 200


async def test_streams_that_are_asked_for_at_once_are_no_more_than_there_may_be(api: TokenApi) -> None:
    with pageprocess.running(api.address) as page:
        async with page.client(ADMIN) as client:
            await client.get("/batches")
            async with contextlib.AsyncExitStack() as stack:
                asked = (stack.enter_async_context(client.stream("GET", "/events")) for _ in range(300))
                statuses = Counter(answer.status_code for answer in await asyncio.gather(*asked))
    assert statuses == {200: sessions.MOST_STREAMS, 429: 300 - sessions.MOST_STREAMS}


def heavy(number: int, namespace: str) -> Raw:
    """A model of 300 KB of which a page reads all, and that is hardly compressed."""
    raw = objects.model(f"heavy-{number:03d}", namespace)
    chance = random.Random(number)
    raw["spec"]["runtime"] = {"env": [{"name": f"V{n}", "value": chance.randbytes(2000).hex()} for n in range(90)]}
    return raw


async def test_heavy_models_of_a_namespace_that_sorts_early_leave_others_their_lines(api: TokenApi) -> None:
    small = [objects.model(f"small-{number}", "aaa") for number in range(150)]
    api.objects[:0] = [*(heavy(number, "aaa") for number in range(95)), *small]
    with pageprocess.running(api.address) as page:
        async with page.client(ADMIN) as client:
            shown = (await client.get("/?namespace=team-a+team-b")).text
    assert all(f">{name}</a>" in shown for name in ("digits", "faces", "hidden-model"))
    assert "more than there is room for" in shown


async def test_service_accounts_without_rights_log_nobody_out(api: TokenApi) -> None:
    thieves = [f"thief-{number}" for number in range(120)]
    api.readers |= {each: Reader(f"system:serviceaccount:evil:{each}", frozenset()) for each in thieves}
    with pageprocess.running(api.address) as page:
        async with page.client() as browser:
            login = {"data": {"token": VICTIM}, "headers": {"Origin": page.url}}
            assert (await browser.post("/login", **login)).status_code == 303
            for thief in thieves:
                async with page.client(thief) as script:
                    await script.get("/")
            assert (await browser.get("/?namespace=team-a")).status_code == 200
