"""Does the traffic go where the route says? A sequential sample-ratio test.

Evidence divides by exposures, so a gateway that sends 6 % where 5 % is configured does no harm: exposures are counted,
not assumed. A gateway that sends 30 % does: more users are at risk than allowed, or the route is no longer ours. With w
the configured share, and tolerance m = max(0.02, 0.2 w):

    under   H0 share >= s = w - m     against s' = w - 2m, w - 5m, w - 12m
    over    H0 share <= s = w + m     against s' = w + 2m, w + 5m, w + 12m          all clipped to [0.001, 0.999]
    ln e = n_C ln(s'/s) + n_S ln((1 - s')/(1 - s))

Each request of n = n_C + n_S goes to the candidate with a probability inside the tolerance, so E[e] <= 1. Clipped
shares that coincide leave e = 1: at 1 % nothing can be "under".

The test runs as an e-process (F2), so that a route that is broken after an hour is found as fast as one that was never
right. The share may differ from scrape to scrape: `observe` restores the process with the share configured during this
one.

    share   0.05 0.05 0.05 │ 0.25 0.25          a step
    over       e    e    e │    e    e          one process all along: its alternatives keep their meaning
    under      e    e    e │    e    e
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from sluice_judge.stats import combine, eprocess, evidence

SMALLEST_TOLERANCE: Final = 0.02
RELATIVE_TOLERANCE: Final = 0.2
SMALLEST_SHARE: Final = 0.001
LARGEST_SHARE: Final = 0.999
MULTIPLES: Final = (2, 5, 12)
"""Alternatives in multiples of the tolerance: 2 for a share that is just too far off, the others to see a gross
mismatch at once.
"""
LOG_MISMATCH: Final = math.log(1000)
"""`SplitMismatch` from this log-evidence on: a correct route is accused once in a thousand rollouts at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class SplitTest:
    """Is one arm's share of all requests within the tolerance of `share` (0..1, configured)?"""

    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share: {self.share} is not between 0 and 1; pass weight/100 or permille/1000")

    @property
    def tolerance(self) -> float:
        """m: how far the true share may be from the configured one, 0.02..0.2."""
        return max(SMALLEST_TOLERANCE, RELATIVE_TOLERANCE * self.share)

    @property
    def nulls(self) -> tuple[float, float]:
        """s: the edges (under, over) of the tolerated range."""
        return _clipped(self.share - self.tolerance), _clipped(self.share + self.tolerance)

    @property
    def alternatives(self) -> tuple[float, ...]:
        """s': those of "under", then those of "over", the nearest first."""
        return tuple(
            _clipped(self.share + sign * multiple * self.tolerance) for sign in (-1, 1) for multiple in MULTIPLES
        )

    def log_increments(self, counts: evidence.Counts, dispersion: float) -> tuple[float, ...] | None:
        """ln e for each alternative from the requests of both arms; None without a request."""
        ours, others = counts.candidate_requests, counts.stable_requests
        if ours + others == 0:
            return None
        nulls = (null for null in self.nulls for _ in MULTIPLES)
        return tuple(
            (ours * math.log(alternative / null) + others * math.log((1 - alternative) / (1 - null))) / dispersion
            for null, alternative in zip(nulls, self.alternatives, strict=True)
        )


def start(share: float) -> eprocess.EProcess:
    """The check of one arm before its first scrape."""
    return eprocess.start(SplitTest(share))


def observe(
    state: Mapping[str, object] | None, *, share: float, requests: float, other_requests: float
) -> eprocess.EProcess:
    """The check of one arm after one more scrape, during which `share` (0..1) was configured.

    state: `EProcess.to_state` of the check so far, None for a new one (also after the route was repaired). requests:
    the arm's in this scrape; other_requests: those of all other arms. Scrapes in which the weight changed must be left
    out. Raises ValueError for a state of another kind.
    """
    test = SplitTest(share)
    running = eprocess.start(test) if state is None else eprocess.restore(test, state)
    return running.observe(evidence.Counts(requests, 0.0, other_requests, 0.0), dispersion=1.0)


def log_evidence(checks: Sequence[eprocess.EProcess]) -> float:
    """Log-evidence that *some* arm's share is off, from one check per arm; compare with `LOG_MISMATCH`.

    Two arms need one check (the candidate's), three or more one for each arm against the rest.
    """
    return combine.mean_intersection(*(check.log_evidence for check in checks))


def mismatch(checks: Sequence[eprocess.EProcess]) -> bool:
    """Whether the traffic is certainly not split as configured."""
    return log_evidence(checks) >= LOG_MISMATCH


def _clipped(share: float) -> float:
    return min(max(share, SMALLEST_SHARE), LARGEST_SHARE)
