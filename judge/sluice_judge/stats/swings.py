"""A version's pods' own swings, and their effect on evidence (F5 if pods are distinguished).

Events that are independent of each other, or come in bursts, average out: of n expected ones, n phi is the variance. A
pod that is better or worse than its neighbours for ten minutes, or for good, does not: its n events are all shifted by
the same part. So the variance of a pod has a part that grows with n^2:

    Var(x) = a n + v(L) n^2        a: bursts, 1 for Poisson;   v(L): squared coefficient of variation over L seconds

v is measured on the stable version's pods, block by block of L seconds, *at the same time*: what affects all of them
(an outage, the hour of the day) cancels, since only the distribution of a block's events among them counts. For P parts
of a block with X events, of which mu_p = X n_p/N are expected on part p,

    Q = sum (x_p - mu_p)^2,   E[Q] = a X (1 - sum pi^2) + v X(X-1) sum pi^2 (1 - 2 pi + sum pi^2),   pi_p = n_p/N

so v is the sum of the excess over a, divided by the sum of its weights: with nothing beyond chance it is near 0, and
nearer with more blocks. Evidence of a scrape is divided by

    F1   phi = a + m (1/k_C + 1/k_S) rho (1 - rho) u R       m = max over L of c(L) v(L) L, seconds
    F3   phi = a + m /k_C p* R_C                             R, R_C: requests per second of both arms, of the candidate

which is the variance over a block by its Poisson part; k pods of an arm average each other out, so one pod swings more
than half of ten. u is the usual share of events. All of it is known before the events of the scrape, and phi >= 1:
evidence without swings stays evidence (E[e^(1/phi)] <= 1).

c(L) is below 1. Ville's bound has to hold for evidence that is made of many small steps; a swing is one step of a size
that is about normal. It exceeds z of its deviations with the chance alpha, where evidence is z^2/2: so z^2 / (2
ln(1/alpha)) of the variance is enough, 0.6 at 1 % and 0.45 at 5 %. An hour counts with 0.3: if pods differ permanently,
beta is some 10 % instead of 5 %, and with more hardly any version would be proven there. For measurements see
docs/decisions/dispersion.md.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from sluice_judge.stats import evidence, sampletest

LENGTHS: Final = {300: 0.4, 900: 0.6, 3600: 0.3}
"""c by L, seconds: the blocks for measuring swings."""
BURST_SECONDS: Final = 60
"""The length of the blocks for measuring bursts."""
ROUNDS: Final = 4
"""Rounds to separate bursts and swings; with blocks five times as long, each leaves a fifth of the error."""
SMALLEST_PARTS: Final = 2
MINIMUM_BLOCKS: Final = 4
MINIMUM_EVENTS: Final = 30.0
"""Events in all blocks: with fewer nothing can be measured."""
LARGEST_BLOCK: Final = 3.0
"""A block counts for at most this many times the median one's events: an outage only shows how pods share an outage."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One pod, or several together, in one block: >= 0 each."""

    requests: float
    events: float
    pods: int = 1


