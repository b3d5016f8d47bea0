"""What would help, and that nothing is recommended which was not measured to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sluice.offline.profile import advice
from kubectl_sluice.offline.profile.advice import Advice
from kubectl_sluice.offline.profile.bottleneck import Bottleneck
from kubectl_sluice.offline.profile.model import AS_IT_SERVES, BatchingMode, Measurements, Setting
from tests.unit.plugin.offline.profile.builders import make_measurements, make_point

SHORT, LONG = Setting(BatchingMode.ON, 100), Setting(BatchingMode.ON, 1000)
TWO, THREADS = Setting(instances=2), Setting(threads=2)
ENVIRONMENT = [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "A", "value": "b"}]


def advised(found: Measurements, kind: Bottleneck = Bottleneck.CPU, rate: float | None = None) -> tuple[Advice, ...]:
    return advice.advise(found, kind, rate=rate, environment=ENVIRONMENT)


def measured(*others: tuple[Setting, float, float], **changes: Any) -> Measurements:
    """What serves (100/s, p95 100 ms with 8 at once) beside (setting, rate, p95)."""
    points = [make_point(8, rate, setting=setting, p95=p95, **changes) for setting, rate, p95 in others]
    return make_measurements(make_point(8, 100, p95=100), *points)


def test_a_setting_is_recommended_with_its_measured_gain() -> None:
    found = measured((LONG, 150, 70), mean_batch=4.2, largest_batch=6)
    first, second = advised(found)
    assert first.gain_percent == pytest.approx(50)
    assert first.sentence == (
        "Set batching 1ms: 150 instead of 100 requests/s (+50 %) with 8 at once, p95 70.0 instead of 100 ms (batches of 4.2 "
        "on average)."
    )
    assert first.server_config == ("max_batch_size: 8", "dynamic_batching { max_queue_delay_microseconds: 1000 }")
    assert first.fields == {}
    assert "One pod (batching 1ms) answers 150 requests/s" in second.sentence


@pytest.mark.parametrize(
    ("others", "want"),
    [
        ([(SHORT, 109, 90)], None),
        ([(SHORT, 150, 101)], None),
        ([(SHORT, 80, 50)], None),
        ([(SHORT, 110.1, 100)], SHORT),
        ([(SHORT, 150, 90), (LONG, 155, 90)], SHORT),
        ([(SHORT, 150, 90), (LONG, 180, 90)], LONG),
        ([(SHORT, 300, 200), (TWO, 130, 80)], TWO),
        ([], None),
    ],
    ids=["little", "slower for some", "worse", "enough", "alike: the first", "the best", "p95 first", "alone"],
)
def test_which_setting(others: list[tuple[Setting, float, float]], want: Setting | None) -> None:
    best = advice.best_setting(measured(*others))
    assert (best[0] if best is not None else None) == want


def test_a_setting_that_fails_requests_is_not_recommended() -> None:
    assert advice.best_setting(measured((SHORT, 200, 50), failures=1)) is None


@pytest.mark.parametrize(("again", "want"), [(100, SHORT), (125, SHORT), (130, None), (60, None), (0, None)])
def test_a_gain_must_be_more_than_two_measurements_of_the_same_differ_by(again: float, want: Setting | None) -> None:
    """The setting brings 160; what serves brought 100 at first."""
    points = (make_point(8, 100, p95=100), make_point(8, 160, setting=SHORT, p95=50))
    best = advice.best_setting(make_measurements(*points, again=make_point(8, again, p95=100)))
    assert (best[0] if best is not None else None) == want


def test_settings_are_compared_with_the_same_number_of_clients() -> None:
    points = (
        make_point(8, 100),
        make_point(16, 101),
        make_point(8, 130, setting=SHORT),
        make_point(32, 900, setting=SHORT),
    )
    pair = advice.compared(make_measurements(*points), SHORT)
    assert pair is not None
    assert [point.concurrency for point in pair] == [8, 8]
    assert advice.compared(make_measurements(points[0], make_point(4, 9, setting=LONG)), LONG) is None


def test_where_nothing_is_better_the_best_is_told() -> None:
    first, _, last = advised(measured((SHORT, 103, 95), (LONG, 90, 150)))
    assert first.sentence == (
        "Keep the settings; a change is worth it from +10 %, with a p95 that is no worse: the best other one was "
        "batching 100us, +3 % requests/s with 8 at once, p95 95.0 instead of 100 ms."
    )
    assert last.sentence == advice.NEXT[Bottleneck.CPU]


def test_threads_are_variables_beside_those_that_are_there() -> None:
    first, _ = advised(measured((THREADS, 160, 60)))
    assert first.fields == {
        "runtime": {
            "env": [
                {"name": "A", "value": "b"},
                {"name": "SLUICE_ONNX_THREADS", "value": "2"},
                {"name": "OMP_NUM_THREADS", "value": "2"},
            ]
        }
    }


def test_instances_are_the_servers_configuration() -> None:
    first, _ = advised(measured((TWO, 160, 60)))
    assert first.server_config == ("instance_group [{ count: 2, kind: KIND_AUTO }]",)


@pytest.mark.parametrize(("rate", "replicas"), [(1, 1), (70, 1), (71, 2), (700, 10)])
def test_replicas_leave_room(rate: float, replicas: int) -> None:
    found = advised(measured(), rate=rate)
    assert advice.fields_of(found) == {"replicas": replicas}


def test_nothing_else_is_recommended_while_requests_fail() -> None:
    [only] = advised(measured((SHORT, 200, 50)), Bottleneck.FAILURES, rate=1000)
    assert only.fields == {}


def test_what_was_measured_in_doubt_wants_to_be_measured_again() -> None:
    *others, last = advised(measured((SHORT, 200, 50)), Bottleneck.NOT_REACHED)
    assert others[0].gain_percent == 100
    assert last.sentence == advice.NEXT[Bottleneck.NOT_REACHED]


def test_nothing_is_recommended_from_a_full_node() -> None:
    first, last = advised(measured((SHORT, 200, 50)), Bottleneck.NODE, rate=1000)
    assert "the best other one was batching 100us, +100 % requests/s" in first.sentence
    assert last.sentence == advice.NEXT[Bottleneck.NODE]
    assert advice.fields_of((first, last)) == {}
    assert (first.server_config, first.gain_percent) == ((), None)


@pytest.mark.parametrize(("largest", "want"), [(None, 2), (1, 2), (2, 2), (3, 4), (16, 16), (17, 32)])
def test_batch_size(largest: int | None, want: int) -> None:
    assert advice.batch_size(make_point(largest_batch=largest)) == want


def test_each_bottleneck_says_what_to_try() -> None:
    assert set(advice.NEXT) == set(Bottleneck)


rates = st.floats(0, 1e4)
others = st.lists(
    st.tuples(st.sampled_from([SHORT, LONG, TWO, THREADS]), rates, rates), max_size=4, unique_by=lambda o: o[0]
)


@given(others, rates)
def test_what_is_recommended_was_measured_to_be_better(found: list[tuple[Setting, float, float]], base: float) -> None:
    points = [make_point(8, rate, setting=setting, p95=p95) for setting, rate, p95 in found]
    best = advice.best_setting(make_measurements(make_point(8, base, p95=100), *points))
    if best is not None:
        setting, (before, after) = best
        assert setting != AS_IT_SERVES
        assert after.rate >= 1.1 * before.rate * (1 - 1e-9)
        assert after.p95_millis <= before.p95_millis


@given(others, rates, st.sampled_from(Bottleneck), st.none() | st.floats(0.001, 1e6))
def test_there_is_always_advice(
    found: list[tuple[Setting, float, float]], base: float, kind: Bottleneck, rate: float | None
) -> None:
    points = [make_point(8, each, setting=setting, p95=p95) for setting, each, p95 in found]
    given_advice = advised(make_measurements(make_point(8, base, p95=100), *points), kind, rate)
    assert given_advice
    assert all(one.sentence.endswith(".") for one in given_advice)
