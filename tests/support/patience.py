"""How long a test waits for what must come: one limit, which only ends a test that hangs.

It is no measure of speed: it holds on the slowest machine. It is also shorter than half of the ten minutes after which
the operator lists everything again, so that a lost wake-up is a failure everywhere.
"""

from typing import Final

HANG_SECONDS: Final = 240.0


def seconds(usual: float) -> float:
    """The limit of something that takes so long by itself."""
    return HANG_SECONDS + usual
