"""`kubectl sluice wait`: for pipelines."""

import asyncio
import time
from typing import Final

from sluice import errors
from sluice.cli import cluster, console, exits
from sluice.cli.options import Output, Target
from sluice.views import words
from sluice.views.progress import Progress, State, progress

POLL_SECONDS: Final = 1.0
LOG_SECONDS: Final = 10.0
"""At least so long between two remarks in a log; a terminal gets every change."""
CODES: Final = {State.CURRENT: exits.OK, State.NOT_RELEASED: exits.NOT_RELEASED, State.STALLED: exits.FAILED}


async def wait(target: Target, *, timeout_seconds: int, output: Output) -> int:
    started = time.monotonic()
    remarks = Remarks(every_change=console.stderr().is_terminal)
    async with cluster.session(target) as session:
        while True:
            now = await _look(session)
            elapsed = time.monotonic() - started
            if now.state in CODES:
                return _end(now, CODES[now.state], elapsed, output)
            if elapsed >= timeout_seconds:
                return _end(now, exits.TIMED_OUT, elapsed, output)
            remarks.offer(now.line)
            await asyncio.sleep(min(POLL_SECONDS, max(timeout_seconds - elapsed, 0.0)))


async def _look(session: cluster.Session) -> Progress:
    """An API server that is away for a moment must not fail a pipeline that waits for an hour."""
    try:
        release = await session.fetch()
    except errors.Unavailable as error:
        return Progress(State.WAITING, str(error))
    return progress(release.deployment, release.rollouts, now=time.time())


def _end(progress: Progress, code: int, elapsed_seconds: float, output: Output) -> int:
    state = "timedOut" if code == exits.TIMED_OUT else progress.state.value
    late = f"no decision within {words.span(elapsed_seconds)}: " if code == exits.TIMED_OUT else ""
    if output is Output.JSON:
        console.print_json(
            {"state": state, "message": progress.line, "seconds": round(elapsed_seconds, 1), "exitCode": code}
        )
    else:
        console.stdout().print(late + progress.line, soft_wrap=True)
    return code


class Remarks:
    """Says what is waited for: every change on a terminal, no more often than LOG_SECONDS in a log."""

    def __init__(self, *, every_change: bool) -> None:
        self._pause = 0.0 if every_change else LOG_SECONDS
        self._last = ""
        self._spoken = float("-inf")

    def offer(self, line: str) -> None:
        now = time.monotonic()
        if line != self._last and now - self._spoken >= self._pause:
            console.say(line)
            self._last, self._spoken = line, now
