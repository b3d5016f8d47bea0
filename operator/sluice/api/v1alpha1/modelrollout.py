"""ModelRollout: one attempt to release, its evidence and its audit trail."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sluice.api.base import ApiModel, Name, ObjectMeta, Probability, Time
from sluice.api.cel import Cel
from sluice.api.v1alpha1.common import CapacityMode, Objectives, OnDeadline, Strategy
from sluice.api.v1alpha1.rolloutpolicy import InitialDispersion
from sluice.api.v1alpha1.strategies import Assignment, OnWinner
from sluice.api.v1alpha1.validation import Validation


class Action(StrEnum):
    """What a person may ask of a rollout."""

    PROMOTE = "Promote"
    SKIP_STEP = "SkipStep"
    ABORT = "Abort"
    PAUSE = "Pause"
    RESUME = "Resume"
    RETRY = "Retry"
    ROLL_BACK = "Rollback"


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    INCONCLUSIVE = "Inconclusive"
    """An A/B test that ended without a separation, or whose winner was to be reported only."""


class Verdict(StrEnum):
    """What the judge says."""

    ADVANCE = "Advance"
    ROLL_BACK = "RollBack"
    WAIT = "Wait"
    BLIND = "Blind"


class Intent(ApiModel):
    """What a person asks for; the only part of the spec that changes."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel("!has(self.toRevision) || self.action == 'Rollback'", message="toRevision needs action Rollback"),
    )

    action: Action
    """What to do: Promote, SkipStep, Abort, Pause, Resume, Retry or Rollback."""
    to_revision: Annotated[str, Field(max_length=63)] | None = None
    """With Rollback: the revision to go back to; default the one that served before."""
    requested_by: Annotated[str, Field(max_length=256)]
    """The user who asks; the admission policy compares it with the authenticated user."""
    request_time: Time
    """When it was asked; a repeated intent needs a new time."""
    note: Annotated[str, Field(max_length=512)] | None = None
    """Why, for whoever reads the history."""


class ReleaseEnd(ApiModel):
    """One side of a release."""

    revision: Annotated[str, Field(max_length=63)]
    """The revision, equal to the response header x-model-revision."""
    input_hash: Annotated[str, Field(max_length=63)]
    """Hash of the fields of the ModelDeployment that the revision was made from."""
    uri: Annotated[str, Field(max_length=1024)]
    """Where the model is."""
    model_version: Annotated[str, Field(max_length=63)] | None = None
    """The label model.version, where given."""


class RolloutStep(ApiModel):
    """One step: how much of the traffic the candidate sees, and what must hold before the next."""

    weight: Annotated[int, Field(ge=0, le=100)] = 0
    """The candidate's share of the users' requests in percent; 100 begins the bake."""
    mirror_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """The share of requests that it gets a copy of; no user sees the answers."""
    preview: bool = False
    """Whether it is reachable under its preview host name."""
    pause: bool = False
    """Whether a person must let the release go on."""
    minimum_seconds: int = 0
    """The step lasts at least this long."""
    minimum_requests: int = 0
    """The candidate must have answered at least so many requests in it."""

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
    """The rules of an A/B test, as they were when it began."""

    arms: Annotated[list[RolloutArm], Field(min_length=1, max_length=5)]
    """The versions beside the stable one."""
    assignment: Assignment
    """How a user keeps his arm."""
    metric: Name
    """The objective that decides."""
    maximum_seconds: int
    """The test ends after this long."""
    on_winner: OnWinner
    """What follows when an arm is proven better."""

    @property
    def shares(self) -> dict[str, int]:
        """Permille by revision; stable has the rest."""
        return {arm.end.revision: arm.permille for arm in self.arms}


