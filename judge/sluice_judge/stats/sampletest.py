"""Evidence for which a scrape is one witness, however many requests failed together: a test of samples (F6)."""

import dataclasses
import math
from typing import Final

from sluice_judge.stats import evidence, logspace

BETS: Final = (0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
EVENTS: Final = 0.35
"""Expected events in a sample under the null: with more, nearly every sample has one in either version."""
RISE: Final = 3.0
"""Up to this many times the usual rate, a ratio is one of the chances of an event."""
_ROUNDING: Final = 1e-9
_NEARLY_ALL: Final = -1 + 1e-15
"""The most that a bet loses: its logarithm stays finite."""


@dataclasses.dataclass(frozen=True, slots=True)
class SampleTest:
    """F6: has a sample of the candidate's requests an event more often than one of stable's that is r0 times as large?

    e = 1 + b (f - max(g, 1 - (1 - p*)^m))      f: the chance that m of the candidate's requests have an event among them,
                                                g: that r0 m of stable's have; drawn without putting back, so that given the
                                                chances p of a scrape E[f] = 1 - (1 - p_C)^m and E[g] = 1 - (1 - p_S)^(r0 m)

    A scrape is one witness, however many of its requests failed together: f and g are linear in what is unknown, so
    E[e] <= 1 whatever the law of the bursts is, as long as it is the same for both versions; one burst for both, one of
    each, or batches that stick to a version (of which a sample without batches has an event more often, hence g more
    than f). It needs no dispersion for bursts no longer than a scrape. `evidence.JointTest` sees more if events come
    one by one.

    Of several gateways each is a sample of its own, since shares and failures of each differ; e is the mean of theirs,
    which bounds it whatever they have in common.

    r0 is a ratio of chances up to `RISE` times the usual ones, and beyond these one of rates, -ln(1 - p). The null is the
    union of `evidence.JointTest`: e is the smaller one of two e-values.
    """

    null_ratio: float
    """r0 >= 1."""
    limit: float
    """p*; 0: any rate is notable."""
    alternatives: tuple[float, ...] = BETS
    """b, 0..1."""
    usual: float = 0.0
    """u, 0..1."""

    def log_increments(self, counts: evidence.Counts, dispersion: float) -> tuple[float, ...] | None:
        """None if an arm got no request."""
        each = [self._gains(part, dispersion) for part in counts.parts if 0 < part.candidate_share < 1]
        if len(each) < 2:
            return each[0] if each else None
        return tuple(map(logspace.log_mean, zip(*each, strict=True)))

    def _gains(self, counts: evidence.Counts, dispersion: float) -> tuple[float, ...]:
        rise = min(RISE * self.usual, 0.5 / self.null_ratio)
        ratio = math.log1p(-self.null_ratio * rise) / math.log1p(-rise) if rise > 0 else self.null_ratio
        enough = EVENTS / max(self.null_ratio * self.usual, self.limit, 1e-9)
        size = math.floor(min(counts.candidate_requests, (counts.stable_requests - 1) / ratio, max(1.0, enough)))
        if size < 1:
            return (0.0,) * len(self.alternatives)
        # A whole number: no mean of two sizes has the chance of the one in between, whatever p_S is.
        larger = math.ceil(ratio * size - _ROUNDING)
        without = _without_event(counts.stable_requests, counts.stable_events, larger)
        allowed = max(1 - without, -math.expm1(size * math.log1p(-self.limit)))
        found = 1 - _without_event(counts.candidate_requests, counts.candidate_events, size)
        return tuple([math.log1p(max(bet * (found - allowed), _NEARLY_ALL)) / dispersion for bet in self.alternatives])


def _without_event(requests: float, events: float, size: int) -> float:
    """The chance that `size` of the requests contain no event."""
    if events <= 0:
        return 1.0
    if requests - events < size:
        return 0.0
    lgamma = math.lgamma
    log = lgamma(requests - events + 1) - lgamma(requests - events - size + 1)
    return min(1.0, math.exp(log - lgamma(requests + 1) + lgamma(requests - size + 1)))
