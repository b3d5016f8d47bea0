"""Who waits: for a slot to write, or for samples of Prometheus; and what is known of them meanwhile.

A reconcile that finds no slot is over, and its release is looked at again while it waits: a version that has users may have to
give them back. What it takes for such a look is kept, so that only the judge reads the new samples.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sluice.shell.cache.keys import Key
from sluice.shell.cache.shelf import Entry
from sluice.shell.order.lane import Lane
from sluice.shell.questions.asking import covers
from sluice_core.decide.prepare import Compared, Inquiry, Prepared, Replies
from sluice_core.kernel.plan import Plan

KEPT_SECONDS: Final = 10.0
"""How long a reconcile that waited for a slot may use what it knew before."""
MOST_KEPT: Final = 256
"""Reconciles of which that is remembered at the same time, beside those whose turn has come."""
TOGETHER_SECONDS: Final = 1.0
"""While others wait to write, what happens within this time is seen by one reconcile."""
BUSY_CONFIRM_SECONDS: Final = 2.0
"""While others wait to write, a reconcile that wrote is followed so much later by one that finds what follows from it, unless
something happens before: mostly it does."""
SAMPLES_SECONDS: Final = 5.0
"""A reconcile that lacks samples ends, and they wake the next one; after this time what does not need them is decided."""
WAITING_LOOKS_PER_SECOND: Final = 50.0
"""At so many of those that wait for a slot: a look costs processor time that others may need."""
LACKING_LOOKS_PER_SECOND: Final = 10.0
"""The same of those that wait for samples: without them a reconcile sees nothing but the clock."""


@dataclass(frozen=True, slots=True)
class KeptReplies:
    """What a reconcile knew that has to wait before it writes, so that the one that writes need not ask again."""

    inquiry: Inquiry
    replies: Replies | None
    """None where too many are remembered."""
    at: float
    """When it was known, seconds since the epoch."""

    def answers(self, inquiry: Inquiry, now: float) -> Replies | None:
        """The same for another reconcile, if that wants to know nothing else."""
        young = abs(now - self.at) <= KEPT_SECONDS and self.inquiry.devices == inquiry.devices
        return self.replies if young and covers(self.inquiry.metrics, self.at, inquiry.metrics, now) else None


class WaitingPlan(NamedTuple):
    """A plan that waits for a slot."""

    plan: Plan
    known: tuple[Entry, ...]
    """What it was made from, of the key's own objects."""
    at: float
    """When, in seconds since the epoch."""


@dataclass(slots=True)
class Waiters:
    """What a reconciler knows of those that wait."""

    lane: Lane[Key]
    """Who may write."""
    lacking: set[Key] = field(default_factory=set)
    """Those that wait for samples."""
    kept: dict[Key, KeptReplies] = field(default_factory=dict)
    """What those know that wait for a slot."""
    compared: dict[Key, Compared] = field(default_factory=dict)
    """What is judged of them; only of those of which a version has users' requests."""
    decided: dict[Key, WaitingPlan] = field(default_factory=dict)
    """What those do that wait for a slot and have begun: if nothing happens to them meanwhile, it need not be decided anew."""

    def judges(self, key: Key, prepared: Prepared) -> None:
        """Remembers what is looked at if the reconcile has to wait."""
        if prepared.inquiry.judges:
            self.compared[key] = prepared.compared
        else:
            self.compared.pop(key, None)

    def lacks(self, key: Key) -> float:
        """The reconcile is over without samples; seconds until the next one, which need not have them. Its place in the line is
        kept meanwhile, and a slot is left to who can use it."""
        self.lacking.add(key)
        if self.lane.holds(key):
            self.lane.step_back(key)
        return max(SAMPLES_SECONDS, len(self.lacking) / LACKING_LOOKS_PER_SECOND)

    def look_after(self, key: Key, after: float | None) -> float | None:
        """Seconds until the next look at something that waits to be written: the more wait, the longer. None where only
        what happens can change what is to be written: no version that is judged has users' requests."""
        if key not in self.kept or key not in self.compared or after is None:
            return None
        return max(after, SAMPLES_SECONDS, self.lane.waiting() / WAITING_LOOKS_PER_SECOND)

    def decide(self, key: Key, decided: WaitingPlan) -> None:
        """Remembers what is going to be written when there is a slot."""
        self.decided.pop(key, None)
        if len(self.decided) < MOST_KEPT:
            self.decided[key] = decided

    def plan(self, key: Key, known: tuple[Entry, ...], now: float) -> Plan | None:
        """For a reconcile that has its slot: what had been decided when it had to wait, where nothing has happened since."""
        decided = self.decided.get(key)
        if decided is None or not self.lane.holds(key) or decided.known != known:
            return None
        return decided.plan if abs(now - decided.at) <= KEPT_SECONDS else None

    def keep(self, key: Key, inquiry: Inquiry, replies: Replies, now: float) -> None:
        """What a reconcile knows, in case that it has to wait; nothing where nothing was asked, or is not answered yet."""
        if not inquiry.metrics and inquiry.devices is None:
            self.kept.pop(key, None)
        elif not replies.pending:
            self.kept[key] = KeptReplies(inquiry, replies if self._has_room(key) else None, now)

    def _has_room(self, key: Key) -> bool:
        """A key that has had its turn does not ask again at the next one: where many wait, nothing would ever be written."""
        before = self.kept.get(key)
        is_there = before is not None and before.replies is not None
        return is_there or len(self.kept) < MOST_KEPT or self.lane.stepped_back(key)

    def known(self, key: Key, inquiry: Inquiry, now: float) -> Replies | None:
        """For a reconcile that has its slot: what was known when it had to wait."""
        kept = self.kept.get(key) if self.lane.holds(key) else None
        return None if kept is None else kept.answers(inquiry, now)

    def over(self, key: Key) -> None:
        """A reconcile is over that waits for nothing."""
        self.kept.pop(key, None)
        self.compared.pop(key, None)
        self.decided.pop(key, None)
        self.lane.leave(key)
