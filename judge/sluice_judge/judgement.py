"""What comes out of the judge."""

from dataclasses import dataclass

from sluice_judge.grounds import Ground
from sluice_judge.model import Counted, PlannedStep
from sluice_judge.schema.verdict import ObjectiveStatus


@dataclass(frozen=True, slots=True)
class Separation:
    """What an arm's business metric says, against the stable version."""

    verdict: str
    """Better, Worse, or empty while the confidence sequence contains 1."""
    ratio: float | None
    low: float | None
    """Confidence sequence of the ratio of the two rates; None while it has no end on this side."""
    high: float | None
    users: int
    """Users counted on the arm."""
    stable_users: int


@dataclass(frozen=True, slots=True)
class Accusation:
    """What speaks against the candidate."""

    rollback_log: float
    """Combined rollback evidence, natural logarithm."""
    threshold_log: float
    """ln(1/alpha): what rolls back."""
    bake_log: float
    """What speaks against the candidate in the bake alone (for superseding in it), natural logarithm; 0 before it."""
    ground: Ground
    """What the decisive objective says of it: that it is worse, or over a limit that the stable version keeps."""
    decisive: str
    """Name of the objective with the most rollback evidence, with its counts, in words for a person."""
    doubt: str = ""
    """What speaks against the candidate, in words for a person, while it may be an accident yet; or empty."""
    asks: str = ""
    """What speaks against a candidate that has all requests, in words for a person, where the stable version is to be
    asked whether it does better; or empty."""
    refuses: str = ""
    """That the candidate, unlike the stable version, refuses nearly every request, in words for a person; or empty."""
    bad_pod: str = ""
    """The pod without which the candidate would be fine: to be replaced once instead of rolling back."""

    @property
    def against(self) -> tuple[Ground, str] | None:
        """Why the candidate has to go, with words for a person; None while what speaks against it is not enough."""
        if self.rollback_log >= self.threshold_log:
            return self.ground, self.decisive
        return (Ground.REFUSES_REQUESTS, self.refuses) if self.refuses else None

    @property
    def clean(self) -> bool:
        """Whether next to nothing speaks against the candidate in the bake."""
        return self.against is None and self.bake_log < self.threshold_log / 2


@dataclass(frozen=True, slots=True)
class Proof:
    """What speaks for the candidate, and what it needs yet."""

    complete: bool
    """Every required objective has its proof for this step."""
    missing: str
    """What is still missing for the proof, in words for a person; empty when all is proven."""
    requests_needed: int | None
    eta_seconds: float | None
    ahead: tuple[PlannedStep, ...] = ()
    """What the steps after this one need, by what is seen in it; empty where that cannot be told anew."""
    baked: bool = False
    """Whether the bake has shown that its version is good, and sees on: every required objective that it watches has its
    proof, and it watches one."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether anything can be seen, and whether there is anything to see."""

    blind: str = ""
    """Why nothing can be seen (Prometheus away, target not sampled, series missing), or empty."""
    blind_for_seconds: float = 0.0
    idle_since: float | None = None
    """Time since which no counter has moved, the gateway's or an objective's, if that is as long as the trial's
    idle_seconds; None otherwise."""
    looked: bool = True
    """Whether Prometheus was asked; otherwise it is what was seen at the last look."""

    @property
    def idle(self) -> bool:
        """Whether nobody asks for the model at all."""
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
    """What the next look goes on from."""

    text: str
    """Goes to ModelRollout.status.state; equal to the old one when nothing new was seen."""
    counts_only: bool = False
    """Whether nothing has happened since what is written but that counters went on, for less than
    `judge.COUNTED_SECONDS`, and hardly anything speaks against the candidate: the next look can count it again from
    there."""
    counted: Counted | None = None
    """What the next look goes on with until `text` is written, so that it does not have to count it again; None where
    nothing was counted."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counters say; the gates make a verdict of it."""

    objectives: tuple[ObjectiveStatus, ...]
    accusation: Accusation
    proof: Proof
    sight: Sight
    requests: CountedRequests
    next_state: NextState
    next_look_seconds: float
    """When a new sample is due."""
    split_mismatch: str = ""
    """How the requests are split against how they should be, when the evidence says that these differ; or empty."""
    separation: Separation | None = None
    """In an A/B test: what its metric says."""

    @property
    def passes_on(self) -> bool:
        """Whether a bake that is superseded makes its version the stable one."""
        return self.proof.baked and not self.sight.blind and self.accusation.clean
