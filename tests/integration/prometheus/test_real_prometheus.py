"""Adapter and judge against a real Prometheus that scrapes a stand-in for the gateway."""

import asyncio
import contextlib
import dataclasses
import time

import pytest

from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.comparing import forecast
from sluice_judge.judge import judge, questions
from sluice_judge.judgement import Judgement
from sluice_judge.model import Answered, Failed, Question
from sluice_judge.replay import record, replay
from sluice_judge.samples import inflight
from sluice_judge.schema.verdict import Verdict
from tests.integration.prometheus.exporter import Exporter
from tests.support import patience
from tests.support.groups import replaced
from tests.support.simulated import trials


async def test_all_errors_are_rolled_back_on_real_samples(prometheus_url: str, exporter: Exporter) -> None:
    metrics = PrometheusMetrics(prometheus_url, timeout_seconds=patience.HANG_SECONDS)
    trial = trials.make_trial(now=time.time(), objectives=(trials.ERRORS, trials.LATENCY), scrape_interval_seconds=1.0)
    seen: list[Judgement] = []
    boundary, sent, deadline = None, 0, time.monotonic() + patience.HANG_SECONDS
    try:
        while time.monotonic() < deadline:
            exporter.request(trials.STABLE, code="200", times=95)
            if len(seen) > 3 and seen[-1].requests.candidate == sent:  # what was sent before is seen
                exporter.request(trials.CANDIDATE, code="503", times=5)
                sent += 5
            trial = dataclasses.replace(trial, now=time.time())
            result = judge(trial, await metrics.answer(questions(trial)))
            trial = replaced(trial, state=result.next_state.text)
            if not result.sight.blind:
                seen.append(result)
                boundary = result.objectives[1].boundary_millis
            if result.accusation.rollback_log > result.accusation.threshold_log:
                break
            await asyncio.sleep(1)
    finally:
        metrics.close()

    assert seen, "Prometheus never showed a sample of the gateway"
    assert seen[-1].accusation.decisive.startswith("errors: candidate")
    assert seen[-1].accusation.rollback_log > seen[-1].accusation.threshold_log
    assert seen[-1].requests.candidate <= 60
    assert boundary == "50"


async def test_forecast_record_and_replay_on_real_samples(prometheus_url: str, exporter: Exporter) -> None:
    """The thinned day is a subquery, gRPC series are found by their name's pattern, and what is recorded is replayed."""
    metrics = PrometheusMetrics(prometheus_url, timeout_seconds=patience.HANG_SECONDS)
    trial = trials.make_trial(
        now=time.time(), objectives=(trials.ERRORS, trials.LATENCY), scrape_interval_seconds=1.0, steps=(50, 1000)
    )
    arms = {side: dataclasses.replace(getattr(trial, side), grpc_port=81) for side in ("stable", "candidate")}
    trial, deadline = dataclasses.replace(trial, **arms), time.monotonic() + patience.HANG_SECONDS
    policy = RolloutPolicySpec(objectives=list(trial.policy.objectives), scrape_interval_seconds=1)
    found: list[replay.Scrape] = []
    began, rounds = time.monotonic(), 0
    try:
        while time.monotonic() < deadline and not (found and found[-1].verdict is Verdict.ROLL_BACK):
            exporter.request(trials.STABLE, code="200", times=95)
            exporter.request(trials.CANDIDATE, code="503", times=2)
            exporter.grpc(trials.CANDIDATE, status=14, times=3)
            rounds += 1
            await asyncio.sleep(1)
            trial = dataclasses.replace(trial, now=time.time())
            asked = record.questions(trial, seconds=60)
            answers = await metrics.answer(asked)
            needed = [answer for key, answer in answers.items() if not inflight.optional(key)]  # it has no gauge
            if all(isinstance(answer, Answered) and answer.series for answer in needed):
                with contextlib.suppress(record.NothingRecorded):  # where the first scrape came after `now`
                    lines = list(record.recorded(trial, answers, seconds=60))
                    found = list(replay.replay(replay.read(lines), policy))
        trial = dataclasses.replace(trial, now=time.time())
        took = time.monotonic() - began
        told = forecast.forecast(trial, await metrics.answer(forecast.forecast_questions(trial)))
    finally:
        metrics.close()

    assert found, "Prometheus never had a sample of every series"
    assert found[-1].verdict is Verdict.ROLL_BACK
    assert told.rate == pytest.approx(95 * rounds / took, rel=0.5)
    assert "requests/s; 5 % needs about" in told.message


async def test_refused_query_is_a_failure_that_names_it(prometheus_url: str) -> None:
    metrics = PrometheusMetrics(prometheus_url, timeout_seconds=patience.HANG_SECONDS)
    deadline = time.monotonic() + patience.HANG_SECONDS
    good, bad = Question("good", "up", 10), Question("bad", "up{", 10)
    try:
        while time.monotonic() < deadline:
            answers = await metrics.answer((good, bad))
            found = answers["good"]
            if isinstance(found, Answered) and found.series:
                break
            await asyncio.sleep(1)
    finally:
        metrics.close()

    assert isinstance(answers["good"], Answered)
    assert answers["good"].series[0].labels["job"] == "gateway"
    assert isinstance(answers["bad"], Failed)
    assert "up{: HTTP Status Code 400" in answers["bad"].message
