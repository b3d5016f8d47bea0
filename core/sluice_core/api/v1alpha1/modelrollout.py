"""ModelRollout: one attempt to release, its evidence and its audit trail."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sluice_core.api.base import ObjectMeta, Time
from sluice_core.api.v1alpha1.common import Conditions
from sluice_core.api.v1alpha1.intent import ObservedIntent
from sluice_core.api.v1alpha1.rolloutspec import ModelRolloutSpec
from sluice_core.api.v1alpha1.validation import ValidationStatus
from sluice_judge.schema.model import ApiModel, no_items
from sluice_judge.schema.verdict import ObjectiveStatus, Verdict


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    INCONCLUSIVE = "Inconclusive"
    """An A/B test that ended without a separation, or whose winner is only reported."""


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


class ProbeStatus(ApiModel):
    """Requests that return to the stable version during the bake, to see whether it does better now."""

    permille: int
    """The candidate's weight meanwhile."""
    stable_pods: int
    """Ready pods that the stable version needs for its share; with fewer, the candidate gets everything again."""
    why: Annotated[str, Field(max_length=1024)] = ""
    """What spoke against the candidate."""
    start_time: Time
    """Moved by the time in which metrics were blind."""
    deadline_time: Time
    """When the bake continues if nothing was proven either way; moves while metrics are blind."""


class StepPlan(ApiModel):
    """What a step is expected to need in all: before the first one, estimated from the stable version; then, for the
    running step and later ones, from what the release shows."""

    permille: int
    requests_needed: int | None = None
    """Candidate requests; absent if the step cannot be decided by evidence, or something speaks against the candidate."""
    seconds: int | None = None
    """At the observed rate of requests; absent if there were none."""


class ArmStatus(ApiModel):
    """The state of one arm of an A/B test."""

    name: str
    revision: str
    ended: bool = False
    """Whether it is taken out of the test; its users returned to the stable version."""
    reason: str = ""
    message: str = ""
    ratio: str | None = None
    """Its metric over the stable version's."""
    ratio_low: str | None = None
    """Confidence sequence: holds at all times at once."""
    ratio_high: str | None = None
    verdict: str = ""
    """Better, Worse, or empty while nothing separates it from the stable version."""
    unready_since: Time | None = None
    ready_time: Time | None = None
    load_seconds: int | None = None
    """Seconds from scheduling to readiness of its first ready pod."""
    objectives: Annotated[list[ObjectiveStatus], Field(max_length=16)] = Field(default_factory=no_items)
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """The judge's compact accumulators (JSON); not for people. Removed when the release ends."""


class PodRestarts(ApiModel):
    """How often the model server of one pod has restarted."""

    pod: Annotated[str, Field(max_length=253)]
    restarts: int


class TimelineEntry(ApiModel):
    """One thing that happened."""

    time: Time
    actor: Annotated[str, Field(max_length=256)] = "sluice"
    what: Annotated[str, Field(max_length=64)]
    why: Annotated[str, Field(max_length=1024)] = ""


class ModelRolloutStatus(ApiModel):
    """The state of the release, and how it got there."""

    observed_generation: int | None = None
    """None if an older operator wrote the status."""
    outcome: Outcome | None = None
    reason: str = ""
    message: str = ""
    verdict: Verdict | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    step: int = 0
    """Index of the current step from 1; 0 before any weight."""
    permille: int = 0
    """The candidate's desired weight, as the route has it."""
    weight: int = 0
    """The same in percent, rounded up, for people."""
    lead_permille: int | None = None
    """The weight of a smaller step before the first, from maximumRequestsAtRisk."""
    plan: Annotated[list[StepPlan], Field(max_length=25)] = Field(default_factory=no_items)
    """What every step is expected to need, from before the release began."""
    resumed_step: int = 0
    """The step with pause: true that a person resumed."""
    paused: bool = False
    ready_time: Time | None = None
    """When the candidate first had a ready endpoint."""
    load_seconds: int | None = None
    """Seconds from scheduling to readiness of its first ready pod."""
    unready_since: Time | None = None
    """Since when a candidate that was ready has had no ready endpoint."""
    stable_unready_since: Time | None = None
    """Since when the stable version has had no ready endpoint, although it should have."""
    deadline_time: Time | None = None
    """When onDeadline applies; moves by the time in which metrics were blind, or a pause or freeze window held it."""
    bake_end_time: Time | None = None
    """When the bake ends; moves while metrics are blind, and by the duration of a probe."""
    probe: ProbeStatus | None = None
    """Present while the bake probes the stable version."""
    blind_since: Time | None = None
    """Since when nothing can be measured."""
    held_since: Time | None = None
    """Since when a pause by a person or a freeze window has held it."""
    idle_advance: bool = False
    """Whether a step advanced for lack of any traffic; the bake then waits for requests."""
    restarts_before: Annotated[list[PodRestarts], Field(max_length=64)] = Field(default_factory=no_items)
    """Restarts of its versions' and stable's pods before it began; only more than these count. At most 64 pods, those
    with the most restarts."""
    replaced_pod: str | None = None
    """The one pod that was replaced instead of rolling back."""
    without_baseline: bool = False
    """Whether the baseline has left for lack of room: the release goes on as without one."""
    split_mismatch_since: Time | None = None
    """Since when the requests have not been split as the route says; the route was then written once more."""
    validation: ValidationStatus | None = None
    """How well the candidate answers the labelled data set."""
    winner: str | None = None
    """The revision of the arm that is promoted."""
    arms: Annotated[list[ArmStatus], Field(max_length=5)] = Field(default_factory=no_items)
    """The arms of an A/B test."""
    withdrawn: bool = False
    """Whether the user asked for the serving version after this release had failed, or had rolled back: asking for the
    same version again is a new attempt."""
    reported: bool = False
    """Whether the registry that named its version has the outcome, as tags of the version."""
    requests_needed: int | None = None
    estimated_completion_time: Time | None = None
    steps: Annotated[list[StepRecord], Field(max_length=40)] = Field(default_factory=no_items)
    objectives: Annotated[list[ObjectiveStatus], Field(max_length=16)] = Field(default_factory=no_items)
    timeline: Annotated[list[TimelineEntry], Field(max_length=50)] = Field(default_factory=no_items)
    observed_intent: ObservedIntent | None = None
    conditions: Conditions = Field(default_factory=no_items)
    """Reconciling and Stalled, for tools that do not know outcomes."""
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """The judge's compact accumulators (JSON); not for people. Gone once the release has ended."""
    learnt: Annotated[str, Field(max_length=32_768)] | None = None
    """What the judge learnt of the stable version before the release, and at its end when the pods were ready (JSON), for
    `kubectl sluice record`."""
    baseline_state: Annotated[str, Field(max_length=32_768)] | None = None
    """The same for the baseline in the candidate's place."""


class ModelRollout(ApiModel):
    """One attempt to release a revision; created by the operator, steered through spec.intent."""

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
    status: ModelRolloutStatus = Field(default_factory=ModelRolloutStatus)
