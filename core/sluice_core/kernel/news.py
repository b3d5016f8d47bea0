"""What happened, by a name that stays: whoever decides it, reads it in a record or tells it once more names the same.

decided ──> recorded ──────────────────────> told             one name, made of what is recorded
            └── listed by every plan while it is recent ──┘   told by the next reconcile if a write failed in between
"""

from typing import Final

from sluice_core.kernel.reasons import AnyReason
from sluice_judge import hashing

RECENT_SECONDS: Final = 600.0
"""What is recorded as younger than this is announced again by an operator that has just begun."""


def happening(uid: str, reason: AnyReason, *what: str | int) -> str:
    """The name of one happening to the object of this uid; `what` tells it from others of the same reason."""
    return f"{uid}.{reason}.{hashing.stable_hash(what)}"


def is_recent(time: float, now: float) -> bool:
    """Whether it may not have been told yet. Both in seconds since the epoch; a clock that was put back is fine."""
    return abs(now - time) < RECENT_SECONDS


def spell(time: float) -> int:
    """The same number for all moments of a spell of ten minutes: what comes and goes within it is told once."""
    return int(time // RECENT_SECONDS)