class ModelRolloutSpec(ApiModel):
    """What is released, and by which rules, as they were when it began."""

    mutable_fields: ClassVar[frozenset[str] | None] = frozenset({"intent"})

    model_deployment: Annotated[str, Field(max_length=63)]
    """The ModelDeployment that this belongs to."""
    sequence: Annotated[int, Field(ge=1)] = 1
    """Counts the releases of the ModelDeployment; the one with the highest number is the newest."""
    attempt: Annotated[int, Field(ge=1)] = 1
    """Counts the attempts to release the same revision."""
    source: ReleaseEnd | None = Field(default=None, alias="from")
    """The stable version; absent for the first version."""
    target: ReleaseEnd = Field(alias="to")
    """The candidate."""
    strategy: Strategy = Strategy.CANARY
    """The way of releasing."""
    policy: Annotated[str, Field(max_length=253)] = "default"
    """The RolloutPolicy that the rules came from."""
    base_replicas: Annotated[int, Field(ge=1)] = 1
    """Replicas of the stable version when the rollout began."""
    steps: Annotated[list[RolloutStep], Field(max_length=24)]
    """What the candidate sees, step by step; the last one has weight 100. Empty in an A/B test."""
    ab_test: Annotated[ABTestRules | None, Field(alias="abTest")] = None
    """The rules of an A/B test."""
    capacity: CapacityMode = CapacityMode.AUTO
    """Where the candidate's pods come from."""
    maximum_requests_at_risk: int = 0
    """Where one scrape at the first weight would expose more than half of it, a smaller step is put before; 0: never."""
    requested_input_hash: Annotated[str, Field(max_length=63)] | None = None
    """What the ModelDeployment asked for when it began, where that is not the version that is released: a roll-back by
    a person, or an A/B test."""
    rollback: bool = False
    """Whether a person asked for a version that served before."""
    analysed: bool = True
    """False on the way back to a version that served recently: no evidence is waited for."""
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
    """After this long without metrics an event is written and MetricsAvailable becomes False."""
    idle_seconds: int
    """After this long without any request a step advances."""
    progress_deadline_seconds: int
    """After this long without a decision onDeadline applies."""
    on_deadline: OnDeadline
    """What happens at the deadline."""
    bake_seconds: int
    """How long the old version stays warm and the objectives armed after 100 %."""
    initial_dispersion: InitialDispersion = InitialDispersion()
    """Assumed overdispersion without history."""
    validation: Validation | None = None
    """The labelled data set that the candidate must answer well before it gets any request."""
    intent: Intent | None = None
    """What a person asks for; the only field that may change."""


class ObservedIntent(ApiModel):
    """The intent that was handled last."""

    request_time: Time
    result: Annotated[str, Field(max_length=512)]


class StepRecord(ApiModel):
    """One step that was entered."""

    permille: int = 0
    """The candidate's weight as the route has it."""
    mirror_percent: int = 0
    preview: bool = False
    start_time: Time
    end_time: Time | None = None
    candidate_requests: int = 0
    stable_requests: int = 0


class ArmCounts(ApiModel):
    """What was counted on one arm since the rollout began."""

    requests: int = 0
    failures: int = 0
    """Counted bad events: failures, or requests slower than the boundary."""
    ratio: str | None = None
    """failures / requests as a percentage."""


class ObjectiveStatus(ApiModel):
    """One objective's counts and evidence."""

    name: str
    required: bool = True
    boundary_millis: str | None = None
    """The latency boundary that is judged, for latency objectives."""
    stable: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
    ratio: str | None = None
    """Candidate's failure ratio over the stable version's."""
    ratio_low: str | None = None
    ratio_high: str | None = None
    rollback_log10: str | None = None
    """Evidence that the candidate is worse, as log10."""
    rollback_threshold_log10: str | None = None
    advance_log10: str | None = None
    """Evidence since the step began that the candidate is good, as log10."""
    advance_threshold_log10: str | None = None
    proven: bool = False
    """Whether this step has its proof."""
    requests_needed: int | None = None
    """Candidate requests still needed for the proof, as far as can be told."""
    message: str = ""


class PlannedStep(ApiModel):
    """What a step is expected to need, from what the stable version showed before the release."""

    permille: int
    requests_needed: int | None = None
    """Candidate requests; absent where the step cannot be decided by evidence."""
    seconds: int | None = None
    """At the stable version's rate; absent where it had no traffic."""


class ArmStatus(ApiModel):
    """How one arm of an A/B test does."""

    name: str
    revision: str
    ended: bool = False
    """Taken out of the test; its users went back to the stable version."""
    reason: str = ""
    message: str = ""
    ratio: str | None = None
    """Its metric over the stable version's."""
    ratio_low: str | None = None
    """Confidence sequence: holds at every moment at once."""
    ratio_high: str | None = None
    verdict: str = ""
    """Better, Worse, or empty while nothing separates it from the stable version."""
    unready_since: Time | None = None
    ready_time: Time | None = None
    objectives: Annotated[list[ObjectiveStatus], Field(max_length=16)] = Field(default_factory=list)
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """The judge's compact accumulators (JSON); not for people."""


class TimelineEntry(ApiModel):
    """One thing that happened."""

    time: Time
    actor: Annotated[str, Field(max_length=256)] = "sluice"
    what: Annotated[str, Field(max_length=64)]
    why: Annotated[str, Field(max_length=1024)] = ""


