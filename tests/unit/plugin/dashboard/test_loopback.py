"""The page on one's own machine: for whoever has the key, under its own name, and for nobody else."""

from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import dashboard as command
from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import LoopbackDoor
from kubectl_sluice.dashboard.sessions import ReaderSession
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from sluice_core.api.config import OperatorConfig
from tests.unit.plugin.dashboard.conftest import ALL, World

PORT = 8765
HERE = f"http://127.0.0.1:{PORT}"


@pytest.fixture
async def door(world: World) -> AsyncIterator[LoopbackDoor]:
    cluster = cast("kubectl.Kubectl", world.api.server.connect(ALL))
    door = LoopbackDoor(ReaderSession("ann", cluster), PORT)
    yield door
    await door.close()


def client(door: LoopbackDoor, host: str = HERE) -> httpx.AsyncClient:
    app = application(door, DashboardSettings(DashboardConfig(), OperatorConfig()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=host)  # type: ignore[arg-type]


async def test_the_key_opens_once_and_becomes_a_cookie(door: LoopbackDoor) -> None:
    key = door.path
    async with client(door) as browser:
        opened = await browser.get(key)
        assert opened.status_code == 200
        cookie = opened.headers["Set-Cookie"]
        assert cookie.startswith(f"sluice-{PORT}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert key.removeprefix("/open/") not in cookie
        page = await browser.get("/")
        assert "digits" in page.text
        assert "Log out" not in page.text
    async with client(door) as other:
        assert (await other.get(key)).status_code == 403
        assert (await other.get("/")).status_code == 403


@pytest.mark.parametrize("path", ["/", "/models/team-a/digits", "/events", "/open/guess", "/open/None", "/login"])
async def test_others_of_this_machine_get_nothing(door: LoopbackDoor, path: str) -> None:
    async with client(door) as browser:
        browser.cookies["sluice"] = browser.cookies[f"sluice-{PORT}"] = "guess"
        answer = await browser.get(path, headers={"Authorization": f"Bearer {ALL}"})
    assert answer.status_code in (403, 405)
    assert "team-a" not in answer.text.replace(path, "")


async def test_a_login_is_not_for_this_page(door: LoopbackDoor) -> None:
    async with client(door) as browser:
        answer = await browser.post("/login", data={"token": ALL}, headers={"Origin": HERE})
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("host", [f"http://evil.example:{PORT}", "http://127.0.0.1:80", "http://127.0.0.1"])
async def test_a_name_that_leads_here_is_not_enough(door: LoopbackDoor, host: str) -> None:
    key = door.path
    async with client(door, host) as browser:
        assert (await browser.get(key)).status_code == 421
        assert (await browser.get("/static/style.css")).status_code == 421
    assert door.path == key


def test_it_listens_on_this_machine_alone() -> None:
    assert command.HOST == "127.0.0.1"
    with command._listening(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_requests_are_not_logged() -> None:
    assert not server.configuration(None, host="127.0.0.1", port=1).access_log
