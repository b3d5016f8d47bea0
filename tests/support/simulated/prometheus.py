"""Prometheus without a network: scraped counters, and queries of raw windows."""

import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, TypeAlias

from sluice_judge.model import Answer, Answered, Question, Series

LES: Final = ("0.5", "1", "5", "10", "25", "50", "100", "250", "1000", "+Inf")
STALE_SECONDS: Final = 300
GATEWAY_NAMESPACE: Final = "projectcontour"
USERS_NAMESPACE: Final = "shop"
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')


Sample: TypeAlias = tuple[float, float]
"""(time, value)."""
Labels: TypeAlias = tuple[tuple[str, str], ...]


class Prometheus:
    """Series with their samples; `scrape` copies the counters of a target into them."""

    def __init__(self) -> None:
        self.counters: dict[str, dict[Labels, float]] = {}
        self.samples: dict[Labels, list[Sample]] = {}
        self.backends: tuple[str, ...] = ("shop_digits-aaa_80", "shop_digits-bbb_80")
        """Envoy's names of the gateways' clusters, with or without requests."""

    def __deepcopy__(self, _: object) -> "Prometheus":
        twin = Prometheus()
        twin.counters = {target: dict(counters) for target, counters in self.counters.items()}
        twin.samples = {key: list(samples) for key, samples in self.samples.items()}
        twin.backends = self.backends
        return twin

    def count(self, target: str, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter of a target."""
        self.add(target, series(target, name, tuple(labels.items())), amount)

    def add(self, target: str, key: Labels, amount: float) -> None:
        """Adds to the counter with these labels."""
        of_target = self.counters.setdefault(target, {})
        of_target[key] = of_target.get(key, 0) + amount

    def gauge(self, target: str, name: str, value: float, **labels: str) -> None:
        """Sets a target's gauge from now on."""
        self.counters.setdefault(target, {})[series(target, name, tuple(labels.items()))] = value

    def request(
        self,
        revision: str,
        *,
        code: str = "200",
        millis: float = 3.0,
        wrong: bool | None = None,
        target: str = "a",
        times: int = 1,
    ) -> None:
        """Requests as Envoy counts them, and as a client counts them that knows the correct answers."""
        cluster = f"shop_{revision}_80"
        self.count(target, "envoy_cluster_upstream_rq", times, envoy_cluster_name=cluster, envoy_response_code=code)
        for le in LES:
            inside = times if millis <= float(le) else 0
            self.count(target, "envoy_cluster_upstream_rq_time_bucket", inside, envoy_cluster_name=cluster, le=le)
        if wrong is not None:
            correct = "false" if wrong else "true"
            self.count("client", "feedback_total", times, revision=revision, correct=correct)

    def scrape(self, time: float, gateways: Iterable[str] = ("a",), others: Iterable[str] = ("client",)) -> None:
        """A sample of every counter of these targets."""
        gateways = tuple(gateways)
        for target in gateways:
            known = self.counters.setdefault(target, {})
            known[series(target, "envoy_server_live", ())] = 1.0
            known |= {
                series(target, "envoy_cluster_membership_total", (("envoy_cluster_name", name),)): 1.0
                for name in self.backends
            }
        for target in (*gateways, *others):
            for key, value in self.counters.get(target, {}).items():
                self.samples.setdefault(key, []).append((time, value))

    def restart(self, target: str) -> None:
        """The target's counters begin at 0 again."""
        self.counters[target] = dict.fromkeys(self.counters.get(target, {}), 0.0)

    def answer(self, asked: Iterable[Question], now: float) -> Mapping[str, Answer]:
        """The raw samples of (now - window, now], or their increase."""
        return {question.key: Answered(tuple(self._shown(question, now))) for question in asked}

    def _shown(self, question: Question, now: float) -> Iterable[Series]:
        found = self._matching(question, now)
        return found if question.summed_by is None else summed(found, question, now)

    def _matching(self, question: Question, now: float) -> Iterable[Series]:
        name = question.selector.partition("{")[0].strip()
        matchers = [
            (label, re.compile(value if op == "=~" else re.escape(value)))
            for label, op, value in _MATCHER.findall(question.selector)
        ]
        for key, samples in self.samples.items():
            labels = dict(key)
            if name not in ("", labels["__name__"]):
                continue
            if not all(pattern.fullmatch(labels.get(label, "")) for label, pattern in matchers):
                continue
            begin = bisect_right(samples, now - question.window_seconds, key=_time)
            points = tuple(samples[begin : bisect_right(samples, now, key=_time)])
            if question.step_seconds is not None:
                points = thinned(points, question.step_seconds, now)
            if points:
                yield Series(labels, points)


@cache
def series(target: str, name: str, labels: Labels) -> Labels:
    """With the labels that Prometheus gives a target, unless others are named: the gateway's, or users'."""
    job, namespace = ("envoy", GATEWAY_NAMESPACE) if name.startswith("envoy_") else ("users", USERS_NAMESPACE)
    home = {"instance": target, "job": job, "namespace": namespace}
    return tuple(sorted({"__name__": name, **home, **dict(labels)}.items()))


def _time(sample: Sample) -> float:
    return sample[0]


def summed(found: Iterable[Series], question: Question, now: float) -> Iterable[Series]:
    """`sum by (…) (increase(…))`, or `max by (…) (…)`, without labels with too many series."""
    sums: dict[Labels, float] = {}
    owned: Counter[Labels] = Counter()
    for series in found:
        key = tuple((label, series.labels.get(label, "")) for label in question.summed_by or ())
        owned[key[:2]] += 1
        if question.newest:
            sums[key] = max(sums.get(key, 0.0), series.points[-1][1])
        elif (grown := increase(series.points, now - question.window_seconds, now)) is not None:
            sums[key] = sums.get(key, 0.0) + grown
    most = question.most_series
    return (Series(dict(key), ((now, value),)) for key, value in sums.items() if most is None or owned[key[:2]] <= most)


def increase(points: Sequence[Sample], begin: float, end: float) -> float | None:
    """Like Prometheus (`extrapolatedRate` of promql/functions.go, 3.5): stretched to the whole window, unless that
    begins or ends more than 1.1 intervals away, and never back to before the counter was 0."""
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    resets = sum(before for (_, before), (_, after) in itertools.pairwise(points) if after < before)
    grown, sampled = last[1] - first[1] + resets, last[0] - first[0]
    usual = sampled / (len(points) - 1)
    to_start, to_end = first[0] - begin, end - last[0]
    to_start = usual / 2 if to_start >= 1.1 * usual else to_start
    to_end = usual / 2 if to_end >= 1.1 * usual else to_end
    if grown > 0 and first[1] >= 0:
        to_start = min(to_start, sampled * first[1] / grown)
    return grown * (sampled + to_start + to_end) / sampled


def thinned(points: tuple[Sample, ...], step: int, now: float) -> tuple[Sample, ...]:
    """The newest sample before each step, like a subquery: at the step's own time, for five minutes."""
    if not points:
        return ()
    shown = []
    for moment in range(int(points[0][0] // step + 1) * step, int(now) + 1, step):
        time, value = points[bisect_right(points, moment, key=_time) - 1]
        if time > moment - STALE_SECONDS:
            shown.append((float(moment), value))
    return tuple(shown)
