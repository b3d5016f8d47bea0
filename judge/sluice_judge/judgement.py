"""The results of the judge."""

from dataclasses import dataclass
from typing import Final

from sluice_judge import timestamps
from sluice_judge.grounds import Ground
from sluice_judge.model import Counted, PlannedStep
from sluice_judge.schema.verdict import ObjectiveStatus
from sluice_judge.stats.planning import MINIMUM_SCRAPES

IDLE_BAKE_REQUESTS: Final = 500
"""A bake after a step without requests lasts until the candidate has answered this many."""


@dataclass(frozen=True, slots=True)
class Separation:
    """An arm's business metric, compared with the stable version's."""

    verdict: str
    """Better, Worse, or empty while the confidence sequence contains 1."""
    ratio: float | None
    low: float | None
    """Confidence sequence of the ratio of the two rates; None while it is open on this side."""
    high: float | None
    users: int
    """Users counted on the arm."""
    stable_users: int


@dataclass(frozen=True, slots=True)
class Accusation:
    """The evidence against the candidate."""

    rollback_log: float
    """Combined rollback evidence, natural logarithm."""
    threshold_log: float
    """ln(1/alpha): the threshold of a rollback."""
    bake_log: float
    """Evidence against the candidate in the bake alone (for superseding in it), natural logarithm; 0 before it."""
    ground: Ground
    """The decisive objective's ground: worse, or over a limit that the stable version keeps."""
    decisive: str
    """Name of the objective with the most rollback evidence, with its counts, in words for a person."""
    doubt: str = ""
    """Evidence against the candidate, in words for a person, while it may still be chance; or empty."""
    asks: str = ""
    """Evidence against a candidate that has all requests, in words for a person, if the stable version is to be probed;
    or empty."""
    refuses: str = ""
    """That the candidate, unlike the stable version, refuses nearly every request, in words for a person; or empty."""
    bad_pod: str = ""
    """The pod without which the candidate would be good: to be replaced once instead of rolling back."""

    @property
    def against(self) -> tuple[Ground, str] | None:
        """Why the candidate must be rolled back, in words for a person; None if the evidence is not sufficient."""
        if self.rollback_log >= self.threshold_log:
            return self.ground, self.decisive
        return (Ground.REFUSES_REQUESTS, self.refuses) if self.refuses else None

    @property
    def clean(self) -> bool:
        """Whether there is next to no evidence against the candidate in the bake."""
        return self.against is None and self.bake_log < self.threshold_log / 2


@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence for the candidate, and what is still missing."""

    complete: bool
    """Every required objective has its proof for this step."""
    missing: str
    """What is still missing for the proof, in words for a person; empty if all is proven."""
    requests_needed: int | None
    eta_seconds: float | None
    ahead: tuple[PlannedStep, ...] = ()
    """The expected needs of later steps, from what is seen in this one; empty if they cannot be estimated anew."""
    baked: bool = False
    """Whether the bake has shown that its version is good, and still sees: every required objective that it watches has
    its proof, and it watches one."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether anything can be seen, and whether there are requests."""

    blind: str = ""
    """Why nothing can be seen (Prometheus unavailable, target not sampled, series missing), or empty."""
    blind_for_seconds: float = 0.0
    idle_since: float | None = None
    """Time since which no counter has moved, the gateway's or an objective's, if that is at least the trial's
    idle_seconds; None otherwise."""
    active: float | None = None
    """Time of the last scrape in which a counter had moved; None before the first."""
    looked: bool = True
    """Whether Prometheus was queried; otherwise this is the last look's."""

    @property
    def idle(self) -> bool:
        """Whether the model has no requests at all."""
        return self.idle_since is not None


@dataclass(frozen=True, slots=True)
class CountedRequests:
    """Requests since the rollout began, and in its step."""

    candidate: int
    stable: int
    step_candidate: int
    step_stable: int
    scrapes: int
    """Informative scrapes since the step began."""


@dataclass(frozen=True, slots=True)
class NextState:
    """The state for the next look."""

    text: str
    """For ModelRollout.status.state; equal to the old one if nothing new was seen."""
    counts_only: bool = False
    """Whether only counters have increased since the written state, for less than `carried.COUNTED_SECONDS`, with hardly
    any evidence against the candidate: the next look can count this again from there."""
    learnt: str | None = None
    """What the first look has learnt, for ModelRollout.status.learnt; None at later ones."""
    counted: Counted | None = None
    """What the next look continues from until `text` is written, so that it need not count again; None if nothing was
    counted."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judge's results; the gates turn them into a verdict."""

    objectives: tuple[ObjectiveStatus, ...]
    accusation: Accusation
    proof: Proof
    sight: Sight
    requests: CountedRequests
    next_state: NextState
    next_look_seconds: float
    """When a new sample is due."""
    split_mismatch: str = ""
    """How the requests' split differs from the configured one, if the evidence says so; or empty."""
    separation: Separation | None = None
    """In an A/B test: its metric's result."""

    @property
    def proven(self) -> bool:
        """Whether everything that must be proven now is, by enough scrapes."""
        return self.proof.complete and self.requests.scrapes >= MINIMUM_SCRAPES

    def unseen(self, *, idle: bool, bake_end: float, bake_seconds: float, scrape_seconds: float) -> str:
        """What a bake that ends has not seen, in words for a person, or empty: time alone shows nothing.

        idle: whether a step was advanced because there were no requests. bake_end: seconds since the epoch.
        """
        if idle and self.requests.step_candidate < IDLE_BAKE_REQUESTS:
            return f"{self.requests.step_candidate} of {IDLE_BAKE_REQUESTS} requests"
        if self.requests.scrapes < MINIMUM_SCRAPES:
            return f"{self.requests.scrapes} of {MINIMUM_SCRAPES} scrapes with requests"
        active, lately = self.sight.active, bake_end - max(bake_seconds / 2, 2 * scrape_seconds)
        return f"no request since {timestamps.rfc3339(active)}" if active is not None and active < lately else ""

    @property
    def passes_on(self) -> bool:
        """Whether a bake that is superseded makes its version the stable one."""
        return self.proof.baked and not self.sight.blind and self.accusation.clean
