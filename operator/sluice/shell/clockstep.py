"""Notices that the machine's clock was set back, so that waits restart at once, not when they were to end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sluice.shell.cache.keys import Woken
from sluice_core.ports import Clock

LOG: Final = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
STEP_SECONDS: Final = 1.0
"""Smaller steps hardly lengthen a wait; a clock that is slewed makes much smaller ones."""


async def watch(clock: Clock, wake: Callable[[Woken], None]) -> None:
    """Runs until cancelled.

    Once the clock is set back, a moment noted in an object is further away than its wait is long; a reconcile sees
    that, and starts the wait anew. Without this watch the operator would reconcile when the whole wait is over, and
    wait again.
    """
    ahead = clock.now() - clock.monotonic()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        before, ahead = ahead, clock.now() - clock.monotonic()
        if before - ahead > STEP_SECONDS:
            LOG.warning("the clock was put back by %.0f s; waits that were noted begin anew", before - ahead)
            wake(Woken(spread=True))