class ShardScore(ApiModel):
    """What one part of a labelled data set came to."""

    shard: int
    read: int
    failed: int
    """Rows that have no answer."""
    wrong: int
    """Rows whose answer is not the label."""


class Score(ApiModel):
    """What a version made of a labelled data set."""

    revision: str
    data: str
    """Hash of what says which rows and which labels."""
    shards: int
    """How many parts there are."""
    finished: Annotated[list[ShardScore], Field(max_length=100)] = Field(default_factory=list)
    """Those that were counted; each once, whatever becomes of its pod."""

    @property
    def complete(self) -> bool:
        return len(self.finished) == self.shards

    @property
    def rows(self) -> int:
        return sum(part.read for part in self.finished)

    @property
    def bad(self) -> int:
        """Rows without the right answer."""
        return sum(part.failed + part.wrong for part in self.finished)


class ValidationStatus(ApiModel):
    """How far the validation is."""

    passed: bool = False
    attempt: int = 1
    """Counts the tries; a person may ask for another one."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """What the judge made of it."""
    scores: Annotated[list[Score], Field(max_length=2)] = Field(default_factory=list)
    """The candidate's, and the stable version's where it is compared with it."""


class ModelRolloutStatus(ApiModel):
    """Where the release stands, and how it came there."""

    outcome: Outcome | None = None
    reason: str = ""
    message: str = ""
    verdict: Verdict | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    step: int = 0
    """Index of the current step from 1; 0 before any weight."""
    permille: int = 0
    """The candidate's weight that is wanted now, as the route has it."""
    weight: int = 0
    """The same in percent, rounded up, for people."""
    lead_permille: int | None = None
    """The weight of a smaller step before the first, from maximumRequestsAtRisk."""
    plan: Annotated[list[PlannedStep], Field(max_length=25)] = Field(default_factory=list)
    """What every step is expected to need, from before the release began."""
    resumed_step: int = 0
    """The step with pause: true that a person has let go on."""
    paused: bool = False
    ready_time: Time | None = None
    """When the candidate first had a ready endpoint."""
    unready_since: Time | None = None
    """Since when a candidate that was ready has had no ready endpoint."""
    deadline_time: Time | None = None
    """When onDeadline applies; moves on by the time in which metrics were blind, or a pause or freeze window held it."""
    bake_end_time: Time | None = None
    """When the bake is over; moves on while metrics are blind."""
    blind_since: Time | None = None
    """Since when nothing can be measured."""
    held_since: Time | None = None
    """Since when a pause by a person or a freeze window has held it."""
    idle_advance: bool = False
    """Whether a step advanced for lack of any traffic; the bake then waits for requests."""
    replaced_pod: str | None = None
    """The one pod that was replaced instead of rolling back."""
    split_mismatch_since: Time | None = None
    """Since when the requests have not been split as the route says; the route was written once more then."""
    validation: ValidationStatus | None = None
    """How the candidate answers the labelled data set."""
    winner: str | None = None
    """The revision of the arm that is promoted."""
    arms: Annotated[list[ArmStatus], Field(max_length=5)] = Field(default_factory=list)
    """The arms of an A/B test."""
    withdrawn: bool = False
    """Whether the user asked for another version after this one had failed; asking for it again is a new try."""
    requests_needed: int | None = None
    estimated_completion_time: Time | None = None
    steps: Annotated[list[StepRecord], Field(max_length=40)] = Field(default_factory=list)
    objectives: Annotated[list[ObjectiveStatus], Field(max_length=16)] = Field(default_factory=list)
    timeline: Annotated[list[TimelineEntry], Field(max_length=50)] = Field(default_factory=list)
    observed_intent: ObservedIntent | None = None
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """The judge's compact accumulators (JSON); not for people."""


class ModelRollout(ApiModel):
    """One attempt to release a revision; made by the operator, steered through spec.intent."""

    kind: ClassVar[str] = "ModelRollout"
    plural: ClassVar[str] = "modelrollouts"
    short_names: ClassVar[tuple[str, ...]] = ("mroll",)
    scope: ClassVar[str] = "Namespaced"
    printer_columns: ClassVar[tuple[dict[str, Any], ...]] = (
        {"name": "Model", "type": "string", "jsonPath": ".spec.modelDeployment"},
        {"name": "Outcome", "type": "string", "jsonPath": ".status.outcome"},
        {"name": "Weight", "type": "integer", "jsonPath": ".status.weight"},
        {"name": "Verdict", "type": "string", "jsonPath": ".status.verdict"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: ObjectMeta
    spec: ModelRolloutSpec
    status: ModelRolloutStatus = ModelRolloutStatus()
