"""The proofs and accusations of objectives: tests, those of a failure ratio, and how they combine.

rollback   worse than stable *and* not negligible          kept over all steps     (goal Higher: fewer successes)
           over a limit that stable keeps, or exceeds less, if a limit is all there is
hard       worse than stable *and* over the maximum        kept over all steps
advance    close to stable *or* negligible                 anew at each step
bake       over a fixed limit, when stable gets nothing    at weight 100
baked      under about twice that limit                     at weight 100, if superseded there
probe      as rollback, from the first probe on            while the bake asks the stable version
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sluice_judge.schema.model import fraction
from sluice_judge.schema.objectives import Events, FailureRatio, Goal
from sluice_judge.stats import combine, evidence, sampletest

DEFAULT_TOLERANCE: Final = 0.25
"""If `ignoreBelow` is given without `relativeTolerance`: "worse than stable" then means by more than this."""
_OF_THE_SERVER: Final = frozenset({Events.SERVER_ERRORS, Events.BROKEN_STREAMS})
UNCOMPARED_ERRORS: Final = 0.05
"""Share of a server's failures that a bake allows at most if stable had no request to compare with, and there is no
`maximum`."""
SAMPLED: Final = "worseSampled"
EXCLUDED: Final = "excluded"
HARDLY_ANSWERS: Final = 0.5
"""A version in a probe with less than half of the good answers expected for its share of the requests."""
SLOW_SHARE: Final = 0.05
"""Share of requests over the judged boundary that counts as slow without a percentile."""


class Role(StrEnum):
    ROLLBACK = "rollback"
    HARD = "hard"
    ADVANCE = "advance"
    BAKE = "bake"
    BAKED = "baked"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Term:
    """One test of an objective."""

    key: str
    """Names its process in the state."""
    role: Role
    test: evidence.SequentialTest
    boundary: str | None = None
    """The latency boundary whose excess it counts; None: the objective's judged one."""
    by_pods: bool = False
    """Whether it compares the latency of pods: nothing is learnt from pods that cannot be compared (`fairness`)."""
    rare: bool = False
    """Whether its events are not the judged ones, and are usually below its limit."""
    answers: bool = False
    """Whether it counts the opposite of events: good answers, which come at once, by the route's shares."""
    sampled: bool = False
    """Whether a scrape is one witness to it, so that bursts make no difference."""

    @property
    def by_totals(self) -> bool:
        """Whether it is a proof that depends on all requests and events of the step alone (`proofs`)."""
        return self.role in (Role.ADVANCE, Role.BAKED) and isinstance(self.test, evidence.AbsoluteTest)


@dataclass(frozen=True, slots=True)
class Rules:
    """The tests of one objective, and its values for the forecast and the bake."""

    terms: tuple[Term, ...]
    advance_limit: float | None = None
    """p* of the absolute proof."""
    advance_ratio: float | None = None
    """r1 of the relative proof."""
    null_ratio: float | None = None
    """r0; None without a relative term."""
    floors: tuple[float, ...] = ()
    """Lower bounds of the bake's limit if that may end the release."""
    negligible: float | None = None
    """Its lower bound if it begins a probe, which costs nothing of alpha: the share that nobody minds."""
    uncompared: float | None = None
    """The bake's limit if the stable version showed nothing; None: it is not watched then."""
    lone_limit: float | None = None
    """The limit of an objective that has no other, and no comparison."""
    bakes: bool = True
    """Whether it can be watched when the stable version gets nothing."""
    every: bool = False
    """Whether a step needs the proof of each term: each refutes a null of its own. False: they all refute the same one."""

    @property
    def excludable(self) -> bool:
        """Whether its events are failures, a share of which can be excluded."""
        return self.advance_limit is not None or self.null_ratio is not None


@functools.lru_cache(maxsize=256)
def failure_rules(ratio: FailureRatio) -> Rules:
    """Tests of a share of failures, or of successes with goal Higher."""
    if ratio.goal is Goal.HIGHER:
        return _higher_rules(_share(ratio.relative_tolerance) or 0.0)
    maximum, negligible, tolerance = (_share(p) for p in (ratio.maximum, ratio.ignore_below, ratio.relative_tolerance))
    floors = tuple(limit for limit in (maximum, negligible) if limit is not None)
    if tolerance is None and negligible is None:
        return absolute_rules(maximum or SLOW_SHARE)
    tolerance = DEFAULT_TOLERANCE if tolerance is None else tolerance
    null_ratio, advance_ratio = 1 + tolerance, 1 + 2 * tolerance
    terms = [
        Term("worse", Role.ROLLBACK, evidence.relative_up(null_ratio))
        if negligible is None
        else Term("worseNotable", Role.ROLLBACK, evidence.joint(null_ratio, negligible)),
        Term("close", Role.ADVANCE, evidence.relative_close(advance_ratio)),
    ]
    if negligible is not None:
        terms.append(Term("negligible", Role.ADVANCE, evidence.absolute_good(negligible)))
    if maximum is not None:
        terms.append(hard_term(null_ratio, maximum))
    uncompared = maximum or (UNCOMPARED_ERRORS if ratio.events in _OF_THE_SERVER else None)
    return Rules(tuple(terms), negligible, advance_ratio, null_ratio, floors, negligible, uncompared)


