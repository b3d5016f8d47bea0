"""ModelRollout: one attempt to release, its evidence and its audit trail."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sluice.api.base import ApiModel, ObjectMeta, Probability, Time
from sluice.api.v1alpha1.common import Objectives, OnDeadline, Steps, Strategy
from sluice.api.v1alpha1.rolloutpolicy import InitialDispersion


class Action(StrEnum):
    """What a person may ask of a rollout."""

    PROMOTE = "Promote"
    ABORT = "Abort"
    PAUSE = "Pause"
    RESUME = "Resume"
    RETRY = "Retry"


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"


class Verdict(StrEnum):
    """What the judge says."""

    ADVANCE = "Advance"
    ROLL_BACK = "RollBack"
    WAIT = "Wait"
    BLIND = "Blind"


class Intent(ApiModel):
    """What a person asks for; the only part of the spec that changes."""

    action: Action
    """What to do: Promote, Abort, Pause, Resume or Retry."""
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
    steps: Steps
    """Increasing weights that end with 100."""
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
    intent: Intent | None = None
    """What a person asks for; the only field that may change."""


class ObservedIntent(ApiModel):
    """The intent that was handled last."""

    request_time: Time
    result: Annotated[str, Field(max_length=512)]


class StepRecord(ApiModel):
    """One step that was entered."""

    weight: int
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


class TimelineEntry(ApiModel):
    """One thing that happened."""

    time: Time
    actor: Annotated[str, Field(max_length=256)] = "sluice"
    what: Annotated[str, Field(max_length=64)]
    why: Annotated[str, Field(max_length=1024)] = ""


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
    weight: int = 0
    """The candidate's weight that is wanted now, in percent."""
    paused: bool = False
    ready_time: Time | None = None
    """When the candidate first had a ready endpoint."""
    unready_since: Time | None = None
    """Since when a candidate that was ready has had no ready endpoint."""
    deadline_time: Time | None = None
    """When onDeadline applies; moves on while metrics are blind."""
    bake_end_time: Time | None = None
    """When the bake is over; moves on while metrics are blind."""
    blind_since: Time | None = None
    """Since when nothing can be measured."""
    idle_advance: bool = False
    """Whether a step advanced for lack of any traffic; the bake then waits for requests."""
    withdrawn: bool = False
    """Whether the user asked for another version after this one had failed; asking for it again is a new try."""
    requests_needed: int | None = None
    estimated_completion_time: Time | None = None
    steps: Annotated[list[StepRecord], Field(max_length=20)] = Field(default_factory=list)
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
