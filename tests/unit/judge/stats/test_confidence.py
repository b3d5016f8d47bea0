"""Confidence sequences: proof 1 for each end of the interval, coverage at every look, and replay equality."""

import functools
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.stats import confidence, logspace
from sluice_judge.stats.confidence import ConfidenceSequence, RatioVerdict
from sluice_judge.stats.evidence import Counts
from tests.support.cases.evalues import chances, rounded_one


@st.composite
def scrapes(draw: st.DrawFn) -> Counts:
    n_c, n_s = draw(st.integers(0, 400)), draw(st.integers(0, 400))
    return Counts(n_c, draw(st.integers(0, n_c)), n_s, draw(st.integers(0, n_s)))


def observe_all(
    history: list[Counts], so_far: ConfidenceSequence | None = None, dispersion: float = 1.0
) -> ConfidenceSequence:
    return functools.reduce(
        lambda now, counts: now.observe(counts, dispersion=dispersion), history, so_far or confidence.start()
    )


def simulated(generator: np.random.Generator, rates: tuple[float, float], scrapes: int, requests: int) -> list[Counts]:
    n = generator.poisson(requests, (scrapes, 2))
    x = generator.binomial(n, rates)
    return [Counts(float(a), float(c), float(b), float(d)) for (a, b), (c, d) in zip(n, x, strict=True)]


@pytest.mark.parametrize("index", [0, 5, 25, 40, 47, 60, 79])
@pytest.mark.parametrize("arms", [(1, 5), (4, 4), (6, 2)])
@pytest.mark.parametrize("stable_rate", [0.01, 0.1])
def test_the_true_ratio_is_not_expected_to_be_refuted(index: int, arms: tuple[int, int], stable_rate: float) -> None:
    """Exact: E[E_up(r0)] and E[E_down(r0)] at p_C = r0 p_S, and with a rate on the null's own side of it."""
    ratio = math.exp(confidence.LOG_RATIOS[index])
    edge = ratio * stable_rate
    for up, rate in ((True, edge), (True, edge / 2), (False, edge), (False, (1 + edge) / 2)):
        expected = 0.0
        for x_c, x_s in itertools.product(range(arms[0] + 1), range(arms[1] + 1)):
            chance = chances(arms[0], rate)[x_c] * chances(arms[1], stable_rate)[x_s]
            seen = confidence.start().observe(Counts(arms[0], x_c, arms[1], x_s), dispersion=1.0)
            logs = seen.log_evidence_above() if up else (0.0, *seen.log_evidence_below())
            expected += chance * math.exp(logs[index])
        assert expected <= 1 + 1e-9


@given(history=st.lists(scrapes(), max_size=8), arms=st.tuples(st.integers(0, 5), st.integers(0, 5)))
def test_one_more_scrape_is_not_expected_to_refute_equality(history: list[Counts], arms: tuple[int, int]) -> None:
    now = observe_all(history)
    above, below = now.log_evidence_above()[confidence.EQUAL], now.log_evidence_below()[confidence.EQUAL - 1]
    expected, logs = [0.0, 0.0], [0.0]
    for x_c, x_s in itertools.product(range(arms[0] + 1), range(arms[1] + 1)):
        chance = chances(arms[0], 0.1)[x_c] * chances(arms[1], 0.1)[x_s]
        seen = now.observe(Counts(arms[0], x_c, arms[1], x_s), dispersion=1.0)
        expected[0] += chance * math.exp(seen.log_evidence_above()[confidence.EQUAL] - above)
        expected[1] += chance * math.exp(seen.log_evidence_below()[confidence.EQUAL - 1] - below)
        logs += seen.log_likelihoods
    assert max(expected) <= rounded_one(logs)


@given(before=st.lists(scrapes(), max_size=8), after=st.lists(scrapes(), max_size=4), dispersion=st.floats(1, 20))
def test_a_restart_at_any_scrape_changes_nothing(before: list[Counts], after: list[Counts], dispersion: float) -> None:
    running = observe_all(before, dispersion=dispersion)
    restored = confidence.restore(json.loads(json.dumps(running.to_state(), allow_nan=False)))
    assert restored == running
    assert observe_all(after, restored, dispersion) == observe_all(after, running, dispersion)


def test_evidence_is_the_mean_over_one_side_of_the_grid() -> None:
    seen = confidence.start().observe(Counts(100, 9, 300, 11), dispersion=2.0)
    logs = [
        (9 * log_ratio - 20 * math.log(0.25 * math.exp(log_ratio) + 0.75)) / 2 for log_ratio in confidence.LOG_RATIOS
    ]
    assert seen.log_likelihoods == pytest.approx(logs)
    above, below = seen.log_evidence_above(), seen.log_evidence_below()
    for index in (0, 7, 40, 79):
        assert above[index] == pytest.approx(logspace.log_mean(logs[index + 1 :]) - logs[index])
        assert below[index] == pytest.approx(logspace.log_mean(logs[: index + 1]) - logs[index + 1])


def test_the_interval_is_what_nothing_refutes() -> None:
    """Its ends are the refuted points next to the ones that are possible."""
    seen = observe_all(simulated(np.random.default_rng(3), (0.05, 0.04), 50, 1000))
    found = seen.interval(alpha=0.05, arms=2)
    assert found is not None
    threshold = math.log(2 * 2 / 0.05)
    above, below = seen.log_evidence_above(), seen.log_evidence_below()
    ratios = [math.exp(log_ratio) for log_ratio in confidence.LOG_RATIOS]
    for index in range(5, 76):
        possible = above[index] < threshold and below[index - 1] < threshold
        assert possible == (found.lower < ratios[index] < found.upper)
    assert found.lower < found.estimate < found.upper


