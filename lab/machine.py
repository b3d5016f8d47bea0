"""How fast this machine is."""

import os
import time
from typing import Final

ADDITIONS, CALM_SECONDS = 4_000_000, 0.2
USUAL_CORES: Final = 2


def slowness() -> float:
    """How much longer one core takes for a loop than a core of the usual machine does; measures for about a second."""
    began, number = time.monotonic(), 0
    for index in range(ADDITIONS):
        number = (number * 31 + index) % 1_000_003
    return (time.monotonic() - began) / CALM_SECONDS


def seconds(planned: float) -> float:
    """What takes so many seconds on two cores of the usual machine, if it keeps all cores busy."""
    return planned * slowness() * USUAL_CORES / (os.cpu_count() or USUAL_CORES)
