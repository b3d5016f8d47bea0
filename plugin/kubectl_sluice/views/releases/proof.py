"""Whether the verdict was right: the judge's replay of Prometheus' counters, beside the record."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.kernel.reasons import Reason
from sluice_core.views import words
from sluice_judge.replay import replay
from sluice_judge.replay.replay import Scrape
from sluice_judge.schema.model import fraction
from sluice_judge.schema.policy import CanaryStep
from sluice_judge.schema.verdict import Verdict

BY_COUNTERS: Final = (Reason.WORSE_THAN_STABLE, Reason.OVER_LIMIT)
"""Reasons of a rollback that recorded counters can confirm: they hold the failures of an objective, not status codes."""
MOST_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class ReplayedMoment:
    """The evidence after one scrape, as log10."""

    seconds: float
    """Since the candidate's first weight."""
    weight: float
    """Percent."""
    against: float
    """Over all objectives."""
    rollback: Mapping[str, float]
    advance: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ReplayedRelease:
    """A release, judged once more."""

    same: bool | None
    """Whether the counters agree with the record; None where they did not decide."""
    sentence: str
    recorded: str
    replayed: str
    moments: tuple[ReplayedMoment, ...]
    rollback_threshold: float
    advance_threshold: float
    """Both as log10."""


def replayed(rollout: ModelRollout, lines: Sequence[str]) -> ReplayedRelease:
    """The replay of what was recorded of a release. Raises `replay.Unreadable`."""
    file = replay.read(lines)
    policy = policy_of(rollout)
    scrapes = list(replay.replay(file, policy))
    same, sentence = _compared(rollout, scrapes)
    first = next((scrape.time for scrape in scrapes if scrape.weight > 0), 0.0)
    moments = [_moment(scrape, first) for scrape in scrapes if scrape.weight > 0]
    return ReplayedRelease(
        same=same,
        sentence=sentence,
        recorded=_recorded(rollout),
        replayed=f"{scrapes[-1].verdict}: {scrapes[-1].reason}: {scrapes[-1].message}" if scrapes else "nothing",
        moments=_thinned(moments),
        rollback_threshold=-math.log10(fraction(policy.false_rollback_probability)),
        advance_threshold=-math.log10(fraction(policy.false_advance_probability)),
    )


def policy_of(rollout: ModelRollout) -> RolloutPolicySpec:
    """The rules that a release took from its policy when it began."""
    spec = rollout.spec
    weighted = [step for step in spec.steps if step.weight]
    steps = [CanaryStep(weight=step.weight, minimum_seconds=step.minimum_seconds) for step in weighted]
    return RolloutPolicySpec(
        false_rollback_probability=spec.false_rollback_probability,
        false_advance_probability=spec.false_advance_probability,
        steps=steps or [CanaryStep(weight=100)],
        stepping=spec.stepping,
        minimum_seconds=spec.minimum_seconds,
        maximum_requests_at_risk=spec.maximum_requests_at_risk,
        objectives=spec.objectives,
        scrape_interval_seconds=spec.scrape_interval_seconds,
        blind_seconds=spec.blind_seconds,
        idle_seconds=spec.idle_seconds,
        progress_deadline_seconds=spec.progress_deadline_seconds,
        on_deadline=spec.on_deadline,
        bake_seconds=spec.bake_seconds,
        initial_dispersion=spec.initial_dispersion,
        new_pod_seconds=spec.new_pod_seconds,
        cache_fill_seconds=spec.cache_fill_seconds,
    )


def _moment(scrape: Scrape, first: float) -> ReplayedMoment:
    return ReplayedMoment(
        seconds=scrape.time - first,
        weight=scrape.weight,
        against=scrape.against,
        rollback={name: evidence.rollback for name, evidence in scrape.evidence.items()},
        advance={name: evidence.advance for name, evidence in scrape.evidence.items()},
    )


def _thinned(moments: Sequence[ReplayedMoment]) -> tuple[ReplayedMoment, ...]:
    """At most this many moments, always with the last one."""
    every = max(1, -(-len(moments) // MOST_POINTS))
    return tuple(moment for number, moment in enumerate(reversed(moments)) if number % every == 0)[::-1]


def _recorded(rollout: ModelRollout) -> str:
    status = rollout.status
    said = str(status.outcome or status.verdict or "not judged yet")
    return ": ".join(part for part in (said, status.reason, status.message) if part)


def _compared(rollout: ModelRollout, scrapes: Sequence[Scrape]) -> tuple[bool | None, str]:
    outcome, reason = rollout.status.outcome, Reason.of(rollout.status.reason)
    back = next((scrape for scrape in scrapes if scrape.verdict is Verdict.ROLL_BACK), None)
    if not scrapes:
        return None, "There are no counters to judge."
    if outcome is Outcome.ROLLED_BACK and reason in BY_COUNTERS:
        if back is None:
            return False, "Not the same: it was rolled back, and the counters that Prometheus holds do not say so."
        if Reason(back.reason) != reason:
            return False, f"Not the same: the counters roll it back as well, but for {back.reason}, not {reason}."
        return True, f"The same: the counters roll it back for {back.reason}, {_when(scrapes, back)}."
    if outcome is Outcome.ROLLED_BACK:
        said = f"would roll it back for {back.reason}" if back is not None else "would not roll it back"
        return None, f"It was not rolled back by its counters, but for {reason}; the counters {said}."
    if back is not None:
        return False, f"Not the same: the counters roll it back for {back.reason}, {_when(scrapes, back)}."
    if outcome is None:
        return True, "The same so far: the counters do not roll it back."
    if outcome is Outcome.PROMOTED and reason is Reason.PROMOTED:
        return True, "The same: nothing in the counters speaks against it."
    return None, f"It was not ended by its counters ({outcome}, {reason}); they do not roll it back."


def _when(scrapes: Sequence[Scrape], back: Scrape) -> str:
    first = next((scrape.time for scrape in scrapes if scrape.weight > 0), 0.0)
    return f"{words.span(back.time - first)} after its first requests"
