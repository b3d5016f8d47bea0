"""The gates' view of one running release, and their decisions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Self

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.intent import Intent
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice_core.kernel.reasons import AnyReason
from sluice_core.kernel.snapshot import Paths, Revision, Route
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.freeze import Frozen
from sluice_core.rollout.steps import Step
from sluice_core.rollout.validation import Finding
from sluice_judge import kinds, timestamps
from sluice_judge.judgement import Judgement
from sluice_judge.schema.verdict import Verdict

OPERATOR: Final = "sluice"
"""The actor where no person acts."""


@dataclass(frozen=True, slots=True)
class Release(ABC):
    """The view of a running release, with steps or with arms."""

    now: float
    rollout: ModelRollout
    """With clocks and figures of this reconcile already in its status."""
    stable: Revision | None
    route: Route | None
    route_message: str
    """Why no route can be programmed at all, or empty."""
    replicas: int
    """Replicas of the stable version that stand for the whole traffic."""
    frozen: Frozen | None
    """The open freeze window."""
    intent: Intent | None
    """A pending intent of a person."""
    loads: Mapping[str, float]
    """Seconds that a pod of each revision was seen to need to become ready."""

    @property
    @abstractmethod
    def released(self) -> tuple[Revision, ...]:
        """The versions that it releases, or compares with the stable one."""

    @property
    @abstractmethod
    def longest_seconds(self) -> int:
        """How long it may take without a decision."""

    @property
    @abstractmethod
    def blind(self) -> str:
        """Why nothing can be measured, or empty."""

    @property
    @abstractmethod
    def counts_only(self) -> bool:
        """Whether, for the judge, the findings of this reconcile need not be written."""

    @property
    @abstractmethod
    def paused(self) -> bool:
        """Whether a pause by a person holds it."""

    @property
    @abstractmethod
    def closed(self) -> Frozen | None:
        """The freeze window that holds it."""

    def with_status(self, status: ModelRolloutStatus) -> Self:
        """The release with this status."""
        return replace(self, rollout=self.rollout.model_copy(update={"status": status}))


@dataclass(frozen=True, slots=True)
class Moment(Release):
    """The gates' view of one running release with steps."""

    candidate: Revision
    paths: Paths | None
    """The desired paths of requests; None if there is no route to write."""
    capacity: Capacity
    judgement: Judgement | None
    """None before the first step, and if nothing is compared."""
    control: Judgement | None = None
    """The same of the baseline in the candidate's place; None without one."""
    by_service: bool = False
    """Whether pods determine the shares."""
    validation: Finding | None = None
    """The state of its validation; None if there is none to wait for."""

    @property
    def released(self) -> tuple[Revision, ...]:
        return (self.candidate,)

    @property
    def longest_seconds(self) -> int:
        return self.rollout.spec.progress_deadline_seconds

    @property
    def blind(self) -> str:
        return self.judgement.sight.blind if self.judgement is not None else ""

    @property
    def counts_only(self) -> bool:
        every = [each for each in (self.judgement, self.control) if each is not None]
        return self.judgement is not None and all(each.next_state.counts_only for each in every)

    @property
    def paused(self) -> bool:
        return self.rollout.status.paused and not self.nothing_serves

    @property
    def closed(self) -> Frozen | None:
        """Nothing advances in a window, not even on request; a rollback does, and so does what ends a downtime."""
        return None if self.rollout.spec.rollback or self.nothing_serves else self.frozen

    @property
    def steps(self) -> tuple[Step, ...]:
        return steps.steps(self.rollout)

    @property
    def last_step(self) -> int:
        return len(self.steps)

    @property
    def current(self) -> Step | None:
        """The step that was entered last."""
        return steps.current(self.rollout)

    @property
    def baking(self) -> bool:
        return self.rollout.status.step >= self.last_step and self.rollout.status.permille >= steps.WHOLE

    @property
    def probing(self) -> bool:
        """Whether the bake probes the stable version: see `probe`."""
        return self.rollout.status.probe is not None

    @property
    def bake_end(self) -> str:
        """When the bake ends; counted from now if it has not begun."""
        begins = timestamps.rfc3339(self.now + self.rollout.spec.bake_seconds)
        return self.rollout.status.bake_end_time or begins

    @property
    def stable_is_down(self) -> bool:
        """Whether the stable version was taken down to make room."""
        return self.stable is not None and self.stable.replicas == 0 and self.stable.ready_endpoints == 0

    @property
    def nothing_serves(self) -> bool:
        """Whether users wait for the candidate's pods: nothing may prolong that."""
        return self.stable_is_down and self.rollout.status.permille < steps.WHOLE

    def pods_needed(self, step: Step) -> int:
        """Ready endpoints for what the step exposes; at least one."""
        if self.nothing_serves:
            return 1
        return max(self._pods_for(step), min(self._even_pods(step), self.capacity.candidate_replicas))

    def evens_load(self, step: Step) -> bool:
        """Whether it needs more pods only for latency to be compared at equal load."""
        return self.pods_needed(step) > self._pods_for(step) and not self.nothing_serves

    def _pods_for(self, step: Step) -> int:
        return shares.pods_for(step.load_permille, self.replicas, by_service=self.by_service)

    def _even_pods(self, step: Step) -> int:
        """Pods with which latency is compared at equal load; they are created for the next step anyway."""
        if self.by_service or self.capacity.mode is not CapacityMode.SURGE:
            return 0
        if not kinds.compares_pods(self.rollout.spec.objectives) or step not in self.steps:
            return 0
        following = self.steps[min(self.steps.index(step) + 1, self.last_step - 1)]
        return shares.even_pods(step, following, self.replicas)

    def ready_for(self, step: Step) -> bool:
        """Whether enough endpoints are ready for what the step exposes."""
        return self.candidate.ready_endpoints >= self.pods_needed(step)

    def may_enter(self, step: Step) -> bool:
        """Whether its pods are ready, or it is entered before, with a weight that follows those that are."""
        return self.ready_for(step) or (self.ramps and self.candidate.ready_endpoints > 0)

    @property
    def ramps(self) -> bool:
        """Whether the weight grows with the pods: while stable gives up one after the other, and where they determine
        the share.
        """
        return self.capacity.ramps or self.by_service

    def step_at(self, index: int) -> Step:
        """The step of this number, counted from 1."""
        return self.steps[index - 1]

    @property
    def requests_in_step(self) -> int:
        """Requests to the candidate since the current step began."""
        return self.judgement.requests.step_candidate if self.judgement is not None else 0

    @property
    def step_began(self) -> float:
        """When the current step took effect."""
        records = self.rollout.status.steps
        return timestamps.seconds(records[-1].start_time) if records else self.now


class Effect(Enum):
    """Effects of a decision beside its verdict."""

    HOLDS = "holds"
    """A step decided earlier does not take effect either."""
    AWAITS_PODS = "awaits pods"
    """Only that: a first version has nothing to record."""
    BEGINS_BAKE = "begins the bake"
    BEGINS_PROBE = "begins a probe"
    PROBES = "goes on with it"
    ENDS_PROBE = "ends the probe"
    REPLACES_POD = "replaces the bad pod"
    PASSES_VALIDATION = "passes the validation"
    ADVANCES_IDLE = "advances without traffic"
    NOTES_SPLIT_MISMATCH = "notes the split mismatch"
    PROMOTES_WINNER = "promotes the winner of an A/B test"


@dataclass(frozen=True, slots=True)
class Decision:
    """A gate's decision."""

    verdict: Verdict
    reason: AnyReason
    message: str
    step: int | None = None
    """The step to enter."""
    outcome: Outcome | None = None
    """How the release ends."""
    effect: Effect | None = None
    counts: bool = False
    """Whether its message contains counts."""
    until: float | None = None
    """When the clock alone changes the decision, in seconds since the epoch."""
    actor: str = OPERATOR
    """The person whose intent it follows, if any."""
