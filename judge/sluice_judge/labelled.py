"""The judge on a labelled data set: both versions answer the same rows, and all of them are evaluated once.

One row is one request, and a wrong answer its counted event; the tests are those of any failure ratio (`objectives`), as
e-values of totals instead of processes.

The two answers to a row are a pair, while F1 was made for arms that know nothing of each other. For pairs it needs no
assumption on how the two belong together. With r the alternative, r0 the null, and rho = 1/2 because the rows are the
same, put B = (r0+1)/(r+1), a = B r/r0, b = B. A row contributes

    E[a^C b^S] = 1 + p_C (a-1) + p_S (b-1) + P(both wrong) (a-1)(b-1)

At p_C = r0 p_S the middle terms cancel exactly, beyond it they are negative, and so is the last one, because one of a
and b is above 1 and the other below. So E[e] <= 1, and rows that both versions get wrong only lower the evidence: the
more alike they are, the more cautious it is. (A test of the rows on which they differ would need fewer of them; Jobs
report counts.) F3 and F4 hold for single answers, since 1 + z <= exp(z).

The rows are assumed to be drawn independently from users' requests; a duplicate row counts twice. Hence dispersion 1,
and no limit on what one look may prove (`relative_close`): a bad moment of stable cannot make a candidate look good.
"""

import dataclasses
import math
from typing import Final

from sluice_judge import objectives, words
from sluice_judge.objectives import Role, Rules
from sluice_judge.schema.objectives import FailureRatio
from sluice_judge.schema.verdict import Verdict
from sluice_judge.stats import combine, evidence

INDEPENDENT: Final = 1.0
"""Dispersion of rows."""
MOST_TIMES: Final = 1024
"""If this many times the rows would not decide with the same shares, no number would."""
SIGNIFICANT_DIGITS: Final = 2


@dataclasses.dataclass(frozen=True, slots=True)
class AnswerCounts:
    """A version's result on a data set."""

    rows: int
    wrong: int
    """Rows whose answer is not the label, and rows without an answer; 0..rows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Conclusion:
    """The result of the counts."""

    verdict: Verdict
    """RollBack: proven worse than allowed. Advance: proven good enough. Wait: neither."""
    message: str
    rows_needed: int | None = None
    """With Wait: how many rows with the same shares would decide; None if no number would."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Evidence:
    """Natural logarithms, and their thresholds."""

    worse: float
    good: float
    worse_threshold: float
    good_threshold: float

    @property
    def verdict(self) -> Verdict:
        if self.worse >= self.worse_threshold:
            return Verdict.ROLL_BACK
        return Verdict.ADVANCE if self.good >= self.good_threshold else Verdict.WAIT


def needs_stable(ratio: FailureRatio) -> bool:
    """Whether it compares; a maximum alone does not."""
    return objectives.failure_rules(ratio).null_ratio is not None  # pyright: ignore[reportArgumentType]  # frozen


def conclude(
    ratio: FailureRatio, candidate: AnswerCounts, stable: AnswerCounts | None, *, alpha: float, beta: float
) -> Conclusion:
    """The verdict on all rows at once.

    Args:
        ratio: the limits; if `needs_stable`, `stable` is given and has as many rows as the candidate.
        candidate: its counts.
        stable: the stable version's counts on the same rows.
        alpha: the chance that a version within the limits is called worse.
        beta: the chance that one at the edge of what is tolerated is called good enough.
    """
    rules = objectives.failure_rules(ratio)  # pyright: ignore[reportArgumentType]  # frozen, so it has a hash
    counts = evidence.Counts(
        candidate.rows, candidate.wrong, stable.rows if stable else 0, stable.wrong if stable else 0
    )
    found = _weighed(rules, counts, alpha, beta)
    shown = f"candidate {_of(candidate, ' rows wrong')}" + (f", stable {_of(stable)}" if stable is not None else "")
    match found.verdict:
        case Verdict.ROLL_BACK:
            against = _against(found.worse, found.worse_threshold)
            return Conclusion(Verdict.ROLL_BACK, f"{shown}; evidence that it is worse than allowed {against}")
        case Verdict.ADVANCE:
            against = _against(found.good, found.good_threshold)
            return Conclusion(Verdict.ADVANCE, f"{shown}; evidence that it is good enough {against}")
        case _:
            needed = _rows_needed(rules, counts, alpha, beta)
            return Conclusion(Verdict.WAIT, f"{shown}: {_undecided(candidate.rows, needed)}", needed)


def _weighed(rules: Rules, counts: evidence.Counts, alpha: float, beta: float) -> _Evidence:
    logs = {term.key: _log(term.test, counts) for term in rules.terms}
    against = combine.ObjectiveEvidence(
        rollback=objectives.combined(rules, logs, Role.ROLLBACK), hard=objectives.combined(rules, logs, Role.HARD)
    )
    return _Evidence(
        worse=combine.rollback_log_evidence([against]),
        good=objectives.combined(rules, logs, Role.ADVANCE),
        worse_threshold=combine.log_threshold(alpha),
        good_threshold=combine.log_threshold(beta),
    )


def _log(test: evidence.SequentialTest, counts: evidence.Counts) -> float:
    if isinstance(test, evidence.RelativeTest):
        test = dataclasses.replace(test, largest=math.inf)
    return combine.one_shot(test, counts, dispersion=INDEPENDENT)


def _rows_needed(rules: Rules, counts: evidence.Counts, alpha: float, beta: float) -> int | None:
    """The number of rows that would decide with the same shares; evidence grows with it, so it can be searched for."""
    if counts.candidate_requests == 0:
        return None

    def decides(times: float) -> bool:
        return _weighed(rules, _times(counts, times), alpha, beta).verdict is not Verdict.WAIT

    high = 2.0
    while not decides(high):
        high *= 2
        if high > MOST_TIMES:
            return None
    low = high / 2
    while high - low > high / 100:
        middle = (low + high) / 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return _rounded_up(high * counts.candidate_requests)


def _times(counts: evidence.Counts, times: float) -> evidence.Counts:
    return evidence.Counts(*(times * amount for amount in dataclasses.astuple(counts)))


def _rounded_up(number: float) -> int:
    """Rounded up to two digits: it is an estimate."""
    unit: int = 10 ** max(0, math.floor(math.log10(number)) + 1 - SIGNIFICANT_DIGITS)
    return math.ceil(number / unit) * unit


def _undecided(rows: int, needed: int | None) -> str:
    if rows == 0:
        return "the data set has no rows"
    if needed is None:
        return (
            "proven neither worse than allowed nor good enough, and more rows with these shares would not change that"
        )
    return f"too few rows to tell whether it is good enough; about {needed:,} rows with these shares would be enough"


def _of(tally: AnswerCounts, what: str = "") -> str:
    share = f" ({words.percentage(tally.wrong / tally.rows)})" if tally.rows else ""
    return f"{tally.wrong} of {tally.rows}{what}{share}"


def _against(log: float, threshold: float) -> str:
    return f"10^{words.log10_text(log)} against 10^{words.log10_text(threshold)}"
