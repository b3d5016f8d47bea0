"""What a reconciler remembers of an object from one pass to the next."""

from dataclasses import dataclass
from typing import Final

from sluice.core.decide.prepare import Inquiry, Replies
from sluice.shell.asking import covers

WRITING_PASSES: Final = 30
"""This many passes may change a model's objects in a short time, far more than any release needs."""
WRITING_SECONDS: Final = 2.0
"""Beyond them one in this time: who fights over a field is not beaten by more writes, only the API server is."""
KEPT_SECONDS: Final = 10.0
"""For so long a pass that waited for a slot may go by what it knew before."""
MOST_KEPT: Final = 256
"""Passes of which that is remembered at the same time."""


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


@dataclass(frozen=True, slots=True)
class KeptReplies:
    """What a pass knew that has to wait before it writes, so that the one that writes need not ask again."""

    inquiry: Inquiry
    replies: Replies | None
    """None where too many are remembered."""
    at: float
    """When it was known, seconds since the epoch."""

    def answers(self, inquiry: Inquiry, now: float) -> Replies | None:
        """The same for another pass, if that wants to know nothing else."""
        young = abs(now - self.at) <= KEPT_SECONDS and self.inquiry.devices == inquiry.devices
        return self.replies if young and covers(self.inquiry.metrics, self.at, inquiry.metrics, now) else None
