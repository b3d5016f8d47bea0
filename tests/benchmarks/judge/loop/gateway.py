"""The gateway's counters and gauges, as Prometheus has them."""

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

    def add(self, requests: float, failed: float, faster: Sequence[float]) -> None:
        """Answered requests, of them failed ones, and those faster than each boundary."""
        self.good.add(requests - failed)
        self.bad.add(failed)
        for counter, amount in zip(self.buckets, (*faster, requests), strict=True):
            counter.add(amount)

    def scrape(self, time: float, in_flight: float) -> None:
        for counter in (self.good, self.bad, *self.buckets):
            counter.scrape(time)
        self.active.gauge(time, in_flight)


class Gateway:
    """The versions' series, and that of the target itself."""

    def __init__(self, boundaries: Sequence[float], *, gauge: bool, kept: int | None = KEPT) -> None:
        self.boundaries = boundaries
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
        return found