@pytest.mark.parametrize(
    ("rates", "open_below", "open_above", "want"),
    [
        ((0.2, 0.2), False, False, None),
        ((0.3, 0.2), False, False, RatioVerdict.ABOVE),
        ((0.2, 0.3), False, False, RatioVerdict.BELOW),
        ((0.9, 0.05), False, True, RatioVerdict.ABOVE),
        ((0.005, 0.2), True, False, RatioVerdict.BELOW),
    ],
)
def test_separation_and_open_ends(
    rates: tuple[float, float], open_below: bool, open_above: bool, want: RatioVerdict | None
) -> None:
    seen = observe_all(simulated(np.random.default_rng(4), rates, 50, 400))
    found = seen.interval(alpha=0.05, arms=1)
    assert found is not None
    assert (found.lower == 0, found.upper == math.inf) == (open_below, open_above)
    assert seen.separation(alpha=0.05, arms=1) is want
    assert (found.lower >= 1, found.upper <= 1) == (want is RatioVerdict.ABOVE, want is RatioVerdict.BELOW)


def test_an_arm_that_is_just_separated_has_an_open_end_at_one() -> None:
    """What is written as the lower bound is excluded, so a better arm may show 1, and never less."""
    seen, bounds = confidence.start(), []
    while len(bounds) < 200:
        seen = seen.observe(Counts(20, 4, 20, 3), dispersion=1.0)
        if seen.separation(alpha=0.05, arms=1) is RatioVerdict.ABOVE:
            found = seen.interval(alpha=0.05, arms=1)
            assert found is not None
            bounds.append(found.lower)
    assert bounds[0] == 1.0
    assert min(bounds) >= 1.0 < max(bounds)


def test_more_arms_and_more_dispersion_widen_the_interval() -> None:
    history = simulated(np.random.default_rng(5), (0.05, 0.05), 100, 500)
    widths = [
        math.log(found.upper / found.lower)
        for dispersion, arms in ((1.0, 1), (1.0, 5), (4.0, 5))
        if (found := observe_all(history, dispersion=dispersion).interval(alpha=0.05, arms=arms)) is not None
    ]
    assert len(widths) == 3
    assert widths == sorted(widths)
    assert widths[0] < widths[2]


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.6, 1.0, 1.3])
@pytest.mark.parametrize("burst", [1, 4])
def test_the_truth_stays_inside_at_every_look(ratio: float, burst: int) -> None:
    """200 tests of 150 looks at 95 %: at most 10 and three standard errors may ever exclude it."""
    generator = np.random.default_rng(9)
    missed = 0
    for _ in range(200):
        seen = confidence.start()
        for _ in range(150):
            n = generator.poisson(200, 2)
            x = np.minimum(n, burst * generator.poisson(n * np.array((0.05 * ratio, 0.05)) / burst))
            seen = seen.observe(Counts(int(n[0]), int(x[0]), int(n[1]), int(x[1])), dispersion=burst)
            found = seen.interval(alpha=0.05, arms=1)
            if found is not None and not found.lower <= ratio <= found.upper:
                missed += 1
                break
    assert missed <= 10 + 3 * math.sqrt(200 * 0.05 * 0.95)


def test_the_grid_is_symmetric_and_dense_where_arms_usually_differ() -> None:
    steps = [b - a for a, b in itertools.pairwise(confidence.LOG_RATIOS)]
    assert confidence.LOG_RATIOS[confidence.EQUAL] == 0
    assert confidence.LOG_RATIOS[0] == pytest.approx(-math.log(8))
    assert pytest.approx([-log_ratio for log_ratio in reversed(confidence.LOG_RATIOS)]) == confidence.LOG_RATIOS
    assert steps[40] == pytest.approx(0.0104, abs=1e-4)
    assert max(steps) < 0.14


@pytest.mark.parametrize("counts", [Counts(0, 0, 100, 5), Counts(100, 5, 0, 0), Counts(100, 0, 100, 0)])
def test_scrapes_without_information_say_nothing(counts: Counts) -> None:
    fresh = confidence.start()
    assert fresh.observe(counts, dispersion=1.0) is fresh
    assert fresh.interval(alpha=0.05, arms=1) is None
    assert fresh.separation(alpha=0.05, arms=1) is None


def test_state_is_compact() -> None:
    """Five arms with one metric share a status of at most 32 KB with the guards' processes."""
    seen = observe_all(simulated(np.random.default_rng(4), (0.5, 0.4), 200, 100_000))
    assert len(json.dumps(seen.to_state(), separators=(",", ":"))) < 1400


@pytest.mark.parametrize(
    "state", [{}, {"l": [0.0] * 80}, {"l": "x" * 81}, {"l": [math.nan] * 81}, {"l": [None] * 81}, {"l": [True] * 81}]
)
def test_a_broken_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="start the confidence sequence anew"):
        confidence.restore(state)


@pytest.mark.parametrize(("alpha", "arms"), [(0.0, 1), (1.0, 1), (math.nan, 1), (0.05, 0)])
def test_impossible_levels_are_refused(alpha: float, arms: int) -> None:
    with pytest.raises(ValueError, match="alpha"):
        confidence.log_threshold(alpha=alpha, arms=arms)
