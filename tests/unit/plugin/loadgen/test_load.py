"""The figures of a load."""

from hypothesis import given
from hypothesis import strategies as st

from kubectl_sluice.loadgen import load


@given(st.lists(st.floats(0.0001, 100), min_size=1, max_size=50))
def test_percentiles_were_measured_and_rise(latencies: list[float]) -> None:
    figures = load.summary(latencies)
    millis = [round(each * 1000, 3) for each in latencies]
    assert {figures["p50"], figures["p95"], figures["p99"]} <= set(millis)
    assert min(millis) <= figures["p50"] <= figures["p95"] <= figures["p99"] <= max(millis)
    assert sum(each <= figures["p95"] for each in millis) >= 0.95 * len(millis)
    assert load.summary([]) == {}
