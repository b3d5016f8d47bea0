"""Whether two versions get similar requests, and what evidence loses if they may not.

Users who stick to one version may ask it longer questions. Its answers are slower then, and it is no worse. Let K be the
kind of a request (how long its prompt is) and T its time. With law Q both arms get the same mixture of K, with P they do
not, and under both T depends on K alone: the candidate is innocent. An e-process M of T that holds under Q does not under
P; but dP/dQ is a ratio of K alone, and for every event that is seen so far

    E_P[M / (dP/dQ)] = E_Q[M] <= 1

so M / sup dP/dQ is at most an e-process under every such P. At fixed numbers of requests of each kind and arm in sum, the
supremum is that of independence in the table of counts, which is half of the G statistic (but for terms that vanish with
the counts):

    D = sum over k of c_k ln(c_k / (X_k rho)) + s_k ln(s_k / (X_k (1 - rho)))      X_k = c_k + s_k, rho = sum c / sum X

ln M - D is what is left of the evidence, for and against. If the mixtures are the same, D is about half of (the kinds
in use less one), once for the whole table; if they differ it grows as fast as the requests come, and since T is only a
noisy sign of K, ln M does not get ahead of it: neither accuses nor proves. A table belongs to one share of the
requests: a new step has a new one, and the loss from the old one stays.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

Table: TypeAlias = Mapping[str, tuple[float, float]]
"""(candidate's, stable's) requests by kind."""

SURELY: Final = math.log(1000)
"""Beyond what chance makes of D: the versions certainly get different requests, which is reported."""


def log_ratio(table: Table) -> float:
    """D >= 0; 0 if an arm has no request."""
    ours, others = (math.fsum(cell[arm] for cell in table.values()) for arm in (0, 1))
    if ours <= 0 or others <= 0:
        return 0.0
    share = ours / (ours + others)
    parts = (
        _part(candidate, (candidate + stable) * share) + _part(stable, (candidate + stable) * (1 - share))
        for candidate, stable in table.values()
    )
    return max(0.0, math.fsum(parts))


def differ(table: Table) -> bool:
    """Whether the arms certainly get different mixtures."""
    used = sum(candidate + stable > 0 for candidate, stable in table.values())
    return log_ratio(table) >= SURELY + used / 2


def added(table: Table, candidate: Mapping[str, float], stable: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """The table with more requests."""
    return {
        kind: (before[0] + candidate.get(kind, 0.0), before[1] + stable.get(kind, 0.0))
        for kind in _names((table, candidate, stable))
        for before in [table.get(kind, (0.0, 0.0))]
    }


def _names(each: Iterable[Mapping[str, object]]) -> list[str]:
    return sorted({name for mapping in each for name in mapping})


def _part(count: float, expected: float) -> float:
    return count * math.log(count / expected) if count > 0 else 0.0
