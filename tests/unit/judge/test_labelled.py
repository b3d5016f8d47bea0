"""The judge on labelled data: verdicts by numbers, and the promise that they keep for pairs of answers."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge import labelled, objectives
from sluice_judge.labelled import AnswerCounts
from sluice_judge.schema.objectives import FailureRatio
from sluice_judge.schema.verdict import Verdict
from sluice_judge.stats import combine, evidence

MAXIMUM = FailureRatio(maximum="10%")
TOLERANCE = FailureRatio(relative_tolerance="25%")
BOTH = FailureRatio(maximum="10%", relative_tolerance="25%")
NEGLIGIBLE = FailureRatio(maximum="10%", ignore_below="2%", relative_tolerance="25%")


def conclude(ratio: FailureRatio, rows: int, wrong: int, stable: int | None = None) -> labelled.Conclusion:
    told = None if stable is None else AnswerCounts(rows, stable)
    return labelled.conclude(ratio, AnswerCounts(rows, wrong), told, alpha=0.01, beta=0.05)


@pytest.mark.parametrize(
    ("ratio", "rows", "wrong", "stable", "want"),
    [
        (MAXIMUM, 1000, 0, None, Verdict.ADVANCE),
        (MAXIMUM, 1000, 50, None, Verdict.ADVANCE),
        (MAXIMUM, 1000, 120, None, Verdict.WAIT),
        (MAXIMUM, 10_000, 1200, None, Verdict.ROLL_BACK),
        (MAXIMUM, 1000, 500, None, Verdict.ROLL_BACK),
        (MAXIMUM, 20, 0, None, Verdict.WAIT),
        (MAXIMUM, 0, 0, None, Verdict.WAIT),
        (TOLERANCE, 3000, 150, 150, Verdict.ADVANCE),
        (TOLERANCE, 1000, 20, 80, Verdict.ADVANCE),
        (TOLERANCE, 1000, 500, 50, Verdict.ROLL_BACK),
        (TOLERANCE, 10_000, 800, 500, Verdict.ROLL_BACK),
        (TOLERANCE, 1000, 50, 50, Verdict.WAIT),
        (TOLERANCE, 1000, 0, 0, Verdict.WAIT),
        (BOTH, 10_000, 400, 100, Verdict.ROLL_BACK),  # under the maximum, and four times worse
        (BOTH, 10_000, 1200, 2000, Verdict.ADVANCE),  # over it, and what serves is worse
        (NEGLIGIBLE, 1000, 0, 0, Verdict.ADVANCE),
        (NEGLIGIBLE, 1000, 5, 1, Verdict.ADVANCE),
        (NEGLIGIBLE, 1000, 500, 5, Verdict.ROLL_BACK),
    ],
)
def test_verdicts(ratio: FailureRatio, rows: int, wrong: int, stable: int | None, want: Verdict) -> None:
    assert conclude(ratio, rows, wrong, stable).verdict is want


@pytest.mark.parametrize(("ratio", "want"), [(MAXIMUM, False), (TOLERANCE, True), (BOTH, True), (NEGLIGIBLE, True)])
def test_stable_is_asked_only_where_it_is_compared(ratio: FailureRatio, want: bool) -> None:
    assert labelled.needs_stable(ratio) is want


@pytest.mark.parametrize(
    ("ratio", "rows", "wrong", "stable"),
    [(MAXIMUM, 1000, 120, None), (MAXIMUM, 20, 0, None), (TOLERANCE, 1000, 50, 50), (TOLERANCE, 1000, 100, 50)],
)
def test_the_rows_that_it_asks_for_decide_and_far_fewer_do_not(
    ratio: FailureRatio, rows: int, wrong: int, stable: int | None
) -> None:
    needed = conclude(ratio, rows, wrong, stable).rows_needed
    assert needed is not None

    def scaled(to: int) -> Verdict:
        times = to / rows
        return conclude(ratio, to, round(wrong * times), None if stable is None else round(stable * times)).verdict

    assert scaled(needed) is not Verdict.WAIT
    assert scaled(needed * 3 // 4) is Verdict.WAIT


@pytest.mark.parametrize(("ratio", "wrong", "stable"), [(MAXIMUM, 100, None), (TOLERANCE, 0, 0)])
def test_shares_that_never_decide_are_said_to(ratio: FailureRatio, wrong: int, stable: int | None) -> None:
    concluded = conclude(ratio, 1000, wrong, stable)
    assert concluded.rows_needed is None
    assert "more rows with these shares would not change that" in concluded.message


@pytest.mark.parametrize(
    ("ratio", "rows", "wrong", "stable", "words"),
    [
        (
            MAXIMUM,
            1000,
            0,
            None,
            "candidate 0 of 1000 rows wrong (0.0%); evidence that it is good enough 10^42.7 against",
        ),
        (
            TOLERANCE,
            1000,
            500,
            50,
            "candidate 500 of 1000 rows wrong (50.0%), stable 50 of 1000 (5.0%); evidence that it is worse",
        ),
        (
            TOLERANCE,
            1000,
            50,
            50,
            "too few rows to tell whether it is good enough; about 2,500 rows with these shares would be enough",
        ),
        (MAXIMUM, 0, 0, None, "the data set has no rows"),
    ],
)
def test_words(ratio: FailureRatio, rows: int, wrong: int, stable: int | None, words: str) -> None:
    assert words in conclude(ratio, rows, wrong, stable).message


@given(
    null_ratio=st.floats(1.0, 3.0),
    stable_share=st.floats(0.01, 0.3),
    alike=st.floats(0.0, 1.0),
    worse=st.booleans(),
)
def test_evidence_of_pairs_keeps_its_promise_however_alike_the_versions_are(
    null_ratio: float, stable_share: float, alike: float, worse: bool
) -> None:
    """By all outcomes of three rows: E[e] <= 1 at the edge of the null. alike: 1 where both err on the same rows."""
    candidate_share = null_ratio * stable_share
    lowest = max(0.0, candidate_share + stable_share - 1)
    both = lowest + alike * (min(candidate_share, stable_share) - lowest)
    row = {
        (1, 1): both,
        (1, 0): candidate_share - both,
        (0, 1): stable_share - both,
        (0, 0): 1 - candidate_share - stable_share + both,
    }
    test = evidence.relative_up(null_ratio) if worse else evidence.relative_down(null_ratio)
    expected = 0.0
    for rows in itertools.product(row, repeat=3):
        counts = evidence.Counts(3, sum(c for c, _ in rows), 3, sum(s for _, s in rows))
        chance = math.prod(row[answers] for answers in rows)
        expected += chance * math.exp(combine.one_shot(test, counts, dispersion=labelled.INDEPENDENT))
    assert expected <= 1 + 1e-9


def test_one_look_may_prove_what_a_scrape_may_not() -> None:
    term = next(term for term in objectives.failure_rules(TOLERANCE).terms if term.key == "close")
    counts = evidence.Counts(10_000, 500, 10_000, 500)
    assert combine.one_shot(term.test, counts, dispersion=1.0) < math.log(20)
    assert conclude(TOLERANCE, 10_000, 500, 500).verdict is Verdict.ADVANCE
