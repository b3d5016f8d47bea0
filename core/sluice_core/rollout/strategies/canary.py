"""Canary: increasing shares of the users' requests, each proven before the next.

weight 5 ── proven ──> 25 ── proven ──> 50 ── proven ──> 100: bake ──> promoted
"""

from sluice_core.api.v1alpha1.rolloutspec import RolloutStep
from sluice_judge.schema.policy import CanaryStep
from sluice_judge.stats import planning


def steps(wanted: list[CanaryStep]) -> list[RolloutStep]:
    """The steps of the spec, or of the policy."""
    return [RolloutStep(weight=step.weight, pause=step.pause, minimum_seconds=step.minimum_seconds) for step in wanted]


def by_risk() -> list[RolloutStep]:
    """The steps after those that are chosen by what is at risk."""
    return [RolloutStep(weight=planning.PROVING // 10), RolloutStep(weight=100)]
