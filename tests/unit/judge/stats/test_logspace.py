import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.stats import logspace

LOGS = st.floats(-600, 600) | st.just(-math.inf)


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


def test_a_wealth_grows_by_what_is_added_and_by_its_factor() -> None:
    logs, factors = (-math.inf, -3.0, 0.5, 2000.0), (0.25, -math.inf, -0.75, 123.456)
    want = [logspace.storable(logspace.log_add(log, -1.0) + f) for log, f in zip(logs, factors, strict=True)]
    assert logspace.grown(logs, -1.0, factors) == tuple(want)
    assert want[:2] == [-0.75, -math.inf]


@pytest.mark.parametrize("value", [0.0, -1.23456789012345, 999.999999999999, 1e3, -123456.789012345, 5e9, -math.inf])
def test_what_is_stored_comes_back_with_all_its_bits(value: float) -> None:
    stored = logspace.storable(value)
    assert stored == pytest.approx(value, rel=1e-11, abs=1e-9)
    assert stored == -math.inf or json.loads(json.dumps(stored)) == stored
    assert len(repr(stored)) <= 15
