"""How long a test waits for something: one limit, which only ends a test that hangs.

It does not measure speed: it holds on the slowest machine. It is also shorter than half of the ten minutes after which
the operator lists everything again, so that a lost wake-up is a failure everywhere.
"""

from typing import Final

HANG_SECONDS: Final = 240.0


def seconds(usual: float) -> float:
    """The limit for something that usually takes this long."""
    return HANG_SECONDS + usual
