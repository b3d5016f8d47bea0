"""What a rollout releases, and its rules when it began."""

from typing import Annotated, ClassVar

from pydantic import Field

from sluice_core.api.v1alpha1.common import CapacityMode, Strategy
from sluice_core.api.v1alpha1.intent import Intent
from sluice_core.api.v1alpha1.strategies import Assignment, OnWinner
from sluice_core.api.v1alpha1.validation import Validation
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.model import ApiModel, Name, Probability
from sluice_judge.schema.objectives import Objectives
from sluice_judge.schema.policy import OnDeadline, Stepping


class ReleaseEnd(ApiModel):
    """One side of a release."""

    revision: Annotated[str, Field(max_length=63)]
    """The revision, equal to the response header x-model-revision."""
    input_hash: Annotated[str, Field(max_length=63)]
    """Hash of the fields of the ModelDeployment that the revision was made from."""
    uri: Annotated[str, Field(max_length=1024)]
    """Where the model is."""
    model_version: Annotated[str, Field(max_length=63)] | None = None
    """The label model.version, if set."""


class RolloutStep(ApiModel):
    """One step: the candidate's share of the traffic, and what must hold before the next one."""

    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """The candidate's share of the users' requests in percent; 100 begins the bake."""
    mirror_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """The share of requests that are copied to it; no user sees the answers."""
    preview: bool = False
    """Whether it is reachable under its preview host name."""
    pause: bool = False
    """Whether a person must resume the release."""
    minimum_seconds: int = 0
    """The minimum duration of the step."""
    minimum_requests: int = 0
    """The candidate must have answered this many requests in the step."""

    @property
    def permille(self) -> int:
        """The weight as the route has it."""
        return self.weight * 10


class RolloutArm(ApiModel):
    """One arm of an A/B test."""

    name: Name
    """Its name in the test."""
    weight: int
    """Its share of the users in percent."""
    end: ReleaseEnd = Field(alias="to")
    """Its version."""

    @property
    def permille(self) -> int:
        """The weight as the route has it."""
        return self.weight * 10


class ABTestRules(ApiModel):
    """The rules of an A/B test when it began."""

    arms: Annotated[list[RolloutArm], Field(min_length=1, max_length=5)]
    """The versions beside the stable one."""
    assignment: Assignment
    """How users keep their arm."""
    metric: Name
    """The objective that decides."""
    maximum_seconds: int
    """The test ends after this time."""
    on_winner: OnWinner
    """What follows when an arm is proven better."""

    @property
    def shares(self) -> dict[str, int]:
        """Permille by revision; stable has the rest."""
        return {arm.end.revision: arm.permille for arm in self.arms}


class ModelRolloutSpec(ApiModel):
    """What is released, and its rules when it began."""

    mutable_fields: ClassVar[frozenset[str] | None] = frozenset({"intent"})

    model_deployment: Annotated[str, Field(max_length=63)]
    """The ModelDeployment that it belongs to."""
    sequence: Annotated[int, Field(ge=1)] = 1
    """Counts the releases of the ModelDeployment; the one with the highest number is the newest."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Counts the attempts to release the same revision."""
    source: ReleaseEnd | None = Field(default=None, alias="from")
    """The stable version; absent for the first version."""
    target: ReleaseEnd = Field(alias="to")
    """The candidate."""
    strategy: Strategy = Strategy.CANARY
    """The strategy of the release."""
    policy: Annotated[str, Field(max_length=253)] = "default"
    """The RolloutPolicy that the rules came from."""
    base_replicas: Annotated[int, Field(ge=1)] = 1
    """Replicas of the stable version when the rollout began."""
    steps: Annotated[list[RolloutStep], Field(max_length=24)]
    """What the candidate sees, step by step; the last one has weight 100. Empty in an A/B test."""
    stepping: Stepping = Stepping.FIXED
    """Auto: smaller steps come first, chosen by what is at risk (`status.leadPermille`)."""
    ab_test: Annotated[ABTestRules | None, Field(alias="abTest")] = None
    """The rules of an A/B test."""
    minimum_seconds: int = 0
    """The least time from the first weight to 100 %."""
    capacity: CapacityMode = CapacityMode.AUTO
    """Where the candidate's pods come from."""
    maximum_requests_at_risk: int = 0
    """If one scrape at the first weight would expose more than half of this number, a smaller step comes first; 0:
    never."""
    requested_input_hash: Annotated[str, Field(max_length=63)] | None = None
    """The input hash that the ModelDeployment asked for when it began, if another version is released: a rollback by a
    person, or an A/B test."""
    rollback: bool = False
    """Whether it returns to a version that served before, requested by a person or the watch."""
    alarm: Annotated[str, Field(max_length=1024)] | None = None
    """The alarm of the watch over the stable version, if that requested the release."""
    analysed: bool = True
    """False for a rollback to a version that served recently: the release does not wait for evidence."""
    start_step: Annotated[int, Field(ge=1)] = 1
    """The step to begin with; a retry begins with the one that failed."""
    objectives: Objectives
    """What must stay good."""
    false_rollback_probability: Probability
    """The chance that the whole rollout of an equally good version is rolled back."""
    false_advance_probability: Probability
    """The chance, at each step, that a version at the edge of what is tolerated advances."""
    scrape_interval_seconds: int
    """How often Prometheus samples the gateway."""
    blind_seconds: int
    """After this time without metrics, an event is written and MetricsAvailable becomes False."""
    idle_seconds: int
    """A step advances after this time without any request."""
    progress_deadline_seconds: int
    """onDeadline applies after this time without a decision."""
    on_deadline: OnDeadline
    """What happens at the deadline."""
    bake_seconds: int
    """How long the old version stays warm and the objectives armed after 100 %."""
    initial_dispersion: InitialDispersion = Field(default_factory=InitialDispersion)
    """Assumed overdispersion without history."""
    new_pod_seconds: int = 60
    """How long latency is not compared after a pod became ready."""
    cache_fill_seconds: int = 300
    """How long prefix caches take to fill."""
    baseline_revision: Annotated[str, Field(max_length=63)] | None = None
    """The revision of the stable version's new pods that the candidate is compared with while it has few."""
    validation: Validation | None = None
    """The labelled data set that the candidate must answer well before it gets any request."""
    intent: Intent | None = None
    """What a person asks for; the only field that may change."""

    @property
    def ends(self) -> tuple[ReleaseEnd, ...]:
        """All its versions: source, target and arms."""
        arms = self.ab_test.arms if self.ab_test is not None else ()
        source = () if self.source is None else (self.source,)
        return (*source, self.target, *(arm.end for arm in arms))
