"""State that a reconciler keeps for an object between reconciles."""

from dataclasses import dataclass
from typing import Final

WRITING_RECONCILES: Final = 30
"""How many reconciles may change a model's objects in a short time, far more than any release needs."""
WRITING_SECONDS: Final = 2.0
"""Beyond them one in this time: more writes do not settle a fight over a field, and only load the API server."""


@dataclass(slots=True)
class Memory:
    """State of a model between reconciles; gone when it rests."""

    writing_reconciles: int = 0
    complained: str = ""


@dataclass(slots=True)
class Allowance:
    """Reconciles that may still change objects at once; it grows back with time."""

    moment: float
    left: float = float(WRITING_RECONCILES)
    complained: bool = False

    def wait_seconds(self, now: float) -> float:
        """Until the next one; 0 when it may begin."""
        self.left = min(float(WRITING_RECONCILES), self.left + (now - self.moment) / WRITING_SECONDS)
        self.moment = now
        self.complained = self.complained and self.left < WRITING_RECONCILES
        return max(0.0, (1.0 - self.left) * WRITING_SECONDS)
