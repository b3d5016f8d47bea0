"""The gateway's counters and gauges, and users' feedback, as Prometheus has them."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from sluice_judge.model import Answered, Series

STABLE: Final = "digits-aaa"
CANDIDATE: Final = "digits-bbb"
BASELINE: Final = "digits-ccc"
KEPT: Final = 90
"""Scrapes still stored: more than any look asks for."""


class Counters:
    """One series: its last samples."""

    def __init__(self, labels: dict[str, str], value: float = 0.0, kept: int | None = KEPT) -> None:
        self.labels, self.value = labels, value
        self.points: deque[tuple[float, float]] = deque(maxlen=kept)
        self.begun = value > 0

    def add(self, amount: float) -> None:
        self.value += amount
        self.begun = self.begun or amount > 0

    def scrape(self, time: float) -> None:
        if self.begun:
            self.points.append((time, self.value))

    def gauge(self, time: float, value: float) -> None:
        self.points.append((time, value))

    def series(self) -> tuple[Series, ...]:
        return (Series(self.labels, tuple(self.points)),) if self.points else ()


class Counted:
    """One version's series at the gateway."""

    def __init__(self, revision: str, boundaries: Sequence[float], kept: int | None = KEPT) -> None:
        cluster = {"job": "envoy", "instance": "gateway", "envoy_cluster_name": f"shop_{revision}_80"}
        self.good = Counters({**cluster, "envoy_response_code": "200"}, kept=kept)
        self.bad = Counters({**cluster, "envoy_response_code": "504"}, kept=kept)
        self.buckets = [
            Counters({**cluster, "le": boundary}, kept=kept) for boundary in (*(f"{b:g}" for b in boundaries), "+Inf")
        ]
        self.active = Counters({**cluster, "__name__": "envoy_cluster_upstream_rq_active"}, kept=kept)
        feedback = {"job": "client", "instance": "client", "revision": revision}
        self.right = Counters({**feedback, "correct": "true"}, kept=kept)
        self.wrong = Counters({**feedback, "correct": "false"}, kept=kept)

    @property
    def counters(self) -> tuple[Counters, ...]:
        return (self.good, self.bad, *self.buckets, self.right, self.wrong)

    def add(self, requests: float, failed: float, faster: Sequence[float], wrong: float = 0.0) -> None:
        """Answered requests, of them failed ones, those faster than each boundary, and wrong answers."""
        amounts = (requests - failed, failed, *faster, requests, requests - failed - wrong, wrong)
        for counter, amount in zip(self.counters, amounts, strict=True):
            counter.add(amount)

    def scrape(self, time: float, in_flight: float) -> None:
        for counter in self.counters:
            counter.scrape(time)
        self.active.gauge(time, in_flight)


class Gateway:
    """The versions' series, and that of the target itself."""

    def __init__(
        self, boundaries: Sequence[float], *, gauge: bool, queries: Sequence[str] = (), kept: int | None = KEPT
    ) -> None:
        """queries: names of the objectives that count wrong answers."""
        self.boundaries, self.queries = boundaries, queries
        self.versions = {revision: Counted(revision, boundaries, kept) for revision in (STABLE, CANDIDATE, BASELINE)}
        self.up = Counters({"job": "envoy", "instance": "gateway"}, kept=kept)
        self.gauge = gauge

    def scrape(self, time: float, in_flight: dict[str, float]) -> None:
        for revision, counted in self.versions.items():
            counted.scrape(time, in_flight.get(revision, 0.0))
        self.up.gauge(time, 1.0)

    def answers(self) -> dict[str, Answered]:
        """Prometheus' answers to all that the judge may ask for."""
        every = self.versions.values()
        found = {
            "requests": Answered(tuple(one for each in every for one in (*each.good.series(), *each.bad.series()))),
            "requests/broken": Answered(()),
            "freshness": Answered(self.up.series()),
            "backend": Answered(self.up.series()),
        }
        if self.gauge:
            found["unanswered"] = Answered(tuple(one for each in every for one in each.active.series()))
        if self.boundaries:
            found["latency"] = Answered(
                tuple(one for each in every for bucket in each.buckets for one in bucket.series())
            )
        for name in self.queries:
            for arm, revision in (("S", STABLE), ("C", CANDIDATE)):
                counted = self.versions[revision]
                found[f"query/{name}/{arm}/total"] = Answered((*counted.right.series(), *counted.wrong.series()))
                found[f"query/{name}/{arm}/events"] = Answered(counted.wrong.series())
        return found
