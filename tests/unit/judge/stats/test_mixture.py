"""Whether versions get requests alike, and that evidence is worth less by as much as they may not."""

import math

import numpy as np
import pytest
from scipy import stats

from sluice_judge.stats import eprocess, evidence, mixture
from sluice_judge.stats.evidence import Counts


@pytest.mark.parametrize(
    ("table", "want"),
    [
        pytest.param({}, 0.0, id="nothing"),
        pytest.param({"a": (5.0, 0.0)}, 0.0, id="one arm"),
        pytest.param({"a": (1.0, 9.0), "b": (2.0, 18.0)}, 0.0, id="alike"),
        pytest.param({"a": (10.0, 0.0), "b": (0.0, 10.0)}, 20 * math.log(2), id="nothing in common"),
    ],
)
def test_log_ratio(table: mixture.Table, want: float) -> None:
    assert mixture.log_ratio(table) == pytest.approx(want, abs=1e-9)


def test_it_is_half_of_the_g_statistic() -> None:
    table = {"a": (12.0, 40.0), "b": (20.0, 31.0), "c": (3.0, 50.0)}
    found = stats.chi2_contingency(list(table.values()), correction=False, lambda_="log-likelihood")
    assert mixture.log_ratio(table) == pytest.approx(found.statistic / 2)


def test_differ() -> None:
    assert not mixture.differ({"a": (10.0, 90.0), "b": (12.0, 80.0)})
    assert mixture.differ({"a": (10.0, 90.0), "b": (40.0, 20.0)})


def test_added() -> None:
    assert mixture.added({"a": (1.0, 2.0)}, {"b": 1.0}, {"a": 3.0}) == {"a": (1.0, 5.0), "b": (1.0, 0.0)}


def test_an_innocent_version_with_longer_prompts_is_not_accused() -> None:
    """Four times as long prompts, which are slow: of 400 releases with alpha = 1 % at most as many as alpha and chance."""
    generator = np.random.default_rng(5)
    kinds, slow = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.02, 0.05, 0.2, 0.6])
    shifted = np.array([0.0, 0.4, 0.3, 0.3])
    accused = naive = 0
    for _ in range(400):
        process, table = eprocess.start(evidence.relative_up(1.25)), {}
        alone = False
        for _ in range(60):
            ours, others = generator.multinomial(10, shifted), generator.multinomial(90, kinds)
            events = generator.binomial(ours, slow).sum(), generator.binomial(others, slow).sum()
            process = process.observe(Counts(10, events[0], 90, events[1]), dispersion=1.0)
            table = mixture.added(table, dict(enumerate(map(float, ours))), dict(enumerate(map(float, others))))  # type: ignore[arg-type]
            alone = alone or process.log_evidence >= math.log(100)
            if process.log_evidence - mixture.log_ratio(table) >= math.log(100):
                accused += 1
                break
        naive += alone
    assert accused <= 4
    assert naive > 300, "without the prompts, nearly each is"
