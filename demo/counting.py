"""What became of each request: classified, added up per revision and second, and exported as Prometheus counters.

right    the model's answer, and it is the right digit
wrong    the model's answer, but another digit
failed   an error that the model server itself answered (a JSON body with "error"): the model's own failure
lost     everything else: no answer at all, or one that the gateway made. A release must never cause one.
"""

import enum
import json
import threading
import time
from collections import Counter as Bag
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import prometheus_client

from demo import digits

UNKNOWN_REVISION: Final = ""
LATENCY_BUCKETS_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Fate(enum.Enum):
    RIGHT = "right"
    WRONG = "wrong"
    FAILED = "failed"
    LOST = "lost"


def fate(status: int, body: bytes, right_label: int) -> Fate:
    """Classify an answer by its HTTP status and body."""
    if status == 200:
        label = digits.predicted_label(body)
        if label is None:
            return Fate.LOST
        return Fate.RIGHT if label == right_label else Fate.WRONG
    return Fate.FAILED if _is_server_error_body(body) else Fate.LOST


def _is_server_error_body(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and "error" in document


@dataclass(slots=True)
class Tally:
    """Requests of one revision: how many met which fate, their latencies, and what was wrong with the lost ones."""

    fates: Bag[Fate] = field(default_factory=Bag)
    latency_millis: Bag[int] = field(default_factory=Bag)  # whole milliseconds, rounded up, of answered requests
    problems: Bag[str] = field(default_factory=Bag)  # status or exception of failed and lost requests

    def add(self, fate: Fate, millis: float, problem: str = "") -> None:
        self.fates[fate] += 1
        if fate is not Fate.LOST:
            self.latency_millis[-int(-millis // 1)] += 1
        if problem:
            self.problems[problem] += 1

    def merged(self, other: "Tally") -> "Tally":
        return Tally(
            self.fates + other.fates, self.latency_millis + other.latency_millis, self.problems + other.problems
        )

    @property
    def requests(self) -> int:
        return self.fates.total()

    @property
    def right(self) -> int:
        return self.fates[Fate.RIGHT]

    @property
    def wrong(self) -> int:
        return self.fates[Fate.WRONG]

    @property
    def failed(self) -> int:
        return self.fates[Fate.FAILED]

    @property
    def lost(self) -> int:
        return self.fates[Fate.LOST]

    def slower_than(self, millis: int) -> int:
        return sum(count for value, count in self.latency_millis.items() if value > millis)

    def percentile_millis(self, percent: float) -> int | None:
        """Smallest whole number of milliseconds within which `percent` of the answers came; None without answers."""
        wanted = self.latency_millis.total() * percent / 100
        seen = 0
        for value in sorted(self.latency_millis):
            seen += self.latency_millis[value]
            if seen >= wanted:
                return value
        return None

    def as_json(self) -> dict[str, Any]:
        return {fate.value: self.fates[fate] for fate in Fate} | {
            "requests": self.requests,
            "p50Millis": self.percentile_millis(50),
            "p95Millis": self.percentile_millis(95),
            "over50Millis": self.slower_than(50),
            "problems": dict(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """All requests up to one moment, by the revision that answered. Lost requests may have none (`""`)."""

    by_revision: dict[str, Tally]

    @property
    def total(self) -> Tally:
        total = Tally()
        for tally in self.by_revision.values():
            total = total.merged(tally)
        return total

    def of(self, revision: str) -> Tally:
        return self.by_revision.get(revision, Tally())


class Book:
    """The running totals, and those of seconds that were not handed out yet. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: defaultdict[str, Tally] = defaultdict(Tally)
        self._seconds: defaultdict[tuple[int, str], Tally] = defaultdict(Tally)

    def add(self, revision: str, fate: Fate, millis: float, problem: str = "") -> None:
        with self._lock:
            self._totals[revision].add(fate, millis, problem)
            self._seconds[int(time.time()), revision].add(fate, millis, problem)

    def counts(self) -> Counts:
        with self._lock:
            return Counts({revision: tally.merged(Tally()) for revision, tally in self._totals.items()})

    def take_seconds(self, before: float) -> list[dict[str, Any]]:
        """Rows of the seconds (Unix time) that ended before `before`, oldest first; each is handed out once."""
        with self._lock:
            done = sorted(key for key in self._seconds if key[0] + 1 <= before)
            return [{"time": key[0], "revision": key[1]} | self._seconds.pop(key).as_json() for key in done]


class Exporter:
    """The counters as Prometheus scrapes them, in a registry of their own."""

    def __init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus_client.CollectorRegistry()
        self._feedback = prometheus_client.Counter(
            "feedback",
            "Answers that were compared with the right answer.",
            ["revision", "correct"],
            registry=self.registry,
        )
        self._requests = prometheus_client.Counter(
            "load_requests", "Requests by outcome.", ["revision", "fate"], registry=self.registry
        )
        self._seconds = prometheus_client.Histogram(
            "load_request_seconds",
            "Time from when a request was due until its answer.",
            ["revision"],
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=self.registry,
        )

    def add(self, revision: str, fate: Fate, millis: float) -> None:
        for known in Fate:  # all series of a revision exist from its first answer on: no jump is lost
            self._requests.labels(revision, known.value)
        self._requests.labels(revision, fate.value).inc()
        if fate in (Fate.RIGHT, Fate.WRONG):
            for correct in ("true", "false"):
                self._feedback.labels(revision, correct)
            self._feedback.labels(revision, "true" if fate is Fate.RIGHT else "false").inc()
            self._seconds.labels(revision).observe(millis / 1000)
