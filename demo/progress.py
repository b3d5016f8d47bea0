"""What the demo says while it works: one line a step, with seconds, and the state of a release."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console

from demo import digits
from demo.program import Tools
from demo.release import Objective, Observation

LOG_WIDTH: Final = 132  # where no terminal gives one
CONSOLE: Final = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else LOG_WIDTH)
REPEAT_SECONDS: Final = 10.0
SHADES: Final = " .:-=+*#%@"
_BEGAN: Final = time.monotonic()


def say(text: str) -> None:
    CONSOLE.print(f"[dim]{time.monotonic() - _BEGAN:6.1f} s[/dim]  {text}")


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announce what begins, and say how long it took."""
    began = time.monotonic()
    say(f"{title} ...")
    yield
    say(f"[green]done[/green] {title} ({time.monotonic() - began:.1f} s)")


def ascii_image(image: npt.NDArray[np.float32]) -> str:
    """The digit as eight lines of text, two characters a pixel."""
    scale = (len(SHADES) - 1) / digits.PIXEL_MAXIMUM
    rows = image.reshape(8, 8)
    return "\n".join("".join(SHADES[round(float(pixel) * scale)] * 2 for pixel in row) for row in rows)


@contextlib.contextmanager
def live_view(tools: Tools, name: str, namespace: str) -> Iterator[bool]:
    """On a terminal, `kubectl sluice status -w` draws while the release runs; elsewhere nothing, and False is given."""
    if not CONSOLE.is_terminal:
        yield False
        return
    command = [tools.plugin_path, "status", name, f"--namespace={namespace}", "--watch"]
    view = subprocess.Popen(command, env=tools.full_environment)
    try:
        yield True
    finally:
        view.terminate()
        view.wait(10)


class Narrator:
    """Says in lines what a release does, where no live view is drawn: each change, and a sign of life between."""

    def __init__(self) -> None:
        self._last: tuple[int, int, str, str] | None = None
        self._spoken = 0.0

    def see(self, seen: Observation) -> None:
        key = (seen.step, seen.weight, seen.verdict, seen.outcome)
        if key == self._last and time.monotonic() - self._spoken < REPEAT_SECONDS:
            return
        self._last, self._spoken = key, time.monotonic()
        say(described(seen))


def described(seen: Observation) -> str:
    state = seen.outcome or seen.verdict or "starting"
    head = f"{seen.model}: weight {seen.weight:3d} %  {state:10}  {seen.candidate_requests} candidate requests"
    evidence = "; ".join(_evidence(objective) for objective in seen.objectives)
    return f"{head}  {evidence}".rstrip() + (f"  ({seen.message})" if seen.outcome and seen.message else "")


def _evidence(objective: Objective) -> str:
    failures, requests = objective.candidate
    parts = [
        f"{name} {value:.1f}/{threshold:.1f}"
        for name, value, threshold in (
            ("bad", objective.rollback, objective.rollback_threshold),
            ("good", objective.advance, objective.advance_threshold),
        )
        if value is not None and threshold is not None
    ]
    return f"{objective.name} {failures}/{requests} ({', '.join(parts)})"
