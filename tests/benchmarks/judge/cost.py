"""CPU of one evaluation of one release: from raw samples and the stored state to a judgement and the next state."""

import dataclasses
import random
import statistics
import time
from collections.abc import Iterator
from typing import Final

from sluice_judge import judge
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective, Source
from tests.benchmarks.judge.figures import Figure
from tests.support.groups import replaced
from tests.support.simulated import trials
from tests.support.simulated.prometheus import Prometheus

BUCKETS: Final = 20
LIMIT_MILLIS: Final = 5.0
BOUNDARIES: Final = (*(f"{2**power * 0.25:g}" for power in range(BUCKETS - 1)), "+Inf")
"""`le` in milliseconds: 0.25, 0.5, 1, ... and infinity."""


def _query(name: str) -> Objective:
    total = f'{name}_total{{revision="{{{{revision}}}}"}}'
    return Objective(
        name=name,
        failure_ratio=FailureRatio(
            source=Source.QUERY,
            total=total,
            failures=total.replace("_total", "_failed_total"),
            maximum="10%",
            ignore_below="1%",
            relative_tolerance="25%",
        ),
    )


QUERIES: Final = tuple(f"feedback{index}" for index in range(4))
OBJECTIVES: Final = (
    *(
        Objective(
            name=name,
            failure_ratio=FailureRatio(events=events, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"),
        )
        for name, events in (("errors", Events.SERVER_ERRORS), ("rejections", Events.CLIENT_ERRORS))
    ),
    *(
        Objective(
            name=f"latency{percentile}",
            latency=Latency(percentile=percentile, maximum_millis=millis, relative_tolerance="25%"),
        )
        for percentile, millis in ((50, 16), (90, 64), (95, 128), (99, 512))
    ),
    *map(_query, QUERIES),
)


def evaluation(rollouts: int, seed: int) -> Figure:
    """The median over as many evaluations as there are rollouts, at most 300."""
    spent = sorted(_cpu_millis(min(rollouts, 300), seed))
    middle = statistics.median(spent)
    return Figure(
        f"median {middle:.2f} ms, 90 % below {spent[round(0.9 * len(spent)) - 1]:.2f} ms",
        f"≤ {LIMIT_MILLIS:.0f} ms",
        middle <= LIMIT_MILLIS,
    )


def _cpu_millis(evaluations: int, seed: int) -> Iterator[float]:
    dice, prometheus = random.Random(seed), Prometheus()
    trial = trials.make_trial(objectives=OBJECTIVES)
    for scrape in range(-60, evaluations):
        _count(prometheus, dice, to_candidate=25 if scrape >= 0 else 0)
        prometheus.scrape(trials.START + scrape * trials.SCRAPE_SECONDS)
        if scrape >= -1:
            now = trials.START + scrape * trials.SCRAPE_SECONDS + 0.6
            trial, millis = _look(dataclasses.replace(trial, now=now), prometheus)
            if scrape >= 1:
                yield millis


def _look(trial: Trial, prometheus: Prometheus) -> tuple[Trial, float]:
    """Asks and judges; without the time in Prometheus."""
    started = time.process_time()
    asked = judge.questions(trial)
    asking = time.process_time() - started
    answers = prometheus.answer(asked, trial.now)
    started = time.process_time()
    result = judge.judge(trial, answers)
    judging = time.process_time() - started
    return replaced(trial, state=result.next_state.text), 1000 * (asking + judging)


def _count(prometheus: Prometheus, dice: random.Random, *, to_candidate: int) -> None:
    """The requests of one scrape; every bucket, code and counter moves."""
    for revision, requests in ((trials.STABLE, 475), (trials.CANDIDATE, to_candidate)):
        cluster = f"shop_{revision}_80"
        slow = [dice.lognormvariate(2.0, 1.5) for _ in range(requests)]
        for le in BOUNDARIES:
            inside = sum(millis <= float(le) for millis in slow)
            prometheus.count("a", "envoy_cluster_upstream_rq_time_bucket", inside, envoy_cluster_name=cluster, le=le)
        for code, amount in (("200", requests - requests // 20), ("404", requests // 25), ("503", requests // 100)):
            prometheus.count(
                "a", "envoy_cluster_upstream_rq", amount, envoy_cluster_name=cluster, envoy_response_code=code
            )
        for name in QUERIES:
            prometheus.count("client", f"{name}_total", requests, revision=revision)
            prometheus.count("client", f"{name}_failed_total", requests // 20, revision=revision)
