"""The values that go into the judge and come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sluice.api.v1alpha1.common import Objective
from sluice.api.v1alpha1.modelrollout import ObjectiveStatus
from sluice.api.v1alpha1.rolloutpolicy import InitialDispersion


@dataclass(frozen=True, slots=True)
class GatewayPreset:
    """How a gateway names its series for a backend Service: selectors with `{namespace}`, `{service}`, `{port}`."""

    name: str
    requests: str
    """Counter by response code, answers that the gateway made itself included."""
    code_label: str
    """The label of `requests` that carries the HTTP code."""
    latency_bucket: str
    """Cumulative histogram with label `le`."""
    latency_unit_millis: float
    """Milliseconds per unit of `le`."""
    freshness: str
    """An always-present series of the scraped gateway target, to tell "no requests" from "no samples"."""
    settle_seconds: float
    """How long the gateway takes to use a route after it says Programmed."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of the comparison."""

    revision: str
    service: str
    port: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What the judge knows of a running rollout."""

    now: float
    namespace: str
    name: str
    stable: Arm
    candidate: Arm
    objectives: tuple[Objective, ...]
    alpha: float
    """False rollback probability of the whole rollout."""
    beta: float
    """False advance probability of a step."""
    step: int
    """The current step from 1; when it differs from the one in `state`, advance evidence starts anew."""
    weight: int
    """The candidate's share in percent."""
    baking: bool
    scrape_interval_seconds: float
    idle_seconds: float
    initial_dispersion: InitialDispersion
    route_generation: int
    """When it differs from the one in `state`, the interval is discarded."""
    route_programmed: bool
    preset: GatewayPreset
    state: str | None
    """ModelRollout.status.state."""


@dataclass(frozen=True, slots=True)
class Question:
    """Raw samples wanted from Prometheus: `selector[window]`."""

    key: str
    """Names the answer in `Answers`."""
    selector: str
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Series:
    """Raw samples of one series."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """(seconds since the epoch, value), oldest first."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What Prometheus has; no series is an answer, too."""

    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Prometheus could not be asked."""

    message: str


Answer: TypeAlias = Answered | Failed
Answers: TypeAlias = Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counters say; the gates make a verdict of it."""

    state: str
    """Goes to ModelRollout.status.state; equal to the old one when nothing new was seen."""
    objectives: tuple[ObjectiveStatus, ...]
    rollback_log: float
    """Combined rollback evidence, natural logarithm."""
    rollback_threshold_log: float
    """ln(1/alpha)."""
    bake_log: float
    """E_bake alone (for superseding in the bake), natural logarithm; 0 before the bake."""
    decisive: str
    """Name of the objective with the most rollback evidence, with its counts, in words for a person."""
    all_proven: bool
    """Every required objective has its proof for this step."""
    missing: str
    """What is still missing for the proof, in words for a person; empty when all is proven."""
    scrapes: int
    """Informative scrapes since the step began."""
    requests_needed: int | None
    eta_seconds: float | None
    blind: str
    """Why nothing can be seen (Prometheus away, target not sampled, series missing), or empty."""
    blind_for_seconds: float
    idle: bool
    """The route has had no request at all for idle_seconds."""
    candidate_requests: int
    """Since the rollout began."""
    stable_requests: int
    step_candidate_requests: int
    step_stable_requests: int
    next_look_seconds: float
    """When a new sample is due."""