def absolute_rules(limit: float) -> Rules:
    """A maximum alone: there is no other limit."""
    terms = (
        Term("overLimit", Role.ROLLBACK, evidence.over_limit(limit)),
        Term("under", Role.ADVANCE, evidence.absolute_good(limit)),
    )
    return Rules(terms, advance_limit=limit, floors=(limit,), negligible=limit, lone_limit=limit)


def hard_term(null_ratio: float, maximum: float) -> Term:
    """Over the maximum, and worse than stable."""
    return Term("worseOver", Role.HARD, evidence.joint(null_ratio, maximum))


def bake_term(limit: float, *, by_pods: bool) -> Term:
    """F3 at weight 100."""
    return Term("bake", Role.BAKE, evidence.absolute_bad(limit), by_pods=by_pods)


def baked_terms(limit: float, *, by_pods: bool) -> tuple[Term, ...]:
    """Proof that the bake has seen enough: enough requests to rule out a version over twice the limit.

    For a limit near 1, which leaves less room, it is the square root; one of 1 or more rules nothing out.
    """
    if limit >= 1:
        return ()
    edge = min(2 * limit, math.sqrt(limit))
    return (Term("baked", Role.BAKED, evidence.absolute_good(edge), by_pods=by_pods),)


def probe_terms(rules: Rules) -> tuple[Term, ...]:
    """The accusation again, on which the bake's share of alpha is bet from the first probe on.

    The test that runs from the first weight bets little on a fault that begins after an hour. Of several boundaries it
    uses the judged one, which the bake watches. While errors from before the probe may still come, good answers reveal
    a version that has hardly any.
    """
    accuses = next((term for term in rules.terms if term.role is Role.ROLLBACK), None)
    if accuses is None:
        return ()
    hardly = Term("probeAnswers", Role.PROBE, evidence.relative_down(HARDLY_ANSWERS, points=4), answers=True)
    return Term("probe", Role.PROBE, accuses.test, by_pods=accuses.by_pods), hardly


def excluding(rules: Rules, share: float) -> Rules:
    """The rules of a step that excludes a share of failures: the proofs are enough as well, as failures that stable has,
    too, are not the candidate's."""
    excluded = Term(EXCLUDED, Role.ADVANCE, evidence.absolute_good(share))
    return replace(rules, terms=(*rules.terms, excluded), advance_limit=share)


def sampled_term(rules: Rules) -> Term | None:
    """The accusation by samples, beside that by all events; None if answers are not compared by one share alone."""
    accuses = next((term for term in rules.terms if term.role is Role.ROLLBACK), None)
    if accuses is None or accuses.boundary is not None or accuses.by_pods:
        return None
    match accuses.test:
        case evidence.JointTest(relative=relative, limit=limit) if limit < 1:
            return Term(SAMPLED, Role.ROLLBACK, sampletest.SampleTest(relative.null_ratio, limit), sampled=True)
        case evidence.RelativeTest(null_ratio=ratio) if ratio >= 1:
            return Term(SAMPLED, Role.ROLLBACK, sampletest.SampleTest(ratio, 0.0), sampled=True)
        case _:
            return None


def combined(rules: Rules, logs: Mapping[str, float], role: Role) -> float:
    """The log-evidence of a role: the mean over its terms, or the smallest if each has to be proven; none counts 0."""
    each = [logs.get(term.key, 0.0) for term in rules.terms if term.role is role]
    if rules.every and role is Role.ADVANCE:
        return min(each, default=0.0)
    return combine.mean_intersection(*each)


def higher_is_judged(ratio: FailureRatio) -> bool:
    """Whether an objective with goal Higher has a tolerance with which anything can be proven."""
    return 0 < (_share(ratio.relative_tolerance) or 0.0) < evidence.LARGEST_HIGHER_TOLERANCE


def _higher_rules(tolerance: float) -> Rules:
    """Tests of good outcomes: if they are rare, counting the others would show next to nothing.

    tolerance: it has no default; without one, nothing is accused or proven.
    """
    if not 0 < tolerance < evidence.LARGEST_HIGHER_TOLERANCE:
        return Rules((), bakes=False)
    terms = (
        Term("worse", Role.ROLLBACK, evidence.higher_worse(tolerance)),
        Term("close", Role.ADVANCE, evidence.higher_close(tolerance)),
    )
    return Rules(terms, advance_ratio=1 - 2 * tolerance, bakes=False)


def _share(percent: str | None) -> float | None:
    return None if percent is None else fraction(percent)
