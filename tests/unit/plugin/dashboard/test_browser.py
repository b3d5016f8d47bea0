"""The page in a real browser: Debian's Chromium by Playwright, with axe."""

import asyncio
import contextlib
import html
import itertools
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from kubectl_sluice.cli.dashboard import REDIRECT
from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import LoopbackDoor
from kubectl_sluice.dashboard.sessions import ReaderSession
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from kubectl_sluice.views.releases.questions import QUESTIONS
from sluice_core.api.config import OperatorConfig
from tests.support import patience, programs
from tests.support.live import tokenapi
from tests.support.live.tokenapi import Reader, TokenApi
from tests.support.simulated.cluster import Cluster
from tests.unit.plugin.dashboard.conftest import ALL, World
from tests.unit.plugin.dashboard.test_questions import Sections, SimulatedMetrics, failed, running, stored  # noqa: F401

IN_SIGHT = """id => {
    const top = document.getElementById(id).getBoundingClientRect().top;
    return top > -1 && top < innerHeight - 100;
}"""
RELEASE = "/models/team-a/digits/releases/digits-r1"
PAGES = (
    "/",
    "/models/team-a/digits",
    RELEASE,
    f"{RELEASE}/verdict",
    "/models/team-a/faces/releases/faces-r1",
    "/batches",
    "/rules",
)


@contextlib.asynccontextmanager
async def serving(app: Any, listener: socket.socket) -> AsyncIterator[str]:
    port = listener.getsockname()[1]
    served = uvicorn.Server(server.configuration(app, host="127.0.0.1", port=port))
    served.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(served.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        served.should_exit = True
        await task


def listening() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    async with serving(world.app(), listening()) as address:
        yield address


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    playwright = programs.module("playwright.async_api")
    chromium = programs.needed("chromium")
    async with playwright.async_playwright() as driver:
        found = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield found
        await found.close()


async def opened(browser: Any, address: str, *, complaints: list[str], path: str = RELEASE, **options: Any) -> Any:
    """A page of a browser that has logged in by the form."""
    page = await browser.new_page(**options)
    page.set_default_timeout(1000 * patience.HANG_SECONDS)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(address + path)
    await page.fill("#token", ALL)
    await page.click("main button")
    await page.wait_for_url(address + path)
    return page


async def changing(world: World, raw: Any) -> None:
    """News again and again: whoever begins to listen now hears of the next one."""
    for number in itertools.count():
        world.api.put({**raw, "status": raw["status"] | {"message": f"something new {number}"}})
        await asyncio.sleep(0.1)


async def test_a_reader_logs_in_and_sees_news_without_loading_anew(world: World, address: str, browser: Any) -> None:
    complaints: list[str] = []
    page = await opened(browser, address, complaints=complaints)
    await page.wait_for_selector("#verdict .note")
    news = asyncio.create_task(changing(world, world.api.objects[1]))
    await page.wait_for_selector("text=something new")
    news.cancel()
    assert [each for each in complaints if "401" not in each] == []


@pytest.mark.slow
@pytest.mark.parametrize("which", ["failed", "running"])
async def test_each_of_the_twelve_questions_is_answered_with_one_click(
    which: str, request: pytest.FixtureRequest, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the answers are is held beside the API's objects in test_questions; here it is what a person sees of them."""
    release: Cluster = request.getfixturevalue(which)
    monkeypatch.setattr("kubectl_sluice.dashboard.reading.time.time", lambda: release.now)
    path = f"/models/default/digits/releases/{release.newest().metadata.name}"
    async with tokenapi.running(TokenApi({ALL: Reader("all")}, stored(release))) as api:
        pages = World(api)
        app = pages.app(SimulatedMetrics(release))
        async with pages.client(ALL, app=app) as client:
            answers = Sections((await client.get(path)).text).texts
            verdict = (await client.get(f"{path}/verdict", headers={"HX-Request": "true"})).text
            answers["verdict"] = QUESTIONS["verdict"] + html.unescape(re.sub(r"<[^>]*>", "", verdict))
        async with serving(app, listening()) as address:
            page = await opened(browser, address, complaints=[], path=path)
            for name, words in QUESTIONS.items():
                await page.goto(address + path)
                await page.click(f"nav >> text={words}")
                answer = page.locator(f'[data-question="{name}"]')
                if name == "verdict":
                    await page.wait_for_selector("#verdict svg")
                await page.wait_for_function(IN_SIGHT, arg=f"q-{name}")
                shown = "".join((await answer.text_content()).split())
                assert shown.startswith("".join(answers[name].split())), name  # below a verdict are commands to redo it
            await page.close()
        await pages.doors[-1].close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(address: str, browser: Any, scheme: str) -> None:
    axe = programs.module("axe_playwright_python.async_playwright")
    page = await opened(browser, address, complaints=[], color_scheme=scheme)
    found = []
    for path in PAGES:
        await page.goto(address + path, wait_until="load")
        await page.wait_for_timeout(500)
        results = await axe.Axe().run(page)
        found += [(path, each["id"], each["nodes"][0]["html"]) for each in results.response["violations"]]
    await page.context.clear_cookies()
    await page.goto(address + "/")
    results = await axe.Axe().run(page)
    found += [("login", each["id"], each["nodes"][0]["html"]) for each in results.response["violations"]]
    assert found == []


@pytest.mark.slow
async def test_a_phone_shows_it_without_scrolling_aside(address: str, browser: Any) -> None:
    page = await opened(browser, address, complaints=[], viewport={"width": 360, "height": 740})
    for path in PAGES:
        await page.goto(address + path, wait_until="load")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path


@pytest.mark.slow
async def test_the_browser_opens_the_printed_address_from_a_file(world: World, browser: Any, tmp_path: Path) -> None:
    listener = listening()
    cluster = world.api.server.connect(ALL)
    door = LoopbackDoor(ReaderSession("ann", cluster), listener.getsockname()[1])
    app = application(door, DashboardSettings(DashboardConfig(), OperatorConfig()))
    async with serving(app, listener) as address:
        file = tmp_path / "open.html"
        file.write_text(REDIRECT.format(url=address + door.path))
        page = await browser.new_page()
        await page.goto(file.as_uri())
        await page.wait_for_selector("text=digits", timeout=1000 * patience.HANG_SECONDS)
        assert page.url == f"{address}/"
        await page.close()
    await door.close()
