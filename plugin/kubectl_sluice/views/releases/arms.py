"""The arms of an A/B test, each against the stable version."""

from collections.abc import Sequence
from typing import NamedTuple

from kubectl_sluice.views.releases.objectives import ObjectiveView, objective_views
from sluice_core.api.v1alpha1.modelrollout import ArmStatus, ModelRollout
from sluice_core.api.v1alpha1.rolloutspec import RolloutArm
from sluice_core.api.v1alpha1.strategies import OnWinner
from sluice_core.views import words
from sluice_judge.schema.objectives import Objective


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
    """Better, Worse, or empty while it cannot be told apart from the stable version."""
    ratio: str | None
    """Its metric divided by the stable version's."""
    ratio_low: str | None
    """A confidence sequence, valid at all times at once; None while it is unbounded on this side."""
    ratio_high: str | None
    unseen: str
    """Why its metric has no counts; empty where it has."""
    objectives: tuple[ObjectiveView, ...]

    @property
    def requests(self) -> int:
        """Its answers, as far as its objectives have counted."""
        return max((each.candidate.requests for each in self.objectives), default=0)

    @property
    def comparison(self) -> str:
        """The ratio with its interval: `1.08x [1.02, 1.15]`, or a dash."""
        if self.ratio is None:
            return "-"
        return f"{self.ratio}x [{self.ratio_low or '0'}, {self.ratio_high or 'inf'}]"

    @property
    def state(self) -> str:
        """Its state in a few words."""
        if self.ended:
            return f"ended: {self.reason}" if self.reason else "ended"
        if self.unseen:
            return "no samples"
        return {"Better": "better than stable", "Worse": "worse than stable"}.get(self.verdict, "not separated")


class ABTestView(NamedTuple):
    """A running or ended A/B test."""

    metric: str
    """The objective that decides."""
    maximum_seconds: int
    on_winner: str
    winner: str | None
    """The revision of the promoted arm."""
    arms: tuple[ArmOfTest, ...]

    @property
    def ends(self) -> str:
        """What ends the test, and the consequence."""
        then = "which is then promoted" if self.on_winner == OnWinner.PROMOTE else "reported, not promoted"
        return (
            f"it ends when an arm is proven better on {self.metric} ({then}), or undecided after "
            f"{words.span(self.maximum_seconds)}"
        )


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
        arms=tuple(_arm(arm, told.get(arm.end.revision), rollout.spec.objectives, rules.metric) for arm in rules.arms),
    )


def _arm(arm: RolloutArm, told: ArmStatus | None, objectives: Sequence[Objective], metric: str) -> ArmOfTest:
    status = told or ArmStatus(name=arm.name, revision=arm.end.revision)
    counted = next((each for each in status.objectives if each.name == metric), None)
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
        unseen=counted.message if counted is not None and not counted.candidate.requests else "",
        objectives=objective_views(status.objectives, objectives),
    )
