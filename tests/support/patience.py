"""How long to wait on this machine: one factor, measured once when a run starts, for every limit in the tests.

A limit is written as it is on two calm processors. Where the machine is slower, or does other work, or where there are
more workers than processors, all limits are longer by the same factor. They stay far below the ten minutes after which
the operator lists everything again, so that a lost wake-up is a failure everywhere.
"""

import os
import time
from typing import Final

VARIABLE: Final = "SLUICE_TEST_PATIENCE"
"""The factor, for the processes of one run."""
ROUNDS: Final = 20
ROUND_SECONDS: Final = 0.010
"""What `_work` takes on a calm machine."""
MOST: Final = 6.0


def measured(workers: int) -> float:
    """The factor for so many processes of tests; at least 1."""
    began = time.monotonic()
    for _ in range(ROUNDS):
        _work()
    slowness = (time.monotonic() - began) / (ROUNDS * ROUND_SECONDS)
    crowd = workers / (os.cpu_count() or 1)
    return round(min(MOST, max(1.0, slowness) * max(1.0, crowd)), 1)


def factor() -> float:
    """Of this run; measured by whoever asks first."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(measured(1))
    return float(os.environ[VARIABLE])


def seconds(limit: float) -> float:
    """The limit on this machine."""
    return limit * factor()


def _work() -> int:
    number = 0
    for index in range(200_000):
        number = (number * 31 + index) % 1_000_003
    return number
