"""What a Prometheus can get wrong, between a real one and the judge: no verdict comes from it, and no request is missed."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from sluice_core.adapters.prometheus import PrometheusMetrics
from sluice_judge import state
from sluice_judge.judge import judge, questions
from sluice_judge.judgement import Judgement
from sluice_judge.model import Trial
from sluice_judge.samples import gatewayseries
from tests.integration.prometheus.exporter import Exporter
from tests.support import patience
from tests.support.groups import replaced
from tests.support.live.faulty import Fault, FaultyPrometheus
from tests.support.simulated import trials

HURRIED_SECONDS = 0.5
"""How long an answer is waited for that never comes."""
STABLE_EACH, CANDIDATE_EACH = 95, 5
FAULTY_LOOKS = 4


@dataclass(slots=True)
class Release:
    """A release in its first step, looked at as the operator does, with requests in between."""

    exporter: Exporter
    metrics: PrometheusMetrics
    trial: Trial
    looks: list[Judgement] = field(default_factory=list)
    sent: float = 0.0
    """When the last requests were made, seconds since the epoch."""

    async def look(self) -> Judgement:
        self.trial = dataclasses.replace(self.trial, now=time.time())
        result = judge(self.trial, await self.metrics.answer(questions(self.trial)))
        self.trial = replaced(self.trial, state=result.next_state.text)
        self.looks.append(result)
        return result

    async def second(self) -> Judgement:
        """A second's requests, and a look."""
        self.exporter.request(trials.STABLE, code="200", times=STABLE_EACH, wrong=False)
        self.exporter.request(trials.CANDIDATE, code="200", times=CANDIDATE_EACH, wrong=False)
        self.sent = time.time()
        await asyncio.sleep(1)
        return await self.look()

    async def until(self, seen: int) -> Judgement:
        """Looks, without requests, until the judge has seen so many of the candidate's."""
        deadline = time.monotonic() + patience.HANG_SECONDS
        while time.monotonic() < deadline:
            found = await self.look()
            if found.requests.candidate >= seen:
                return found
            await asyncio.sleep(1)
        raise AssertionError(
            f"not {seen} requests within {patience.HANG_SECONDS:.0f} s, but {self.looks[-1].requests.candidate}"
        )

    async def warmed_up(self) -> int:
        """After the judge has counted a few seconds' requests; returns how many of the candidate's."""
        for _ in range(int(patience.HANG_SECONDS)):
            found = await self.second()
            if not found.sight.blind and found.requests.candidate >= 2 * CANDIDATE_EACH:
                return (await self.settled()).requests.candidate
        raise AssertionError("Prometheus never showed a sample of the gateway")

    async def settled(self) -> Judgement:
        """After everything that was sent is scraped and visible: a later sample is counted."""
        deadline = time.monotonic() + patience.HANG_SECONDS
        while time.monotonic() < deadline:
            found = await self.look()
            known = state.load(self.trial.last.state)
            if known is not None and known.feeds[gatewayseries.REQUESTS].tick > self.sent:
                return found
            await asyncio.sleep(0.5)
        raise AssertionError(f"no sample of what was sent is counted within {patience.HANG_SECONDS:.0f} s")


@pytest.fixture
async def proxy(prometheus_url: str) -> AsyncIterator[FaultyPrometheus]:
    with FaultyPrometheus.running(prometheus_url) as proxy:
        yield proxy


@pytest.fixture
async def release(proxy: FaultyPrometheus, exporter: Exporter) -> AsyncIterator[Release]:
    metrics = PrometheusMetrics(f"http://127.0.0.1:{proxy.port}", timeout_seconds=patience.HANG_SECONDS)
    trial = trials.make_trial(now=time.time(), scrape_interval_seconds=1.0)
    yield Release(exporter, metrics, trial)
    metrics.close()


@pytest.mark.parametrize(
    "fault", [Fault.NAN, *(pytest.param(each, marks=pytest.mark.slow) for each in (Fault.SLOW, Fault.EMPTY))]
)
async def test_useless_answers_freeze_the_evidence_and_nothing_is_missed(
    release: Release, proxy: FaultyPrometheus, fault: Fault
) -> None:
    counted = await release.warmed_up()
    known = release.trial.last.state
    patient = release.metrics
    if fault is Fault.SLOW:
        release.metrics = PrometheusMetrics(f"http://127.0.0.1:{proxy.port}", timeout_seconds=HURRIED_SECONDS)
    proxy.misbehave(fault)
    for _ in range(FAULTY_LOOKS):
        found = await release.second()
        assert found.sight.blind
        assert release.trial.last.state == known
    assert proxy.questions > 0
    proxy.misbehave(Fault.NONE)
    if release.metrics is not patient:
        release.metrics.close()
        release.metrics = patient
    found = await release.until(counted + FAULTY_LOOKS * CANDIDATE_EACH)
    assert found.requests.candidate == counted + FAULTY_LOOKS * CANDIDATE_EACH


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.TWICE, Fault.RESET])
async def test_distorted_answers_are_counted_to_the_request(
    release: Release, proxy: FaultyPrometheus, fault: Fault
) -> None:
    counted = await release.warmed_up()
    proxy.misbehave(fault, now=time.time())
    for _ in range(FAULTY_LOOKS):
        await release.second()
    found = await release.settled()
    assert not found.sight.blind
    assert found.requests.candidate == counted + FAULTY_LOOKS * CANDIDATE_EACH


async def test_a_gateway_that_restarts_is_counted_to_the_request(release: Release, exporter: Exporter) -> None:
    counted = await release.warmed_up()
    exporter.restart()
    for _ in range(FAULTY_LOOKS):
        await release.second()
    assert (await release.settled()).requests.candidate == counted + FAULTY_LOOKS * CANDIDATE_EACH


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [("gateway", "everything")])
async def test_what_two_jobs_scrape_counts_once(release: Release, exporter: Exporter) -> None:
    counted = await release.warmed_up()
    for _ in range(FAULTY_LOOKS):
        await release.second()
    assert (await release.settled()).requests.candidate == counted + FAULTY_LOOKS * CANDIDATE_EACH


@pytest.mark.slow
async def test_a_counter_of_nan_proves_nothing_and_blinds_no_other_objective(
    release: Release, exporter: Exporter
) -> None:
    counted = await release.warmed_up()
    exporter.broken = frozenset({"feedback_total"})
    before = {one.name: one for one in release.looks[-1].objectives}
    for _ in range(FAULTY_LOOKS):
        assert not (await release.second()).sight.blind
    found = await release.settled()
    assert found.requests.candidate == counted + FAULTY_LOOKS * CANDIDATE_EACH
    after = {one.name: one for one in found.objectives}
    assert after["accuracy"].candidate == before["accuracy"].candidate
    assert after["errors"].candidate != before["errors"].candidate
    assert found.accusation.rollback_log < found.accusation.threshold_log
