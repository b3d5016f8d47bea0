"""Connections of the running event loop."""

import asyncio
from typing import Any, Final

from tests.support import patience

LOOK_SECONDS: Final = 0.01


async def all_ended() -> None:
    """Waits: TLS connections end some moments after they were closed, without notice."""
    loop: Any = asyncio.get_running_loop()
    async with asyncio.timeout(patience.HANG_SECONDS):
        while any(transport._sock is not None for transport in list(loop._transports.values())):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
