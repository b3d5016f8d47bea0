"""Events under deterministic names: deciding one, reading it in a record and repeating it give the same name.

decided ──> recorded ──────────────────────> sent             one name, made of what is recorded
            └── listed by every plan while it is recent ──┘   sent by the next reconcile if a write failed in between
"""

from typing import Final

from sluice_core.kernel.reasons import AnyReason
from sluice_judge import hashing

RECENT_SECONDS: Final = 600.0
"""Events recorded within this time are announced again by an operator that has just started."""


def happening(uid: str, reason: AnyReason, *what: str | int) -> str:
    """The name of one event of the object with this uid; `what` distinguishes events of the same reason."""
    return f"{uid}.{reason}.{hashing.stable_hash(what)}"


def is_recent(time: float, now: float) -> bool:
    """Whether it may not have been sent yet. Both in seconds since the epoch; a clock that was set back does not
    matter.
    """
    return abs(now - time) < RECENT_SECONDS


def spell(time: float) -> int:
    """The same number for all times within ten minutes: what comes and goes within them is reported once."""
    return int(time // RECENT_SECONDS)
