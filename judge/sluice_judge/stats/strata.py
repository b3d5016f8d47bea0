"""Requests of several kinds that the versions get in different shares: each kind is compared within itself.

    prompts       candidate            stable               a candidate that is as good
    short           10, 1 slow          900, 90 slow        slow: 10 % of both
    long            90, 45 slow         100, 50 slow        slow: 50 % of both; in sum 46 % of its own, and 14 %

F1 of a scrape is the product over the strata z, ln e = sum over z of ln e_z. Let F be everything before the scrape,
with the requests of each stratum and arm, and N_z its batches of events. Given these, a batch of stratum z falls on the
candidate with a chance that depends on p_C,z / p_S,z alone, whatever the other batches do. So

    E[product of e_z | F, N] = product of E[e_z | F, N] <= 1       while the candidate is no worse in any stratum

and the product over the scrapes is a test martingale, with the same budget as without strata. The number of an arm's
requests of a kind only appears in rho_z: users who stick to a version, and ask it longer questions, accuse neither.

A batch may reach over several strata (a moment in which a pod is slow for all): B events, B_z of them in stratum z, all
on one arm. phi is that of such batches, since it is measured over all strata together: so B <= phi, and by convexity
the product of a_z^(B_z/phi) is at most 1 + sum of B_z/phi (a_z - 1), whose expectation is at most 1 if an arm has the
same share rho of each stratum. If it has not, and batches reach over strata, the bound is that of the batches of each.

Limits of the candidate alone (F3, F4) apply to all its requests together: they are not promised by kind.
"""

import dataclasses
import functools
from collections.abc import Sequence

from sluice_judge.stats.evidence import Counts


@dataclasses.dataclass(frozen=True, slots=True)
class Stratified(Counts):
    """Counts by stratum; created by `together`."""

    strata: tuple[Counts, ...] = ()

    @property
    def parts(self) -> tuple[Counts, ...]:
        return self.strata

    def whole(self) -> Counts:
        """Like `Counts.whole`, in each stratum."""
        return together([part.whole() for part in self.strata])

    def by_share(self, share: float) -> Counts:
        """Like `Counts.by_share`, in each stratum."""
        return together([part.by_share(share) for part in self.strata])

    def without(self, candidate_events: float) -> Counts:
        """With this many events less, all of which may be in any one stratum."""
        left = max(0.0, self.candidate_events - candidate_events)
        strata = tuple([part.without(candidate_events) for part in self.strata])
        return dataclasses.replace(self, candidate_events=left, strata=strata)


def together(strata: Sequence[Counts]) -> Counts:
    """Several strata as one; a single one is returned itself."""
    if len(strata) == 1:
        return strata[0]
    total = functools.reduce(Counts.__add__, strata, Counts(0.0, 0.0, 0.0, 0.0))
    return Stratified(
        total.candidate_requests, total.candidate_events, total.stable_requests, total.stable_events, tuple(strata)
    )
