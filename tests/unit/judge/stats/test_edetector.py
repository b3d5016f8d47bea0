"""The promise of a change detector: on average so many minutes until a false alarm; and what is bad is found."""

import json
import math
import statistics

import numpy as np
import pytest

from sluice_judge.stats import edetector
from sluice_judge.stats.edetector import EDetector

LIMIT = 0.01
REQUESTS = 300
START = 1_800_000_000.0


def minutes_to_alarm(
    generator: np.random.Generator,
    rate: float,
    *,
    minutes: float,
    dispersion: float = 1.0,
    batch: int = 1,
    most: int = 10**6,
) -> int:
    """Minutes of 300 requests until the alarm, for a promise of so many; `most` where there is none before."""
    detector, threshold = EDetector(), edetector.log_threshold(minutes)
    events = batch * generator.poisson(REQUESTS * rate / batch, most)
    for minute, count in enumerate(events, start=1):
        detector = detector.observe(REQUESTS, float(count), limit=LIMIT, dispersion=dispersion, begin=60.0 * minute)
        if detector.log_evidence >= threshold:
            return minute
    return most


@pytest.mark.parametrize(("dispersion", "batch"), [(1.0, 1), (5.0, 5)], ids=["poisson", "bursts of five"])
def test_at_the_limit_false_alarms_are_no_more_frequent_than_promised(dispersion: float, batch: int) -> None:
    """100 times a promise of 100 minutes, on the edge of the null: the mean is at least that, less three standard errors.
    Runs are cut at ten times the promise, which only lowers the mean."""
    generator = np.random.default_rng(7)
    runs = [
        minutes_to_alarm(generator, LIMIT, minutes=100, dispersion=dispersion, batch=batch, most=1000)
        for _ in range(100)
    ]

    assert statistics.mean(runs) >= 100 - 3 * statistics.stdev(runs) / math.sqrt(len(runs))


def test_the_sum_is_a_supermartingale_less_the_time() -> None:
    """E[R_k - k] <= 0 on the edge: of 4,000 detectors after three minutes, within three standard errors."""
    generator = np.random.default_rng(11)
    sums = []
    for counts in generator.poisson(REQUESTS * LIMIT, (4000, 3)):
        detector = EDetector()
        for minute, count in enumerate(counts):
            detector = detector.observe(REQUESTS, float(count), limit=LIMIT, dispersion=1.0, begin=60.0 * minute)
        sums.append(math.exp(detector.log_evidence) - len(counts))

    assert statistics.mean(sums) <= 3 * statistics.stdev(sums) / math.sqrt(len(sums))


def test_below_the_limit_years_pass() -> None:
    assert minutes_to_alarm(np.random.default_rng(3), LIMIT / 1.5, minutes=1000, most=20_000) == 20_000


@pytest.mark.parametrize(("times", "at_most"), [(2.0, 12), (5.0, 3), (50.0, 1)])
def test_what_is_over_the_limit_is_found(times: float, at_most: int) -> None:
    generator = np.random.default_rng(5)
    found = [minutes_to_alarm(generator, times * LIMIT, minutes=129_600) for _ in range(30)]

    assert statistics.median(found) <= at_most


def test_the_change_is_told_with_its_counts() -> None:
    """A hundred good minutes, ten bad ones."""
    detector, generator = EDetector(), np.random.default_rng(2)
    for minute in range(110):
        rate = LIMIT / 2 if minute < 100 else 4 * LIMIT
        events = float(generator.poisson(REQUESTS * rate))
        detector = detector.observe(REQUESTS, events, limit=LIMIT, dispersion=1.0, begin=START + 60 * minute)
    change = detector.change

    assert change is not None
    assert change.since == START + 60 * 100
    assert change.requests == 10 * REQUESTS
    assert 0.03 < change.events / change.requests < 0.05


def test_without_a_change_there_is_none() -> None:
    assert EDetector().change is None
    assert EDetector().observe(REQUESTS, 0.0, limit=LIMIT, dispersion=1.0, begin=START).change is None


@pytest.mark.parametrize(("requests", "limit"), [(0.0, LIMIT), (REQUESTS, 1.0), (REQUESTS, 1.5)])
def test_a_minute_that_says_nothing_is_none(requests: float, limit: float) -> None:
    before = EDetector().observe(REQUESTS, 9.0, limit=LIMIT, dispersion=1.0, begin=START)

    assert before.observe(requests, 0.0, limit=limit, dispersion=1.0, begin=START + 60) is before


def test_more_events_than_requests_are_counted_as_requests() -> None:
    """An event may be of a request that was counted a minute before."""
    detector = EDetector().observe(5.0, 9.0, limit=LIMIT, dispersion=1.0, begin=START)

    assert detector.change is not None
    assert (detector.change.requests, detector.change.events) == (9.0, 9.0)


def test_an_alarm_of_weeks_stays_a_number() -> None:
    detector = EDetector()
    for minute in range(200):
        detector = detector.observe(REQUESTS, REQUESTS, limit=LIMIT, dispersion=1.0, begin=START + 60 * minute)

    assert detector.log_evidence <= edetector.LARGEST_LOG
    assert edetector.restore(json.loads(json.dumps(detector.to_state()))) == detector


def test_it_goes_on_bit_for_bit_after_a_restart() -> None:
    generator = np.random.default_rng(9)
    one = other = EDetector()
    for minute, count in enumerate(generator.poisson(REQUESTS * LIMIT * 1.3, 50)):
        one = one.observe(REQUESTS, float(count), limit=LIMIT, dispersion=1.2, begin=60.0 * minute)
        other = edetector.restore(json.loads(json.dumps(other.to_state())))
        other = other.observe(REQUESTS, float(count), limit=LIMIT, dispersion=1.2, begin=60.0 * minute)

    assert one == other
    assert len(json.dumps(one.to_state())) < 1000


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"r": [], "c": []},
        {"r": [0.0] * 8, "c": [[]] * 7},
        {"r": ["much"] * 8, "c": [[]] * 8},
        {"r": [True] * 8, "c": [[]] * 8},
        {"r": [0.0] * 8, "c": [[1.0] * 9] * 8},
        {"r": 5, "c": [[]] * 8},
    ],
)
def test_another_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"start (it|the e-detector) anew"):
        edetector.restore(state)


def test_several_detectors_share_one_promise() -> None:
    bad = EDetector().observe(REQUESTS, 30.0, limit=LIMIT, dispersion=1.0, begin=START)
    good = EDetector().observe(REQUESTS, 0.0, limit=LIMIT, dispersion=1.0, begin=START)

    assert good.log_evidence < edetector.log_evidence([bad, good]) < bad.log_evidence
    assert edetector.log_evidence([]) == -math.inf


@pytest.mark.parametrize("minutes", [0.0, 1.0, math.inf, math.nan])
def test_a_promise_is_a_number_of_minutes(minutes: float) -> None:
    with pytest.raises(ValueError, match="minutes"):
        edetector.log_threshold(minutes)
