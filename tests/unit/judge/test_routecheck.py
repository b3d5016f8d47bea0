"""Whether the requests go where the route says."""

import pytest

from sluice_judge.samples import inflight
from tests.support.groups import replaced
from tests.support.simulated.trials import ERRORS, make_trial
from tests.unit.judge.test_judge import begun, run


def test_mismatch_is_found_and_said() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    _, result = run(prometheus, trial, begin=5, end=60, stable=70, candidate=30)

    assert result.split_mismatch == (
        "the candidate gets 30.0 % of 1100 requests that the gateway distributed; the route says 5 %"
    )
    assert result.accusation.rollback_log < 1


@pytest.mark.parametrize("candidate", [3, 5, 7])
def test_shares_within_the_tolerance_are_fine(candidate: int) -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    _, result = run(prometheus, trial, begin=5, end=600, stable=100 - candidate, candidate=candidate)

    assert result.split_mismatch == ""


@pytest.mark.parametrize("changes", [{"share_checked": False}, {"baking": True}], ids=str)
def test_nothing_is_checked_where_the_route_does_not_say_it(changes: dict[str, bool]) -> None:
    prometheus, trial = begun(objectives=(ERRORS,), **changes)
    _, result = run(prometheus, trial, begin=5, end=60, stable=70, candidate=30)

    assert result.split_mismatch == ""


def test_evidence_is_kept_over_steps_whose_shares_differ() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    trial, before = run(prometheus, trial, begin=5, end=200, stable=95, candidate=5)
    trial, after = run(
        prometheus, trial, begin=205, end=400, stable=75, candidate=25, step=2, permille=250, route_generation=8
    )
    _, wrong = run(prometheus, trial, begin=405, end=450, stable=30, candidate=70)

    assert (before.split_mismatch, after.split_mismatch) == ("", "")
    assert "the route says 25 %" in wrong.split_mismatch


def test_answers_to_requests_of_an_earlier_share_are_not_counted() -> None:
    """In an outage of both, what the candidate was sent while it had all requests ends half a minute later."""
    prometheus, trial = begun(objectives=(ERRORS,), answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=5, end=60, stable=50, candidate=50, permille=500, route_generation=8)
    for second in range(65, 130, 5):
        old = 200 if second < 95 else 0
        trial, judged = run(
            prometheus,
            trial,
            begin=second,
            end=second,
            stable=95,
            candidate=5 + old,
            bad=old,
            permille=50,
            step=2,
            route_generation=9,
        )
        assert judged.split_mismatch == "", second


def test_repair_of_the_route_begins_the_check_anew() -> None:
    prometheus, trial = begun(objectives=(ERRORS,))
    trial, wrong = run(prometheus, trial, begin=5, end=60, stable=70, candidate=30)
    trial, repaired = run(prometheus, trial, begin=65, end=70, stable=70, candidate=30, route_generation=8)
    trial, right = run(prometheus, trial, begin=75, end=300, stable=95, candidate=5)
    _, again = run(prometheus, trial, begin=305, end=400, stable=70, candidate=30)

    assert wrong.split_mismatch
    assert (repaired.split_mismatch, right.split_mismatch) == ("", "")
    assert again.split_mismatch


@pytest.mark.parametrize(
    ("permille", "stable_permille", "want"), [(50, None, 0.05), (200, 600, 0.25), (1000, None, 1.0), (0, 0, 0.0)]
)
def test_share_among_the_two(permille: int, stable_permille: int | None, want: float) -> None:
    trial = replaced(make_trial(), permille=permille, stable_permille=stable_permille)

    assert inflight.routed(trial) == want
