"""The application: pages behind their guard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from kubectl_sluice.dashboard.guard import Guard, LoopbackDoor, TokenDoor
from kubectl_sluice.dashboard.pages import Pages
from kubectl_sluice.dashboard.proofs import Proofs
from kubectl_sluice.dashboard.settings import DashboardSettings
from kubectl_sluice.dashboard.templating import Templates
from sluice_core import errors
from sluice_core.ports import Metrics

STATIC: Final = Path(__file__).parent / "static"
SMALL: Final = 1024
"""Answers below this size in bytes are not compressed."""
SWEEP_SECONDS: Final = 60.0


async def _swept(door: TokenDoor | LoopbackDoor) -> None:
    """Drops tokens in time, even without visitors."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await door.sweep()


def application(door: TokenDoor | LoopbackDoor, settings: DashboardSettings, metrics: Metrics | None = None) -> Guard:
    """The application for a server. metrics: replaces the settings' Prometheus."""
    proofs = Proofs(settings, metrics)
    pages = Pages(Templates(loopback=isinstance(door, LoopbackDoor)), door, proofs, settings)

    async def unknown(request: Request, _: Exception) -> Response:
        return pages.refused(request, "there is no such page", 404)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_swept(door))
        yield
        sweeping.cancel()
        await door.close()
        await proofs.close()

    inner = Starlette(
        routes=[*pages.routes(), Mount("/static", StaticFiles(directory=STATIC), name="static")],
        middleware=[Middleware(GZipMiddleware, minimum_size=SMALL)],
        exception_handlers={errors.ApiError: pages.failed, 404: unknown},
        lifespan=lifespan,
    )
    return Guard(inner, door, pages.refused)
