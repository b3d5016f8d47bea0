"""Keys that wait for a slot to write, or for samples of Prometheus, and what is known of them meanwhile.

A reconcile that finds no slot ends, and its release is looked at again while it waits: a version that has users may
have to be rolled back. What such a look needs is kept, so that only the judge reads the new samples.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sluice.shell.cache.keys import Key
from sluice.shell.cache.shelf import Entry
from sluice.shell.order.lane import Lane
from sluice.shell.questions.asking import covers
from sluice_core.decide.prepare import Compared, Inquiry, Prepared, Replies
from sluice_core.kernel.plan import Plan

KEPT_SECONDS: Final = 10.0
"""How long a reconcile that waited for a slot may use its earlier answers."""
MOST_KEPT: Final = 256
"""How many reconciles' answers are kept at the same time, beside those whose turn has come."""
TOGETHER_SECONDS: Final = 1.0
"""While others wait to write, events within this time lead to one reconcile."""
BUSY_CONFIRM_SECONDS: Final = 2.0
"""While others wait to write, a reconcile that wrote is followed this much later by one that confirms, unless an event
comes first, as it mostly does."""
SAMPLES_SECONDS: Final = 5.0
"""A reconcile that lacks samples ends, and they wake the next one; after this time it decides what does not need
them."""
WAITING_LOOKS_PER_SECOND: Final = 50.0
"""Looks at keys that wait for a slot: a look costs processor time that others may need. The namespaces have equal
parts of them."""
LACKING_LOOKS_PER_SECOND: Final = 10.0
"""Looks at keys that wait for samples, likewise: without them a reconcile sees nothing but the clock."""


@dataclass(frozen=True, slots=True)
class KeptReplies:
    """Answers to a reconcile that waits for a slot, so that the one that writes does not ask again."""

    inquiry: Inquiry
    replies: Replies | None
    """None where too many are kept."""
    at: float
    """When they came, seconds since the epoch."""

    def answers(self, inquiry: Inquiry, now: float) -> Replies | None:
        """The answers for another reconcile, if it asks for nothing more."""
        young = abs(now - self.at) <= KEPT_SECONDS and self.inquiry.devices == inquiry.devices
        return self.replies if young and covers(self.inquiry.metrics, self.at, inquiry.metrics, now) else None


class WaitingPlan(NamedTuple):
    """A plan that waits for a slot."""

    plan: Plan
    known: tuple[Entry, ...]
    """The key's own objects from which it was made."""
    at: float
    """When it was made, seconds since the epoch."""


@dataclass(slots=True)
class Waiters:
    """The reconciler's knowledge of waiting keys."""

    lane: Lane[Key]
    """Slots for writing."""
    lacking: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    """Keys that wait for samples, by namespace."""
    kept: dict[Key, KeptReplies] = field(default_factory=dict)
    """Answers for keys that wait for a slot."""
    compared: dict[Key, Compared] = field(default_factory=dict)
    """What the judge compares for them; only where a version has users' requests."""
    decided: dict[Key, WaitingPlan] = field(default_factory=dict)
    """Plans of keys that wait for a slot and have begun: without an event they are not decided anew."""

    def judges(self, key: Key, prepared: Prepared) -> None:
        """Keeps what is compared, in case the reconcile has to wait."""
        if prepared.inquiry.judges:
            self.compared[key] = prepared.compared
        else:
            self.compared.pop(key, None)

    def lacks(self, key: Key) -> float:
        """Ends a reconcile without samples; seconds until the next one, which does not need them. The key keeps its
        place in the line, and its slot goes to another."""
        self.lacking[key.namespace].add(key)
        if self.lane.holds(key):
            self.lane.step_back(key)
        crowd = len(self.lacking[key.namespace]) * len(self.lacking)
        return max(SAMPLES_SECONDS, crowd / LACKING_LOOKS_PER_SECOND)

    def has_samples(self, key: Key) -> None:
        """The key does not wait for samples any more."""
        if lacking := self.lacking.get(key.namespace):
            lacking.discard(key)
            if not lacking:
                del self.lacking[key.namespace]

    def look_after(self, key: Key, after: float | None) -> float | None:
        """Seconds until the next look at a plan that waits to be written: the more of its namespace wait, the longer.
        None where only an event can change the plan: no version that is judged has users' requests."""
        if key not in self.kept or key not in self.compared or after is None:
            return None
        return max(after, SAMPLES_SECONDS, self.lane.crowd(key) / WAITING_LOOKS_PER_SECOND)

    def decide(self, key: Key, decided: WaitingPlan) -> None:
        """Keeps a plan until there is a slot."""
        self.decided.pop(key, None)
        if len(self.decided) < MOST_KEPT:
            self.decided[key] = decided

    def plan(self, key: Key, known: tuple[Entry, ...], now: float) -> Plan | None:
        """For a reconcile that has its slot: the plan decided when it had to wait, if nothing has happened since."""
        decided = self.decided.get(key)
        if decided is None or not self.lane.holds(key) or decided.known != known:
            return None
        return decided.plan if abs(now - decided.at) <= KEPT_SECONDS else None

    def keep(self, key: Key, inquiry: Inquiry, replies: Replies, now: float) -> None:
        """Keeps the answers in case the reconcile has to wait; none where nothing was asked, or the answer is
        pending."""
        if not inquiry.metrics and inquiry.devices is None:
            self.kept.pop(key, None)
        elif not replies.pending:
            self.kept[key] = KeptReplies(inquiry, replies if self._has_room(key) else None, now)

    def _has_room(self, key: Key) -> bool:
        """A key that has had its turn does not ask again at the next one: with many waiting, nothing would ever be
        written."""
        before = self.kept.get(key)
        is_there = before is not None and before.replies is not None
        return is_there or len(self.kept) < MOST_KEPT or self.lane.stepped_back(key)

    def known(self, key: Key, inquiry: Inquiry, now: float) -> Replies | None:
        """For a reconcile that has its slot: the answers from when it had to wait."""
        kept = self.kept.get(key) if self.lane.holds(key) else None
        return None if kept is None else kept.answers(inquiry, now)

    def over(self, key: Key) -> None:
        """Ends a reconcile that waits for nothing."""
        self.kept.pop(key, None)
        self.compared.pop(key, None)
        self.decided.pop(key, None)
        self.lane.leave(key)
