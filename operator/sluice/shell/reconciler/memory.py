"""What a reconciler remembers of an object from one pass to the next."""

from dataclasses import dataclass
from typing import Final

WRITING_PASSES: Final = 30
"""This many passes may change a model's objects in a short time, far more than any release needs."""
WRITING_SECONDS: Final = 2.0
"""Beyond them one in this time: who fights over a field is not beaten by more writes, only the API server is."""


@dataclass(slots=True)
class Memory:
    """What is remembered of a model between passes; gone when it rests."""

    writing_passes: int = 0
    complained: str = ""


@dataclass(slots=True)
class Allowance:
    """Passes that may still change objects at once; it grows back with time."""

    moment: float
    left: float = float(WRITING_PASSES)
    complained: bool = False

    def wait_seconds(self, now: float) -> float:
        """Until the next one; 0 when it may begin."""
        self.left = min(float(WRITING_PASSES), self.left + (now - self.moment) / WRITING_SECONDS)
        self.moment = now
        self.complained = self.complained and self.left < WRITING_PASSES
        return max(0.0, (1.0 - self.left) * WRITING_SECONDS)
