"""How certain the judge must be, and what follows: steps, objectives, error budgets and times."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluice_judge.schema.cel import Cel
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.model import ApiModel, Probability
from sluice_judge.schema.objectives import Events, FailureRatio, Objective, Objectives


class OnDeadline(StrEnum):
    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLL_BACK = "RollBack"


class Stepping(StrEnum):
    """Who chooses the shares of a canary."""

    FIXED = "Fixed"
    AUTO = "Auto"


class CanaryStep(ApiModel):
    """One step of a canary."""

    weight: Annotated[int, Field(ge=1, le=100)]
    """The candidate's share of the traffic in percent; 100 begins the bake."""
    pause: bool = False
    """Whether a person must resume the release here: `kubectl sluice resume`."""
    minimum_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    """The minimum duration of the step, whatever has been proven."""


Steps = Annotated[
    list[CanaryStep],
    Field(min_length=1, max_length=20),
    Cel(
        "self.map(step, step.weight).isSorted() && self.all(a, self.exists_one(b, a.weight == b.weight)) "
        "&& self[size(self) - 1].weight == 100",
        message="weights must increase from step to step and end with 100",
    ),
]
"""Increasing weights that end with 100."""


class JudgedPolicy(ApiModel):
    """The part of a RolloutPolicy that the judge needs, live or over a recording."""

    false_rollback_probability: Probability = "1%"
    """The chance that a whole rollout of an equally good version is rolled back."""
    false_advance_probability: Probability = "5%"
    """The chance, at each step, that a version at the edge of what is tolerated advances."""
    steps: Steps = Field(default_factory=lambda: [CanaryStep(weight=w) for w in (5, 25, 50, 100)])
    """Increasing weights that end with 100."""
    stepping: Stepping = Stepping.FIXED
    """Fixed: the weights of `steps`. Auto: shares that follow from the traffic, so that a fault that is there from the
    beginning and shows within two scrapes harms about `maximumRequestsAtRisk` requests at most; only 50 % waits for all
    proofs. `steps` then applies only where no gateway sets the shares."""
    minimum_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    """The least time from the first weight to 100 %, for faults that need time, such as leaks."""
    objectives: Objectives = Field(
        default_factory=lambda: [
            Objective(
                name="errors",
                failure_ratio=FailureRatio(
                    events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
                ),
            ),
        ]
    )
    """What must stay good."""
    scrape_interval_seconds: Annotated[int, Field(ge=1, le=300)] = 15
    """How often Prometheus samples the gateway; three intervals without a sample mean Blind."""
    idle_seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """A step advances after this time without any request since it began, as no user can be harmed."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 86_400
    """onDeadline applies after this time without a decision."""
    on_deadline: OnDeadline = OnDeadline.HOLD
    """What happens at the deadline."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] = 600
    """How long the old version stays warm and the objectives armed after 100 %."""
    initial_dispersion: InitialDispersion = Field(default_factory=InitialDispersion)
    """Assumed overdispersion without history."""
