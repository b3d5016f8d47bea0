"""Shared code of the commands that follow something with -w, on a terminal and in a pipe."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from kubectl_sluice.cli import console
from sluice_core import errors

REFRESH_SECONDS: Final = 1.0

State = TypeVar("State")


async def next_state(fetch: Callable[[], Awaitable[State]]) -> State:
    """The state after a pause. Waits for a cluster that does not answer, and says so once on standard error."""
    lost = False
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            state = await fetch()
        except errors.Unavailable as error:
            if not lost:
                console.say(f"out of date until the cluster answers: {error}")
            lost = True
        else:
            if lost:
                console.say("the cluster answers again")
            return state
