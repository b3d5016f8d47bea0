"""A release that should begin, or why none does."""

from dataclasses import dataclass

from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no release begins although the requested version does not serve."""

    reason: Reason
    message: str
    until: float | None = None
    """When a freeze window ends and lets it begin, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A release that should begin now."""

    target: Revision
    number: int
    """Counts the attempts to release the same revision, or to run the same test."""
    start_step: int = 1
    arms: tuple[Revision, ...] = ()
    """The arms of an A/B test, in which the target is the control."""
    rollback: bool = False
    """Whether it rolls back to a version that served before."""
    alarm: str = ""
    """The alarm of the watch over the stable version, if that requests the rollback; otherwise a person does."""
    analysed: bool = True
    """False if that version served so recently that nothing need be proven."""
