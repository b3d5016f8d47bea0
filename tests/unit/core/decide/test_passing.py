"""What is left out of a plan because it is over in a moment, and for how long."""

from dataclasses import replace

import pytest

from sluice_core.decide import passing
from sluice_core.kernel.plan import ApplyStatus, Plan

LASTS = 10.0
RECORD = ApplyStatus({"kind": "ModelRollout", "metadata": {"name": "m"}})
SHORT = ApplyStatus({"kind": "ModelDeployment", "metadata": {"name": "m"}}, after_seconds=LASTS)
PLAN = Plan(writes=(RECORD, SHORT), requeue_after=60.0)
LEFT_OUT = replace(PLAN, writes=(RECORD,))


@pytest.mark.parametrize(
    ("since", "now", "want", "began"),
    [
        pytest.param(None, 100.0, replace(LEFT_OUT, requeue_after=LASTS), 100.0, id="for the first time"),
        pytest.param(100.0, 99.0 + LASTS, replace(LEFT_OUT, requeue_after=1.0), 100.0, id="not for long"),
        pytest.param(100.0, 100.0 + LASTS, PLAN, 100.0, id="it lasts"),
        pytest.param(100.0, 500.0, PLAN, 100.0, id="it has lasted for long"),
        pytest.param(100.0, 40.0, replace(LEFT_OUT, requeue_after=LASTS), 40.0, id="the clock was put back"),
    ],
)
def test_what_passes_is_left_out_until_it_lasts(since: float | None, now: float, want: Plan, began: float) -> None:
    assert passing.due(PLAN, since, now) == (want, began)


def test_while_others_wait_to_be_written_what_is_on_its_way_waits_longer_and_that_a_model_is_ready_does_not() -> None:
    on_its_way = replace(PLAN, writes=(RECORD, replace(SHORT, after_seconds=passing.LASTS_SECONDS)))
    long = 100.0 + passing.LASTS_SECONDS
    assert passing.due(on_its_way, 100.0, long, busy=False) == (on_its_way, 100.0)
    assert passing.due(on_its_way, 100.0, long, busy=True)[0].writes == (RECORD,)
    assert passing.due(on_its_way, 100.0, 100.0 + passing.LASTS_BUSY_SECONDS, busy=True) == (on_its_way, 100.0)
    ready = replace(PLAN, writes=(RECORD, replace(SHORT, after_seconds=passing.READY_SECONDS)))
    assert passing.due(ready, 100.0, 100.0 + passing.READY_SECONDS, busy=True) == (ready, 100.0)


def test_who_rests_otherwise_looks_again_in_time() -> None:
    resting = replace(PLAN, requeue_after=None)
    assert passing.due(resting, 100.0, 97.0 + LASTS)[0].requeue_after == 3.0


def test_a_look_that_comes_sooner_stays() -> None:
    assert passing.due(replace(PLAN, requeue_after=2.0), 100.0, 97.0 + LASTS)[0].requeue_after == 2.0


def test_each_is_left_out_for_its_own_time() -> None:
    longer = replace(SHORT, after_seconds=3 * LASTS)
    both = replace(PLAN, writes=(SHORT, longer), requeue_after=None)
    assert passing.due(both, 100.0, 100.0) == (replace(both, writes=(), requeue_after=LASTS), 100.0)
    assert passing.due(both, 100.0, 100.0 + LASTS) == (replace(both, writes=(SHORT,), requeue_after=2 * LASTS), 100.0)
    assert passing.due(both, 100.0, 100.0 + 3 * LASTS) == (both, 100.0)


def test_nothing_is_left_out_of_another_plan() -> None:
    plan = Plan(writes=(RECORD, replace(SHORT, after_seconds=0.0)))
    assert passing.due(plan, 100.0, 110.0) == (plan, None)
