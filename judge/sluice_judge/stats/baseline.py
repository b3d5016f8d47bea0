"""A version's past since its promotion, as the limit of a change detector.

    minutes ──> hours: at least 60 minutes and 1,000 requests ──> counted from the next day on, and after one more day for good
                                                              ├─> the highest hour
                                                              └─> by hour of the week, from the fifth week on

    limit = margin x U,   U: upper bound (90 %) of the share of events in the highest hour       2 in the first week
                             of the same hour of the week and those beside it, once four weeks are known      then 1.5

An hour counts from the next day on. So a worsening by less than half from one day to the next is learnt, and never
seen; a faster one is seen before it is learnt. On the first day there is nothing to compare with, and no limit. Chance
alone exceeds the past: the margin is for that, for Mondays of a version that has only seen a weekend, and for days that
differ. Changes below the highest hour cannot be seen before the fifth week: three times the usual share at night may be
less than the usual one at noon.

Bursts make a minute's events vary more than Poisson's law says. Within an hour,

    phi = [sum x^2/n - X^2/N] / [(K - 1) p (1 - p)],   p = X/N        K minutes with n requests and x events, N and X in all

which is forgotten in some hundred hours; one hour counts for at most three times the usual phi, as an outage says
nothing about bursts. Hours of an alarm are not learnt at all: the open one is marked (`disturbed`), and those closed
before the alarm was noticed are removed (`without`), unless they are older than a day or two. All of it is known before
the minute that it is used for.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sluice_judge.stats import intervals

FIRST_MARGIN: Final = 2.0
MARGIN: Final = 1.5
"""The margin from the second week on."""
CONFIDENCE: Final = 0.9
FEW_REQUESTS: Final = 1000
"""An hour with fewer is extended until it has this many."""
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
WEEK: Final = 7 * DAY
BACK_SECONDS: Final = HOUR
"""A minute that begins this long before the last one is new: the clock was set back."""
SLOTS: Final = 168
WEEKS: Final = 4
"""The weeks after which the hour of the week counts."""
SEEN_MINUTES: Final = 720
"""Minutes that must be seen before there is a limit: half a day."""
KEPT_A_WEEK: Final = 0.9
"""What an hour of the week keeps of its value in a week, so that a single event does not hide anything for ever."""
LARGEST_HOUR: Final = 3.0
KEPT_AN_HOUR: Final = 0.99
FEW_EVENTS: Final = 30
"""An hour with fewer says nothing about bursts."""
_DIGITS: Final = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Hour:
    """The minutes that are not learnt yet."""

    begin: float = 0.0
    """When its first minute began."""
    minutes: int = 0
    requests: float = 0.0
    events: float = 0.0
    squares: float = 0.0
    """Sum of x^2/n."""
    disturbed: bool = False

    def after(self, requests: float, events: float, *, begin: float, disturbed: bool) -> "Hour":
        """The hour with one more minute that has at least one request."""
        return Hour(
            self.begin if self.minutes else begin,
            self.minutes + 1,
            self.requests + requests,
            self.events + events,
            self.squares + events * events / requests,
            self.disturbed or disturbed,
        )

    @property
    def dispersion(self) -> float | None:
        """phi; None if there are too few events."""
        share = self.events / self.requests
        expected = (self.minutes - 1) * share * (1 - share)
        if self.events < FEW_EVENTS or expected <= 0:
            return None
        return (self.squares - self.events * share) / expected


_NO_HOUR: Final = Hour()


@dataclasses.dataclass(frozen=True, slots=True)
class ClosedHour:
    """The result of an hour."""

    last: float
    """When its last minute began."""
    slot: int
    """Hour of the week; -1: none, as it took longer."""
    upper: float
    """U."""

    def to_state(self) -> list[float]:
        whole = int(self.last)
        return [whole if whole == self.last else self.last, self.slot, self.upper]


@dataclasses.dataclass(frozen=True, slots=True)
class Baseline:
    """The past of one kind of event of one version."""

    first: float | None = None
    """When the first minute began, seconds since the epoch; None before it."""
    minutes: int = 0
    """Minutes that were seen."""
    hour: Hour = _NO_HOUR
    day: tuple[ClosedHour, ...] = ()
    """The hours of this day, counted from `first`: they count from the next day on."""
    day_before: tuple[ClosedHour, ...] = ()
    """The hours of the day before: they count, but can still be removed."""
    highest: float = 0.0
    """U of the highest hour of the days before that; 0: none."""
    slots: tuple[float, ...] = ()
    """U by hour of the week (UTC) of the days before that, 0: unknown; empty: none is known."""
    phi: float = 1.0
    phi_hours: float = 0.0
    """The number of hours in the mean, older ones forgotten."""
    last: float = 0.0
    """When the last minute began."""

    def limit(self, begin: float) -> float | None:
        """p* of the minute that begins then; None while there is nothing to compare with."""
        if self.first is None or self.shown <= 0 or self.minutes < SEEN_MINUTES:
            return None
        age = begin - self.first
        return (self._of_the_week(begin, age) or self.shown) * (MARGIN if age >= WEEK else FIRST_MARGIN)

    @property
    def largest_limit(self) -> float | None:
        """p* by the highest hour, whichever hour of the week it is; None while there is nothing to compare with."""
        return dataclasses.replace(self, slots=()).limit(self.last)

    def by_hour(self, begin: float) -> bool:
        """Whether the limit is that of the hour of the week."""
        return self.first is not None and self._of_the_week(begin, begin - self.first) > 0

    @property
    def shown(self) -> float:
        """U of the highest hour of the days before; 0: none."""
        return max((self.highest, *(hour.upper for hour in self.day_before)))

    @property
    def has_requests(self) -> bool:
        """Whether there were requests in the minutes that count."""
        return bool(self.hour.minutes or self.day or self.day_before or self.highest)

    @property
    def dispersion(self) -> float:
        """phi >= 1."""
        return max(1.0, self.phi)

    def observe(self, requests: float, events: float, *, begin: float, disturbed: bool) -> "Baseline":
        """The past after one more minute; itself for one that was seen already. disturbed: whether an alarm is active."""
        if self.first is not None and 0 < self.last + MINUTE - begin <= BACK_SECONDS:
            return self
        known = dataclasses.replace(self, first=begin) if self.first is None else self
        if _index(begin, known, DAY) != _index(known.last, known, DAY):
            known = known._day_closed()
        if known.hour.minutes and begin // HOUR != known.last // HOUR and known.hour.requests >= FEW_REQUESTS:
            known = known._hour_closed()
        hour = known.hour
        if requests > 0:
            hour = hour.after(max(requests, events), events, begin=begin, disturbed=disturbed)
        return dataclasses.replace(known, minutes=known.minutes + 1, hour=hour, last=begin)

    def without(self, since: float) -> "Baseline":
        """Without the hours of an alarm that is now noticed: those with a minute from then on."""
        hour = self.hour
        if hour.minutes and self.last >= since:
            hour = dataclasses.replace(hour, disturbed=True)
        day, day_before = (tuple(one for one in day if one.last < since) for day in (self.day, self.day_before))
        return dataclasses.replace(self, hour=hour, day=day, day_before=day_before)

    def _of_the_week(self, begin: float, age: float) -> float:
        """U of the hour of the week, or 0."""
        if age < WEEKS * WEEK or not self.slots:
            return 0.0
        slot = _slot(begin)
        if self.slots[slot] <= 0:
            return 0.0
        around = [(slot + beside) % SLOTS for beside in (-1, 0, 1)]
        lately = (hour.upper for hour in self.day_before if hour.slot in around)
        return max((*(self.slots[each] for each in around), *lately))

    def _hour_closed(self) -> "Baseline":
        hour = self.hour
        if hour.disturbed:
            return dataclasses.replace(self, hour=_NO_HOUR)
        upper = min(1.0, intervals.rate_upper_bound(hour.events, hour.requests, confidence=CONFIDENCE))
        slot = _slot(hour.begin) if hour.begin // HOUR == self.last // HOUR else -1
        closed = ClosedHour(self.last, slot, _rounded(upper))
        known = dataclasses.replace(self, hour=_NO_HOUR, day=(*self.day, closed))
        found = hour.dispersion
        if found is None:
            return known
        weight = KEPT_AN_HOUR * self.phi_hours
        limited = found if self.phi_hours < 1 else min(found, LARGEST_HOUR * self.dispersion)
        return dataclasses.replace(
            known, phi=_rounded((weight * self.phi + limited) / (weight + 1)), phi_hours=_rounded(weight + 1)
        )

    def _day_closed(self) -> "Baseline":
        slots = list(self.slots or (0.0,) * SLOTS)
        for hour in self.day_before:
            if hour.slot >= 0:
                slots[hour.slot] = max(hour.upper, _rounded(KEPT_A_WEEK * slots[hour.slot]))
        return dataclasses.replace(
            self,
            day=(),
            day_before=self.day,
            highest=self.shown,
            slots=tuple(slots) if any(slots) else (),
        )

    def to_state(self) -> dict[str, object]:
        """A compact JSON value of at most 3 KB."""
        hour = self.hour
        return {
            "first": self.first,
            "n": self.minutes,
            "hour": [hour.begin, hour.minutes, hour.requests, hour.events, hour.squares, int(hour.disturbed)],
            "day": [one.to_state() for one in self.day],
            "before": [one.to_state() for one in self.day_before],
            "max": self.highest,
            "slots": list(self.slots),
            "phi": [self.phi, self.phi_hours],
            "last": self.last,
        }


def restore(state: Mapping[str, Any]) -> Baseline:
    """The past that `to_state` was called on, bit for bit. Raises ValueError for anything else."""
    try:
        *hour, disturbed = state["hour"]
        begin, minutes, requests, events, squares = map(_finite, hour)
        slots = tuple(map(_finite, state["slots"]))
        if len(slots) not in (0, SLOTS):
            raise ValueError(f"state.slots: {len(slots)} of {SLOTS}; start the past anew")
        phi, phi_hours = map(_finite, state["phi"])
        return Baseline(
            first=None if state["first"] is None else _finite(state["first"]),
            minutes=int(_finite(state["n"])),
            hour=Hour(begin, int(minutes), requests, events, squares, bool(disturbed)),
            day=_hours(state["day"]),
            day_before=_hours(state["before"]),
            highest=_finite(state["max"]),
            slots=slots,
            phi=phi,
            phi_hours=phi_hours,
            last=_finite(state["last"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"state: not that of a version's own past ({error}); start it anew") from error


def _hours(state: Iterable[Sequence[object]]) -> tuple[ClosedHour, ...]:
    return tuple(ClosedHour(_finite(last), int(_finite(slot)), _finite(upper)) for last, slot, upper in state)


def _index(time: float, known: Baseline, length: float) -> int:
    """Which of its days, or other lengths, a time is in."""
    first = known.first
    return -1 if first is None or time <= 0 else math.floor((time - first) / length)


def _slot(time: float) -> int:
    """Hour of the week, UTC; 0 is Thursday's first, as the epoch began on one."""
    return int(time % WEEK // HOUR)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _finite(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"state: {value!r} is not a finite number; start the past anew")
