"""The arms of an A/B test, each against the stable version."""

from collections.abc import Sequence
from typing import NamedTuple

from sluice.api.v1alpha1.common import Objective
from sluice.api.v1alpha1.modelrollout import ArmStatus, ModelRollout
from sluice.api.v1alpha1.rolloutspec import RolloutArm
from sluice.views.objectives import ObjectiveView, objective_views


class ArmOfTest(NamedTuple):
    """One arm."""

    name: str
    revision: str
    uri: str
    weight_percent: int
    """Its share of the users."""
    ended: bool
    reason: str
    message: str
    verdict: str
    """Better, Worse, or empty while nothing separates it from the stable version."""
    ratio: str | None
    """Its metric over the stable version's."""
    ratio_low: str | None
    """Confidence sequence: holds at every moment at once; None while it has no end on this side."""
    ratio_high: str | None
    objectives: tuple[ObjectiveView, ...]

    @property
    def comparison(self) -> str:
        """The ratio with its interval: `1.08x [1.02, 1.15]`, or a dash."""
        if self.ratio is None:
            return "-"
        return f"{self.ratio}x [{self.ratio_low or '0'}, {self.ratio_high or 'inf'}]"

    @property
    def state(self) -> str:
        """What it says, in a few words."""
        if self.ended:
            return f"ended: {self.reason}" if self.reason else "ended"
        return {"Better": "better than stable", "Worse": "worse than stable"}.get(self.verdict, "not separated")


class ABTestView(NamedTuple):
    """A running or ended A/B test."""

    metric: str
    """The objective that decides."""
    maximum_seconds: int
    on_winner: str
    winner: str | None
    """The revision of the arm that is promoted."""
    arms: tuple[ArmOfTest, ...]


def ab_test_view(rollout: ModelRollout) -> ABTestView | None:
    """The A/B test of a release; None where it is none."""
    rules = rollout.spec.ab_test
    if rules is None:
        return None
    told = {arm.revision: arm for arm in rollout.status.arms}
    return ABTestView(
        metric=rules.metric,
        maximum_seconds=rules.maximum_seconds,
        on_winner=str(rules.on_winner),
        winner=rollout.status.winner,
        arms=tuple(_arm(arm, told.get(arm.end.revision), rollout.spec.objectives) for arm in rules.arms),
    )


def _arm(arm: RolloutArm, told: ArmStatus | None, objectives: Sequence[Objective]) -> ArmOfTest:
    status = told or ArmStatus(name=arm.name, revision=arm.end.revision)
    return ArmOfTest(
        name=arm.name,
        revision=arm.end.revision,
        uri=arm.end.uri,
        weight_percent=arm.weight,
        ended=status.ended,
        reason=status.reason,
        message=status.message,
        verdict=status.verdict,
        ratio=status.ratio,
        ratio_low=status.ratio_low,
        ratio_high=status.ratio_high,
        objectives=objective_views(status.objectives, objectives),
    )
