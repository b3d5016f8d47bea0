import math

import pytest
from scipy import stats as reference

from sluice_judge.stats import special

PROBABILITIES = (0.0005, 0.025, 0.5, 0.975, 0.999)
SHAPES = (0.05, 0.3, 1.0, 2.0, 17.5, 199.0, 201.0, 19_999.0, 20_001.0, 1e6)


@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gamma_quantile(shape: float, probability: float) -> None:
    want = reference.gamma.ppf(probability, shape)
    assert special.gamma_quantile(shape, probability) == pytest.approx(want, rel=1e-7)


@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("b", SHAPES)
@pytest.mark.parametrize("a", SHAPES)
def test_beta_quantile(a: float, b: float, probability: float) -> None:
    """Both directions: where x rounds to 1 scipy only knows 1 - x, the quantile of the mirrored distribution."""
    log_odds = special.beta_quantile_log_odds(a, b, probability)
    precision = 1e-6 if min(a, b) < 200 else 5e-4
    want, mirrored = reference.beta.ppf(probability, a, b), reference.beta.isf(probability, b, a)
    assert special.from_log_odds(log_odds) == pytest.approx(want, rel=precision, abs=1e-300)
    assert special.from_log_odds(-log_odds) == pytest.approx(mirrored, rel=precision, abs=1e-300)


@pytest.mark.parametrize("log_odds", [-800.0, -30.0, 0.0, 30.0, 800.0])
def test_log_odds_do_not_overflow(log_odds: float) -> None:
    assert special.from_log_odds(log_odds) + special.from_log_odds(-log_odds) == pytest.approx(1)
    assert 0 <= special.from_log_odds(log_odds) <= 1


def test_quantiles_of_large_counts_are_quick_enough_for_a_report() -> None:
    """Shapes of 1e9 take the expansions; one large shape alone must converge, too."""
    assert special.beta_quantile_log_odds(5, 1e9, 0.975) == pytest.approx(
        math.log(reference.gamma.ppf(0.975, 5) / 1e9), abs=1e-5
    )
