"""How much burstier than Poisson the events of this service are (F5).

Failures come in bursts: one slow database fails fifty requests at once. A judge that counts them as fifty independent
witnesses convicts the innocent. The stable version's own history shows the size of such batches: split it into two
halves A and B that serve the same traffic at the same time, and measure how far they differ although they are the same.

    phi = max(1, max over m of mean[(x_A - X rho)^2 / (X rho (1 - rho))]),   m in {1, 4, 20, 60} scrapes a block

The mean is 1 for Poisson counts and grows with the batches; longer blocks see slower ones. Every ln e is divided by
phi: with batches of at most phi events E[a^(B/phi)] <= 1 + (E B/phi)(a - 1) by convexity, so e stays an e-value.
For batches of one size phi is that size. For batches of random size it is E[B^2]/E[B], which the largest exceed:
simulated with geometric sizes, exactly at the edge of the null and alpha = 1 %, F1 stays near 1 %, F3 reaches 1 to 3 %.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

BLOCK_LENGTHS: Final = (1, 4, 20, 60)
MINIMUM_BLOCKS: Final = 20
MINIMUM_VARIANCE: Final = 1.0
PRIOR_PAIRS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Halves:
    """One scrape of the stable version, split in two: requests and events of either half, each >= 0."""

    requests_a: float
    events_a: float
    requests_b: float
    events_b: float

    @property
    def variance(self) -> float:
        """X rho (1 - rho): the variance of x_A given X, were the events independent."""
        requests = self.requests_a + self.requests_b
        share = self.requests_a / requests if requests > 0 else 0.0
        return (self.events_a + self.events_b) * share * (1 - share)

    @property
    def squared_deviation(self) -> float:
        """(x_A - X rho)^2; only meaningful where `variance` > 0."""
        share = self.requests_a / (self.requests_a + self.requests_b)
        return (self.events_a - (self.events_a + self.events_b) * share) ** 2


@dataclasses.dataclass(frozen=True, slots=True)
class Successive:
    """phi of pods without a history, from how far each scrape differs from the one before."""

    requests: float = 0.0
    """In the last scrape."""
    events: float = 0.0
    summed: float = 0.0
    """The sum of the squared deviations over their variances."""
    pairs: int = 0
    """How many pairs of scrapes have events enough."""

    def observe(self, requests: float, events: float) -> "Successive":
        """After one more scrape, events <= requests."""
        if requests <= 0:
            return self
        pair = Halves(requests, events, self.requests, self.events)
        if self.requests <= 0 or pair.variance < MINIMUM_VARIANCE:
            return dataclasses.replace(self, requests=requests, events=events)
        summed = round(self.summed + pair.squared_deviation / pair.variance, 6)
        return Successive(requests, events, summed, self.pairs + 1)

    def estimate(self, initial: float) -> float:
        """phi >= 1; `initial` while there is no pair, and with the weight of `PRIOR_PAIRS` later."""
        return max(1.0, (PRIOR_PAIRS * initial + self.summed) / (PRIOR_PAIRS + self.pairs))


def estimate(*histories: Sequence[Halves], initial: float) -> float:
    """phi >= 1 from the first of the stable version's histories that suffices; each oldest first, one entry a scrape.

    The last hour first, then a longer one with fewer samples: at 5 requests/s and 0.5 % errors an hour has too few
    bursts to learn from. initial: the policy's `initialDispersion`, returned (at least 1) if none has 20 blocks.
    """
    for history in histories:
        means = [mean for length in BLOCK_LENGTHS if (mean := _mean_dispersion(_blocks(history, length))) is not None]
        if means:
            return max(1.0, *means)
    return max(1.0, initial)


def alternate_scrapes(history: Sequence[tuple[float, float]]) -> tuple[Halves, ...]:
    """Halves for series that are not per pod: (requests, events) of every other scrape against those between."""
    return tuple(
        Halves(requests_a, events_a, requests_b, events_b)
        for (requests_a, events_a), (requests_b, events_b) in zip(history[::2], history[1::2], strict=False)
    )


def _blocks(history: Sequence[Halves], length: int) -> list[Halves]:
    """Sums of `length` scrapes each; an incomplete block at the end is left out."""
    ends = range(length, len(history) + 1, length)
    return [_total(history[end - length : end]) for end in ends]


def _total(scrapes: Sequence[Halves]) -> Halves:
    return Halves(
        math.fsum(scrape.requests_a for scrape in scrapes),
        math.fsum(scrape.events_a for scrape in scrapes),
        math.fsum(scrape.requests_b for scrape in scrapes),
        math.fsum(scrape.events_b for scrape in scrapes),
    )


def _mean_dispersion(blocks: Sequence[Halves]) -> float | None:
    ratios = [block.squared_deviation / block.variance for block in blocks if block.variance >= MINIMUM_VARIANCE]
    return math.fsum(ratios) / len(ratios) if len(ratios) >= MINIMUM_BLOCKS else None
