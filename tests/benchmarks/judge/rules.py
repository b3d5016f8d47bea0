"""The usual rules, re-implemented: their decisions on the same counts.

All look once a minute at the share of failed requests in that minute, like the tools that run them.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from scipy import stats as scipy_stats

from tests.benchmarks.judge.simulation import MINUTE, Counts
from tests.benchmarks.judge.vectorised import Array, Rows

SUCCESS: Final = 0.99
FEWEST_MINUTES: Final = 5
"""The rank test starts at the fifth minute: with fewer it has no power."""
LEVEL: Final = 0.01

Rule = Callable[[Counts], Array]
"""rollouts x minutes x (candidate requests, events, stable requests, events) -> seconds of the rollback, infinite for
none."""


def failed_checks(most: int) -> Rule:
    """Rolls back when more than `most` checks so far found less than 99 % success."""
    return lambda minutes: _first(np.cumsum(_candidate(minutes) > 1 - SUCCESS, axis=1) > most)


def peeked_rank_test(minutes: Counts) -> Array:
    """Mann-Whitney's U over the minutes' failure shares, one-sided at 1 %, repeated every minute."""
    candidate, stable = _candidate(minutes), _stable(minutes)
    accused = np.zeros(candidate.shape, dtype=bool)
    for looked in range(FEWEST_MINUTES, candidate.shape[1] + 1):
        found = scipy_stats.mannwhitneyu(
            candidate[:, :looked], stable[:, :looked], alternative="greater", axis=1, method="asymptotic"
        )
        # Identical minutes have no rank: no p-value, no accusation.
        accused[:, looked - 1] = np.nan_to_num(found.pvalue, nan=1.0) < LEVEL
    return _first(accused)


RULES: Final[Mapping[str, Rule]] = {
    "five failed one-minute checks at 99 %": failed_checks(4),
    "`failureLimit: 0` at 99 %": failed_checks(0),
    "`failureLimit: 3` at 99 %": failed_checks(3),
    "Mann-Whitney at 1 %, each minute": peeked_rank_test,
}


def _candidate(minutes: Counts) -> Array:
    return _shares(minutes[:, :, 0], minutes[:, :, 1])


def _stable(minutes: Counts) -> Array:
    return _shares(minutes[:, :, 2], minutes[:, :, 3])


def _shares(requests: Counts, events: Counts) -> Array:
    """A minute without requests passes."""
    shares: Array = np.divide(events, requests, out=np.zeros(requests.shape), where=requests > 0)
    return shares


def _first(accused: Rows) -> Array:
    """The end of the first accusing minute."""
    seconds: Array = np.where(accused.any(axis=1), (accused.argmax(axis=1) + 1) * MINUTE, math.inf)
    return seconds
