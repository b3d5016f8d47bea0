"""A release that should begin, or why none does."""

from dataclasses import dataclass

from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no release begins although another version is asked for than serves."""

    reason: Reason
    message: str
    until: float | None = None
    """When a freeze window lets it begin, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A release that should begin now."""

    target: Revision
    number: int
    """Counts the attempts to release the same revision, or to make the same test."""
    start_step: int = 1
    arms: tuple[Revision, ...] = ()
    """The arms of an A/B test, in which the target is the control."""
    rollback: bool = False
    """Whether it goes back to a version that served before."""
    alarm: str = ""
    """What the watch over the stable version says, where it asks for that; otherwise a person does."""
    analysed: bool = True
    """False where that version served so recently that nothing need be proven."""
