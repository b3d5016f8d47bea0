"""A gateway and a Prometheus without a network: counters that are scraped, and raw windows that are asked for."""

import collections
import dataclasses
import random
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sluice.adapters.gateways import PRESETS
from sluice.api.v1alpha1.common import Events, FailureRatio, Latency, Objective, Source
from sluice.api.v1alpha1.rolloutpolicy import InitialDispersion
from sluice.core.judge.judge import judge, questions
from sluice.core.judge.model import Answer, Answered, Arm, Judgement, Question, Series, Trial

START: Final = 1_800_000_000.0
SCRAPE_SECONDS: Final = 5.0
LES: Final = ("0.5", "1", "5", "10", "25", "50", "100", "250", "1000", "+Inf")
STABLE: Final = "digits-aaa"
CANDIDATE: Final = "digits-bbb"
_MATCHER: Final = re.compile(r'(\w+)(=~|=)"([^"]*)"')

ERRORS: Final = Objective(name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, ignore_below="1%"))
LATENCY: Final = Objective(name="latency", latency=Latency(percentile=95, maximum_millis=50))
ACCURACY: Final = Objective(
    name="accuracy",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        total='feedback_total{revision="{{revision}}"}',
        failures='feedback_total{revision="{{revision}}",correct="false"}',
        maximum="10%",
    ),
)


def make_trial(**changes: object) -> Trial:
    """The demo's policy, one look after the start."""
    trial = Trial(
        now=START,
        namespace="shop",
        name="digits",
        stable=Arm(STABLE, STABLE, 80),
        candidate=Arm(CANDIDATE, CANDIDATE, 80),
        objectives=(ERRORS, LATENCY, ACCURACY),
        alpha=0.01,
        beta=0.05,
        step=1,
        permille=50,
        share_checked=True,
        baking=False,
        scrape_interval_seconds=SCRAPE_SECONDS,
        idle_seconds=3600,
        initial_dispersion=InitialDispersion(failures=100, latency=100),
        route_generation=7,
        route_programmed=True,
        preset=PRESETS["contour"],
        state=None,
    )
    return dataclasses.replace(trial, **changes)  # type: ignore[arg-type]


class Prometheus:
    """Series with their samples; `scrape` copies the counters of a target into them."""

    def __init__(self) -> None:
        self.counters: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self.samples: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}

    def count(self, target: str, name: str, amount: float = 1, **labels: str) -> None:
        """Adds to a counter of a target."""
        key = tuple(sorted({"__name__": name, "instance": target, "job": "envoy", **labels}.items()))
        of_target = self.counters.setdefault(target, {})
        of_target[key] = of_target.get(key, 0) + amount

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
        """Requests as Envoy counts them, and as the client does that knows the right answers."""
        cluster = f"shop_{revision}_80"
        self.count(target, "envoy_cluster_upstream_rq", times, envoy_cluster_name=cluster, envoy_response_code=code)
        for le in LES:
            inside = times if millis <= float(le) else 0
            self.count(target, "envoy_cluster_upstream_rq_time_bucket", inside, envoy_cluster_name=cluster, le=le)
        if wrong is not None:
            correct = "false" if wrong else "true"
            self.count("client", "feedback_total", times, revision=revision, correct=correct)

    def scrape(self, time: float, targets: Iterable[str] = ("a", "client")) -> None:
        """A sample of every counter of the targets."""
        for target in targets:
            if target != "client":
                self.counters.setdefault(target, {})[
                    ("__name__", "envoy_server_live"), ("instance", target), ("job", "envoy")
                ] = 1.0
            for key, value in self.counters.get(target, {}).items():
                self.samples.setdefault(key, []).append((time, value))

    def restart(self, target: str) -> None:
        """The target's counters begin at 0 again."""
        self.counters[target] = dict.fromkeys(self.counters.get(target, {}), 0.0)

    def answer(self, asked: Iterable[Question], now: float) -> Mapping[str, Answer]:
        """The raw samples of (now - window, now]."""
        return {question.key: Answered(tuple(self._matching(question, now))) for question in asked}

    def _matching(self, question: Question, now: float) -> Iterable[Series]:
        name = question.selector.partition("{")[0]
        matchers = _MATCHER.findall(question.selector)
        for key, samples in self.samples.items():
            labels = dict(key)
            fits = all(
                re.fullmatch(value if op == "=~" else re.escape(value), labels.get(label, ""))
                for label, op, value in matchers
            )
            points = tuple(p for p in samples if now - question.window_seconds < p[0] <= now)
            if question.step_seconds is not None:
                points = thinned(points, question.step_seconds, now)
            if name in ("", labels["__name__"]) and fits and points:
                yield Series(labels, points)


