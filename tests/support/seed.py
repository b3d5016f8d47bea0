"""The seed of a run's random numbers: a new one each time, unless the variable is set."""

import os
import random
from typing import Final

VARIABLE: Final = "SLUICE_TEST_SEED"
"""The seed, for the processes of one run."""


def of_this_run() -> int:
    """Drawn by the first caller."""
    return int(os.environ.setdefault(VARIABLE, str(random.SystemRandom().randrange(1_000_000))))
