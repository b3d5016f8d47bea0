import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.stats import logspace

LOGS = st.floats(-600, 600) | st.just(-math.inf)


@settings(deadline=None)
@given(LOGS, LOGS)
def test_log_add_adds(a: float, b: float) -> None:
    assert math.exp(logspace.log_add(a, b)) == pytest.approx(math.exp(a) + math.exp(b), rel=1e-9)


@pytest.mark.parametrize(
    ("logs", "want"),
    [
        ((), -math.inf),
        ((-math.inf, -math.inf), -math.inf),
        ((5.0,), 5.0),
        ((1e6, 1e6), 1e6 + math.log(2)),
        ((-1e6, 1e6), 1e6),
        ((0.0, -math.inf, math.log(3)), math.log(4)),
    ],
)
def test_log_sum_neither_overflows_nor_loses_zero(logs: tuple[float, ...], want: float) -> None:
    assert logspace.log_sum(logs) == pytest.approx(want)


def test_log_mean_counts_zeros() -> None:
    assert logspace.log_mean((math.log(4), -math.inf)) == pytest.approx(math.log(2))


def test_log_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        logspace.log_mean(())
