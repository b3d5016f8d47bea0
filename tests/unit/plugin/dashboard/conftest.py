"""The page before an API server that knows tokens."""

import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import Guard, TokenDoor
from kubectl_sluice.dashboard.sessions import Sessions
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from sluice_core.api.config import OperatorConfig
from tests.support.live import tokenapi
from tests.support.live.tokenapi import Reader, TokenApi
from tests.unit.plugin.dashboard import objects

ALL, OF_A, NOBODY = "token-of-all", "token-of-a", "token-of-nobody"


@pytest.fixture(autouse=True)
def no_public_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all of the machine's takes half a second for each connection; in a cluster there is one."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


class World:
    """An API server, and pages before it."""

    def __init__(self, api: TokenApi) -> None:
        self.api = api
        self.doors: list[TokenDoor] = []

    def app(self, metrics: Any = None, **page: Any) -> Guard:
        settings = DashboardSettings(DashboardConfig.model_validate(page), OperatorConfig())
        door = TokenDoor(Sessions(self.api.server.connect), settings)
        self.doors.append(door)
        return application(door, settings, metrics)

    def client(self, token: str = "", *, app: Guard | None = None, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app or self.app())  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://page", headers=headers, **options)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Models of two namespaces, and readers of all, of one, and of none."""
    readers = {
        ALL: Reader("system:serviceaccount:ops:all"),
        OF_A: Reader("ann", frozenset({"team-a"})),
        NOBODY: Reader("nob", frozenset()),
    }
    async with tokenapi.running(TokenApi(readers, objects.two_namespaces())) as api:
        world = World(api)
        yield world
        for door in world.doors:
            await door.close()
