"""Notices that the machine's clock was put back, so that waits begin anew then, and not only when they were to end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sluice.shell.cache.keys import Woken
from sluice_core.ports import Clock

LOG: Final = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
STEP_SECONDS: Final = 1.0
"""Smaller steps lengthen no wait by much; a clock that is slewed makes much smaller ones."""


async def watch(clock: Clock, wake: Callable[[Woken], None]) -> None:
    """Runs until cancelled.

    A moment that is noted in an object is further away than its wait is long once the clock is behind it; whoever looks
    sees that, and waits from then on. Without this the operator would look when the whole wait is over, and wait again.
    """
    ahead = clock.now() - clock.monotonic()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        before, ahead = ahead, clock.now() - clock.monotonic()
        if before - ahead > STEP_SECONDS:
            LOG.warning("the clock was put back by %.0f s; waits that were noted begin anew", before - ahead)
            wake(Woken(spread=True))