Block = Sequence[Part]
"""Parts that were counted over the same time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """The swings of one kind of event."""

    bursts: float = 1.0
    """a >= 1."""
    seconds: float = 0.0
    """m >= 0."""
    share: float = 0.0
    """u, 0..1."""

    def compared(self, share: float, rate: float, pods: tuple[int, int]) -> float:
        """phi of F1 at a candidate's share (0..1) and this rate of requests per second of both arms. pods: the
        candidate's and stable's."""
        ours, others = pods
        return self.bursts + self.seconds * share * (1 - share) * self.share * rate * (1 / ours + 1 / others)

    def alone(self, limit: float, rate: float, pods: int) -> float:
        """phi of F3 and F4 at this rate of requests per second of the candidate, and at a limit p*."""
        return self.bursts + self.seconds * limit * rate / pods


@dataclasses.dataclass(frozen=True, slots=True)
class _Moments:
    """The moments of one block."""

    events: float
    squares: float
    """Q."""
    chance: float
    """X (1 - sum pi^2)."""
    weight: float
    """X (X-1) sum pi^2 (1 - 2 pi + sum pi^2); with several pods in a part less."""


def bursts(blocks: Sequence[Block], *, variance: float = 0.0) -> float | None:
    """a >= 1 from short blocks; None if these have too few events. variance: v, if known."""
    seen = _moments(blocks)
    if not _enough(seen):
        return None
    chance = math.fsum(block.chance for block in seen)
    swings = math.fsum(variance * block.weight for block in seen)
    return max(1.0, (math.fsum(block.squares for block in seen) - swings) / chance) if chance > 0 else None


def bursts_apart(short: Sequence[Block], long: Sequence[Block]) -> float | None:
    """a >= 1 without the effect of swings: long blocks show these, and short ones contain them as well."""
    found = bursts(short)
    for _ in range(ROUNDS if found is not None else 0):
        found = bursts(short, variance=variance(long, bursts=found or 1.0) or 0.0)
    return found


def variance(blocks: Sequence[Block], *, bursts: float, margin: float = 0.0) -> float | None:
    """v >= 0 of blocks of one length; None if these have too few events.

    margin: multiple of the chance error that is added, or subtracted; that error falls with more blocks.
    """
    seen = _moments(blocks)
    if not _enough(seen):
        return None
    middle = sorted(block.events for block in seen)[len(seen) // 2]
    most = LARGEST_BLOCK * max(middle, 1.0)
    scales = [min(1.0, most / max(block.events, 1.0)) ** 2 for block in seen]
    excess = math.fsum(
        scale * (block.squares - bursts * block.chance) for scale, block in zip(scales, seen, strict=True)
    )
    weight = math.fsum(scale * block.weight for scale, block in zip(scales, seen, strict=True))
    chance = math.fsum(scale * scale * block.weight for scale, block in zip(scales, seen, strict=True))
    return max(0.0, (excess + margin * bursts * math.sqrt(2 * chance)) / weight) if weight > 0 else None


def dispersion(
    test: evidence.SequentialTest, counts: evidence.Counts, own: Own, *, seconds: float, pods: tuple[int, int]
) -> float:
    """phi >= 1 of one scrape for a test. seconds: that it covers; pods: the candidate's and stable's."""
    if own.seconds <= 0 or seconds <= 0:
        return own.bursts
    rate = counts.candidate_requests / seconds
    compared = own.compared(counts.candidate_share, rate + counts.stable_requests / seconds, pods)
    if not isinstance(test, evidence.AbsoluteTest | evidence.JointTest | evidence.LimitTest | sampletest.SampleTest):
        return compared
    alone = own.alone(test.limit, rate, pods[0])
    return alone if isinstance(test, evidence.AbsoluteTest) else max(compared, alone)


def _enough(seen: Sequence[_Moments]) -> bool:
    return len(seen) >= MINIMUM_BLOCKS and math.fsum(block.events for block in seen) >= MINIMUM_EVENTS


def _moments(blocks: Sequence[Block]) -> list[_Moments]:
    served = ([part for part in block if part.requests > 0] for block in blocks)
    return [_of_block(parts) for parts in served if len(parts) >= SMALLEST_PARTS]


def _of_block(parts: Sequence[Part]) -> _Moments:
    requests = math.fsum(part.requests for part in parts)
    events = math.fsum(part.events for part in parts)
    shares = [part.requests / requests for part in parts]
    squared = math.fsum(share * share for share in shares)
    swings = math.fsum(share * share / part.pods for share, part in zip(shares, parts, strict=True))
    return _Moments(
        events,
        math.fsum((part.events - events * share) ** 2 for share, part in zip(shares, parts, strict=True)),
        events * (1 - squared),
        max(0.0, events * (events - 1))
        * math.fsum(
            share * share * ((1 - 2 * share) / part.pods + swings) for share, part in zip(shares, parts, strict=True)
        ),
    )
