"""Several e-processes into one number, all as natural logarithms.

- *intersection null* ("all of these hold"): every weighted mean is an e-process;
- *union null* ("at least one of these holds"): decided within each scrape, see `evidence.JointTest`. The minimum
  of two processes would only be one if the same null held throughout.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from sluice_judge.stats import evidence, logspace

ROLLBACK_SHARE: Final = 0.8
HARD_SHARE: Final = 0.1
BAKE_SHARE: Final = 0.1
"""Kept for the bake: for its fixed limit or, if it probes the stable version, for comparing from the first probe on.
Which of the two is known before the first bet."""
START_NATS: Final = 1.0
"""What a process that two scrapes decide loses by its first stake, and by bets of its grid that win less."""


def mean_intersection(*log_evidences: float) -> float:
    """Evidence that at least one null is false: close to stable *or* negligible. 0 (no evidence) for none."""
    return logspace.log_mean(log_evidences) if log_evidences else 0.0


def log_threshold(probability: float) -> float:
    """ln(1/probability): the log-evidence that keeps a false alarm at most that probable. 0 < probability < 1."""
    if not 0 < probability < 1:
        raise ValueError(f"probability: {probability} is not between 0 and 1 (both excluded)")
    return -math.log(probability)


def largest_scrape(alpha: float, objectives: int, *, share: float = ROLLBACK_SHARE) -> float:
    """The maximum of ln e of one scrape: half of what a rollback needs, so that two scrapes can decide, but no single
    one.

    In the scrape in which a shared outage begins or ends, one version may show more of it than the other. share: the
    process's share of the budget.
    """
    return (log_threshold(alpha) + math.log(max(1, objectives) / share) + START_NATS) / 2


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectiveEvidence:
    """Log-evidence of one objective against the candidate; a term that the objective lacks stays 0 (evidence 1)."""

    rollback: float = 0.0
    hard: float = 0.0
    bake: float = 0.0
    """Evidence of the bake's fixed limit, or of the probes."""
    weight: float = 1.0
    asks: float = 0.0
    """Evidence that begins a probe. It ends no release, so it has no share of the budget."""

    @property
    def log_total(self) -> float:
        """ln(0.8 E_rollback + 0.1 E_hard + 0.1 E_bake)."""
        return logspace.log_sum(
            (
                math.log(ROLLBACK_SHARE) + self.rollback,
                math.log(HARD_SHARE) + self.hard,
                math.log(BAKE_SHARE) + self.bake,
            )
        )


def rollback_log_evidence(objectives: Sequence[ObjectiveEvidence]) -> float:
    """ln(sum of omega_m (0.8 E_rollback,m + 0.1 E_hard,m + 0.1 E_bake,m)), omega being the weights over their sum.

    One budget for the whole rollout and for every way to be bad: roll back at ln(1/alpha). 0 for no objective.
    """
    return logspace.log_sum(rollback_log_contributions(objectives)) if objectives else 0.0


def rollback_log_contributions(objectives: Sequence[ObjectiveEvidence]) -> tuple[float, ...]:
    """Each objective's own term of `rollback_log_evidence`; the largest names the objective that decided."""
    whole = math.fsum(objective.weight for objective in objectives)
    if objectives and not (whole > 0 and all(objective.weight >= 0 for objective in objectives)):
        raise ValueError("objectives: weights must be >= 0 and not all 0")
    return tuple(
        math.log(objective.weight / whole) + objective.log_total if objective.weight > 0 else logspace.LOG_ZERO
        for objective in objectives
    )


def one_shot(test: evidence.SequentialTest, counts: evidence.Counts, *, dispersion: float) -> float:
    """ln of the mean of e over the grid, for counts that are evaluated once: totals, without the starting times of F2.

    0 (no evidence) if the counts have no information. An e-value for these counts, not a process: looking again at
    grown totals gives another value, which must not be multiplied with this one. For a `JointTest` it is the smaller of
    two e-values, since at one look one null holds; a `LimitTest` only uses the candidate.
    """
    match test:
        case evidence.JointTest():
            parts = test.relative, evidence.absolute_bad(test.limit)
            return min(one_shot(part, counts, dispersion=dispersion) for part in parts)
        case evidence.LimitTest():
            test = evidence.absolute_bad(test.limit)
        case _:
            pass
    log_increments = test.log_increments(counts, dispersion)
    return logspace.log_mean(log_increments) if log_increments else 0.0