def thinned(points: tuple[tuple[float, float], ...], step: int, now: float) -> tuple[tuple[float, float], ...]:
    """The newest sample before each step, as a subquery shows it: at the step's own time, for five minutes."""
    if not points:
        return ()
    first = int(points[0][0] // step + 1) * step
    moments = range(first, int(now) + 1, step)
    shown = ((m, [p for p in points if m - 300 < p[0] <= m]) for m in moments)
    return tuple((float(m), inside[-1][1]) for m, inside in shown if inside)


@dataclasses.dataclass(frozen=True)
class Model:
    """How a version behaves: shares of its answers."""

    errors: float = 0.0
    rejected: float = 0.0
    wrong: float = 0.0
    slow: float = 0.0


def traffic(
    prometheus: Prometheus, dice: random.Random, *, requests: int, weight: float, stable: Model, candidate: Model
) -> None:
    """Requests that the gateway spreads by weight, 0..1."""
    sent: collections.Counter[tuple[str, str, float, bool | None]] = collections.Counter()
    for _ in range(requests):
        revision, model = (CANDIDATE, candidate) if dice.random() < weight else (STABLE, stable)
        failed = dice.random() < model.errors
        code = "500" if failed else "400" if dice.random() < model.rejected else "200"
        millis = 80.0 if dice.random() < model.slow else 3.0
        sent[revision, code, millis, None if failed else dice.random() < model.wrong] += 1
    for (revision, code, millis, wrong), times in sent.items():
        prometheus.request(revision, code=code, millis=millis, wrong=wrong, times=times)


def look(trial: Trial, prometheus: Prometheus) -> tuple[Trial, Judgement]:
    """Asks, judges, and remembers the state as the operator does: in a string."""
    result = judge(trial, prometheus.answer(questions(trial), trial.now))
    return dataclasses.replace(trial, state=result.state), result


@dataclasses.dataclass(frozen=True)
class Step:
    """How a step ended."""

    verdict: str
    judgement: Judgement
    candidate_requests: int
    """Sent to the candidate up to the look that decided."""
    seconds: float


def run_step(
    *,
    seed: int,
    candidate: Model,
    stable: Model = Model(wrong=0.05),
    weight: int = 5,
    rate: int = 100,
    seconds: int = 900,
    objectives: tuple[Objective, ...] = (ERRORS, LATENCY, ACCURACY),
    decided: Callable[[Judgement], str] | None = None,
) -> Step:
    """One step from the moment that the weight changed, until it is decided."""
    dice, prometheus = random.Random(seed), Prometheus()
    phase = dice.randrange(int(SCRAPE_SECONDS))
    for second in range(-300, 0):
        traffic(prometheus, dice, requests=rate, weight=0.0, stable=stable, candidate=candidate)
        if (second + phase) % SCRAPE_SECONDS == 0:
            prometheus.scrape(START + second)
    trial, result = look(make_trial(objectives=objectives, permille=weight * 10), prometheus)
    for second in range(1, seconds):
        traffic(prometheus, dice, requests=rate, weight=weight / 100, stable=stable, candidate=candidate)
        if (second + phase) % SCRAPE_SECONDS:
            continue
        prometheus.scrape(START + second)
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
        verdict = (decided or verdict_of)(result)
        if verdict:
            return Step(verdict, result, sent_to(prometheus, CANDIDATE), second)
    return Step("", result, sent_to(prometheus, CANDIDATE), seconds)


def verdict_of(result: Judgement) -> str:
    """Roll-back evidence first, as the gates have it."""
    if result.rollback_log >= result.rollback_threshold_log:
        return "RollBack"
    return "Advance" if result.all_proven and result.scrapes >= 2 else ""


def sent_to(prometheus: Prometheus, revision: str) -> int:
    """Requests of a revision that the gateway has counted so far."""
    cluster = ("envoy_cluster_name", f"shop_{revision}_80")
    return round(
        sum(
            v
            for k, v in prometheus.counters["a"].items()
            if cluster in k and ("__name__", "envoy_cluster_upstream_rq") in k
        )
    )
