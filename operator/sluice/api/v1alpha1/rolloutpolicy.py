"""RolloutPolicy: what "good" means here, and how sure one must be."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from sluice.api.base import ApiModel, ObjectMeta, Probability
from sluice.api.v1alpha1.common import CanaryStep, Events, FailureRatio, Objective, Objectives, OnDeadline, Steps


class InitialDispersion(ApiModel):
    """Assumed overdispersion in percent of Poisson where the stable version has too little history to measure it."""

    failures: Annotated[int, Field(ge=100, le=10_000)] = 100
    """For failure ratios; 100 is pure Poisson."""
    latency: Annotated[int, Field(ge=100, le=10_000)] = 300
    """For latencies, which cluster more."""


class RolloutPolicySpec(ApiModel):
    """Error budgets, steps and objectives of releases."""

    false_rollback_probability: Probability = "1%"
    """The chance that a whole rollout of an equally good version is rolled back."""
    false_advance_probability: Probability = "5%"
    """The chance, at each step, that a version at the edge of what is tolerated advances."""
    steps: Steps = Field(default=[CanaryStep(weight=w) for w in (5, 25, 50, 100)])
    """Increasing weights that end with 100."""
    objectives: Objectives = Field(
        default=[
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
    blind_seconds: Annotated[int, Field(ge=1, le=86_400)] = 120
    """After this long without metrics an event is written and MetricsAvailable becomes False."""
    idle_seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """After this long without any request a step advances, since nobody can be harmed."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 86_400
    """After this long without a decision onDeadline applies."""
    on_deadline: OnDeadline = OnDeadline.HOLD
    """What happens at the deadline."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] = 600
    """How long the old version stays warm and the objectives armed after 100 %."""
    initial_dispersion: InitialDispersion = InitialDispersion()
    """Assumed overdispersion without history."""


class RolloutPolicy(ApiModel):
    """What a good release is, for every ModelDeployment that refers to it."""

    kind: ClassVar[str] = "RolloutPolicy"
    plural: ClassVar[str] = "rolloutpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("rpol",)
    scope: ClassVar[str] = "Cluster"
    printer_columns: ClassVar[tuple[dict[str, Any], ...]] = (
        {"name": "FalseRollback", "type": "string", "jsonPath": ".spec.falseRollbackProbability"},
        {"name": "FalseAdvance", "type": "string", "jsonPath": ".spec.falseAdvanceProbability"},
        {"name": "Bake", "type": "integer", "jsonPath": ".spec.bakeSeconds"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: ObjectMeta
    spec: RolloutPolicySpec
