"""Trials of the judge: traffic that a gateway spreads by weight, and the looks at a Prometheus' samples of it."""

import collections
import dataclasses
import random
from collections.abc import Callable
from typing import Final

from sluice_judge.gateways import PRESETS
from sluice_judge.judge import judge, questions
from sluice_judge.judgement import Judgement
from sluice_judge.model import Arm, Exposure, GatewayCounters, Trial, TrialPolicy
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective, Source
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus

START: Final = 1_800_000_000.0
SCRAPE_SECONDS: Final = 5.0
STABLE: Final = "digits-aaa"
CANDIDATE: Final = "digits-bbb"

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
    """The demo's policy, one look after the start. changes: also of the groups' fields, by their names."""
    trial = Trial(
        now=START,
        namespace="shop",
        name="digits",
        stable=Arm(STABLE, STABLE, 80),
        candidate=Arm(CANDIDATE, CANDIDATE, 80),
        policy=TrialPolicy((ERRORS, LATENCY, ACCURACY), 0.01, 0.05, 3600, InitialDispersion(failures=100, latency=100)),
        exposure=Exposure(1, 50, route_generation=7, route_programmed=True, share_checked=True),
        gateway=GatewayCounters(PRESETS["contour"], SCRAPE_SECONDS),
    )
    return replaced(trial, **changes)


@dataclasses.dataclass(frozen=True)
class Model:
    """A version's behaviour: shares of its answers."""

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
    """Asks, judges, and keeps the state as the operator does: in a string."""
    result = judge(trial, prometheus.answer(questions(trial), trial.now))
    return replaced(trial, state=result.next_state.text), result


@dataclasses.dataclass(frozen=True)
class Step:
    """How a step ended."""

    verdict: str
    judgement: Judgement
    candidate_requests: int
    """Requests to the candidate up to the deciding look."""
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
    """One step from the change of the weight until its decision."""
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
    """Rollback evidence first, as in the gates."""
    if result.accusation.rollback_log >= result.accusation.threshold_log:
        return "RollBack"
    return "Advance" if result.proof.complete and result.requests.scrapes >= 2 else ""


def sent_to(prometheus: Prometheus, revision: str) -> int:
    """Requests of a revision counted by the gateway so far."""
    cluster = ("envoy_cluster_name", f"shop_{revision}_80")
    return round(
        sum(
            v
            for k, v in prometheus.counters["a"].items()
            if cluster in k and ("__name__", "envoy_cluster_upstream_rq") in k
        )
    )
