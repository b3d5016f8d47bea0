"""Language models under the chart's policy for streams: whole releases through the shipped judge, with fixed seeds."""

import dataclasses
import math

import pytest

from tests.benchmarks.judge import streams
from tests.benchmarks.judge.streams import Setting, Told

SLOW = dataclasses.replace(streams.SLOW, seconds=300, history_seconds=600)


def test_slow_first_tokens_are_found_soon() -> None:
    told = [streams.release(SLOW, seed) for seed in (1, 2, 3, 1)]
    assert sorted(each.rolled_back for each in told[:3])[1] <= 60
    assert told[0].why.startswith("first-token: candidate ")
    assert told[0] == told[3]


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(dataclasses.replace(SLOW, labelled=True), id="told apart by prompts"),
        pytest.param(dataclasses.replace(SLOW, pod_scrape_seconds=30), id="pods are scraped less often"),
    ],
)
def test_slow_first_tokens_are_found(setting: Setting) -> None:
    assert streams.release(setting, 1).rolled_back < math.inf


def test_broken_streams_are_found() -> None:
    setting = dataclasses.replace(streams.BROKEN, seconds=600, history_seconds=600)
    told = [streams.release(setting, seed) for seed in range(4, 9)]
    assert all(each.why.startswith("broken-streams: candidate ") for each in told)
    assert sorted(each.candidate_requests for each in told)[2] <= 120, "the figures page has the median of many"


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("longer", [1.0, 4.0])
def test_an_equal_version_stays_whatever_it_is_asked(*, labelled: bool, longer: float) -> None:
    setting = Setting(longer=longer, labelled=labelled, seconds=180, history_seconds=600)
    told = streams.release(setting, 1)
    assert told == Told(candidate_requests=told.candidate_requests)


CHAT = Setting(conversations=True, seconds=300, history_seconds=900)


@pytest.mark.parametrize(
    ("weight", "stable_pods", "labelled"), [(0.1, 1, False), (0.1, 1, True), (0.25, 1, False), (0.5, 1, False)]
)
def test_an_equal_version_that_has_fewer_prefixes_stays(weight: float, stable_pods: int, *, labelled: bool) -> None:
    setting = dataclasses.replace(CHAT, weight=weight, stable_pods=stable_pods, labelled=labelled)
    told = [streams.release(setting, seed) for seed in (1, 2)]
    assert [each.rolled_back for each in told] == [math.inf, math.inf]


def test_with_equal_shares_a_version_that_is_slow_is_found_beside_caches() -> None:
    """Once the candidate's cache has filled."""
    setting = dataclasses.replace(CHAT, weight=0.5, slower=3.0, seconds=420)
    assert all(streams.release(setting, seed).why.startswith("first-token: candidate ") for seed in (1, 2))


def test_a_lost_prefix_is_found_with_equal_shares() -> None:
    setting = dataclasses.replace(CHAT, weight=0.5, loses_prefix=True, seconds=420, labelled=True)
    assert all(streams.release(setting, seed).why.startswith("cache-reuse: candidate ") for seed in (1, 2))


def test_figures() -> None:
    figure = streams.found_after(SLOW, 300.0, 2, 1)
    assert (figure.target, figure.reached) == ("median ≤ 300 s", True)
    assert streams.found_with(SLOW, 1.0, 2, 1).reached is False
    same = dataclasses.replace(streams.SAME, seconds=30, history_seconds=300)
    assert streams.rolled_back(same, 2, 1).reached is True
