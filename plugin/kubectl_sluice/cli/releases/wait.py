"""`kubectl sluice wait`: for pipelines."""

import asyncio
import time
from typing import Annotated, Any, Final, TypeAlias

import typer

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget, OutputFormat, seconds
from kubectl_sluice.views.releases.progress import ProgressState, RolloutProgress, progress
from sluice_core import errors
from sluice_core.views import words

POLL_SECONDS: Final = 1.0
LOG_SECONDS: Final = 10.0
"""The least time between two remarks in a log; a terminal gets every change."""
CODES: Final = {
    ProgressState.CURRENT: exits.OK,
    ProgressState.NOT_RELEASED: exits.NOT_RELEASED,
    ProgressState.STALLED: exits.FAILED,
}
Timeout: TypeAlias = Annotated[
    Any, typer.Option("--timeout", parser=seconds, metavar="DURATION", help="30s, 5m, 1h, 1h30m.")
]


async def wait(target: ModelTarget, output: OutputFormat, *, patience: Timeout = "1h") -> int:
    """Looks until the release has ended in any way."""
    started = time.monotonic()
    remarks = Remarks(every_change=console.stderr().is_terminal)
    async with cluster.session(target) as session:
        while True:
            now = await _look(session)
            elapsed = time.monotonic() - started
            if now.state in CODES:
                return _end(now, CODES[now.state], elapsed, output)
            if elapsed >= patience:
                return _end(now, exits.TIMED_OUT, elapsed, output)
            remarks.offer(now.line)
            await asyncio.sleep(min(POLL_SECONDS, max(patience - elapsed, 0.0)))


async def _look(session: cluster.Session) -> RolloutProgress:
    """A brief outage of the API server must not fail a pipeline that waits for an hour."""
    try:
        release = await session.fetch()
    except errors.Unavailable as error:
        return RolloutProgress(ProgressState.WAITING, str(error))
    return progress(release.deployment, release.rollouts, now=time.time())


def _end(progress: RolloutProgress, code: int, elapsed_seconds: float, output: OutputFormat) -> int:
    state = "timedOut" if code == exits.TIMED_OUT else progress.state.value
    late = f"no decision within {words.span(elapsed_seconds)}: " if code == exits.TIMED_OUT else ""
    document = {"state": state, "message": progress.line, "seconds": round(elapsed_seconds, 1), "exitCode": code}
    console.show(output, document, late + progress.line)
    return code


class Remarks:
    """Reports what is awaited: every change on a terminal, at most once in LOG_SECONDS in a log."""

    def __init__(self, *, every_change: bool) -> None:
        self._pause = 0.0 if every_change else LOG_SECONDS
        self._last = ""
        self._spoken = float("-inf")

    def offer(self, line: str) -> None:
        now = time.monotonic()
        if line != self._last and now - self._spoken >= self._pause:
            console.say(line)
            self._last, self._spoken = line, now
