"""What an objective may learn from the ticks of one look."""

import dataclasses
import math
from typing import Final

from sluice_judge.comparing import fairness
from sluice_judge.objectives import Role, Term
from sluice_judge.samples import inflight
from sluice_judge.stats import evidence


@dataclasses.dataclass(frozen=True, slots=True)
class LookRules:
    """What an objective may learn from the ticks of this look."""

    baking: bool = False
    """Only the bake's own test continues; the rest keeps its evidence."""
    probing: bool = False
    """The tests of probes continue as well."""
    share: float = 0.0
    """The candidate's share of the requests to both versions by the route, 0..1."""
    judged: bool = True
    """False: only counted, because it cannot be judged on copies."""
    metric: bool = False
    """It separates the arms of an A/B test, whose guards are the other objectives."""
    largest: float = math.inf
    """The maximum of ln e of one scrape against the candidate."""
    largest_in_probe: float = math.inf
    """The same for the tests of probes alone."""
    rose: bool = False
    """Whether the candidate's share rose at its last change."""
    accuses_from: float = -math.inf
    proves_from: float = -math.inf
    """Times: earlier scrapes cannot accuse, or prove, but only lower that evidence."""
    answered_from: float = -math.inf
    """Since when no scrape has answers to requests of before the candidate's share changed."""
    in_flight: inflight.InFlight = inflight.UNKNOWN
    """How many requests are in flight, and how many of them may be older than the last change of the share. Before
    `accuses_from`, the events of all others accuse if these are few."""
    answer_seconds: float = 0.0
    """How long after its request an answer may come."""
    accuses: bool = True
    """Whether a comparison of pods may speak against the candidate (`fairness`)."""
    proves: bool = True
    """Whether it may speak for it."""
    unlike_caches: tuple[tuple[float, float], ...] = ()
    """(begin, end): times in which nothing is learnt: what the objective counts depends on caches, which are not alike."""
    cold: tuple[tuple[float, float], ...] = ()
    """(begin, end): times in which pods are not compared either."""
    interval_seconds: float = 0.0
    """The time between two scrapes."""
    pods: tuple[int, int] = (1, 1)
    """The number of pods of the candidate, and of the stable version."""
    initial_dispersion: float | None = None
    """Beside a baseline: the policy's phi for pods without a history. What was learnt of all of stable's pods is too
    little for a few. None: they have one."""

    def compares(self, term: Term, time: float) -> bool:
        """Whether a scrape at this time counts for a test."""
        if fairness.touches(self.unlike_caches, time, self.interval_seconds):
            return False
        if not term.by_pods:
            return True
        fair = self.proves if term.role is Role.ADVANCE else self.accuses
        return fair and not fairness.touches(self.cold, time, self.interval_seconds)

    def goes_on(self, role: Role) -> bool:
        """Whether the tests of a role continue."""
        of_bake = role in (Role.BAKE, Role.BAKED)
        if self.baking or of_bake:
            return self.baking and of_bake
        return self.probing or role is not Role.PROBE

    def largest_of(self, term: Term, time: float, *, incident: bool, asks: bool) -> float:
        """The maximum of ln e of a scrape; 0: it may only speak for the null. A single scrape may begin a probe."""
        if term.role in (Role.ADVANCE, Role.BAKED):
            return 0.0 if incident or time < self.proves_from else math.inf
        # While most requests of stable fail, a version that is tolerated answers hardly any.
        if term.answers and incident:
            return 0.0
        if term.role is Role.BAKE and asks:
            return math.inf
        return self.largest_in_probe if term.role is Role.PROBE else self.largest

    def by_share(self, term: Term, time: float) -> bool:
        """Whether a scrape has good answers to requests of a smaller share, beside errors of the current one."""
        accuses = term.role not in (Role.ADVANCE, Role.BAKED) and not term.answers
        return accuses and self.rose and self.share > 0 and time < self.answered_from

    def older(self, term: Term, time: float, seen: evidence.Counts, left: float) -> float:
        """How many of the candidate's events of a scrape do not accuse in a test; infinite: all of them.

        left: the most that may still be older than the change, known before the first event of the scrape, so that the
        rest is evidence.
        """
        if not late_failures_accuse(term) or time >= self.accuses_from:
            return 0.0
        return left if left <= inflight.FEW_OLD * seen.candidate_requests else math.inf


BEFORE: Final = LookRules()
"""Before a release: nothing is judged."""


def late_failures_accuse(term: Term) -> bool:
    """Whether late failures of earlier requests would accuse in it."""
    return term.role not in (Role.ADVANCE, Role.BAKE, Role.BAKED) and not term.answers
