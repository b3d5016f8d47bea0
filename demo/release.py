"""What is released, what is expected of it, and what was seen: plain data, and the reading of a ModelRollout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PROMOTED: Final = "Promoted"
ROLLED_BACK: Final = "RolledBack"


@dataclass(frozen=True, slots=True)
class Plan:
    """One release of the story. uri: of the model; decided_by: the objective that should bring it down, or empty; changes:
    further fields of the spec."""

    model: str
    story: str
    expected: str
    uri: str
    decided_by: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def patch(self) -> dict[str, Any]:
        """The patch of the ModelDeployment."""
        return {"spec": {"model": {"uri": self.uri}, **self.changes}}


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective's evidence at one moment; None where there is none yet. Evidence and thresholds are log10."""

    name: str
    stable: tuple[int, int]  # failures, requests
    candidate: tuple[int, int]
    rollback: float | None
    rollback_threshold: float | None
    advance: float | None
    advance_threshold: float | None

    @property
    def rollback_margin(self) -> float:
        return _difference(self.rollback, self.rollback_threshold)

    @property
    def advance_margin(self) -> float:
        return _difference(self.advance, self.advance_threshold)


@dataclass(frozen=True, slots=True)
class Observation:
    """A ModelRollout as it was at `time` (Unix seconds), beside what the load client had counted by then."""

    time: float
    model: str
    weight: int
    step: int
    verdict: str
    outcome: str
    reason: str
    message: str
    revision: str
    candidate_requests: int  # answers of the candidate since the release began, by the client's own count
    harmed_requests: int  # wrong or failed ones among them
    objectives: tuple[Objective, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One release as the summary tells it."""

    model: str
    story: str
    expected: str
    outcome: str
    seconds: float
    candidate_requests: int
    harmed_requests: int
    lost_requests: int
    model_failures: int
    decided_by: Objective | None
    expected_decision: str = ""

    @property
    def as_expected(self) -> bool:
        decided = self.decided_by.name if self.decided_by else ""
        right_objective = not self.expected_decision or decided == self.expected_decision
        return self.outcome == self.expected and right_objective and self.lost_requests == 0

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "expected": self.expected,
            "outcome": self.outcome,
            "asExpected": self.as_expected,
            "seconds": round(self.seconds, 1),
            "candidateRequests": self.candidate_requests,
            "harmedRequests": self.harmed_requests,
            "lostRequests": self.lost_requests,
            "modelFailures": self.model_failures,
            "decidedBy": decision_as_json(self.decided_by, self.outcome),
        }


def decision_as_json(objective: Objective | None, outcome: str) -> dict[str, Any] | None:
    if objective is None:
        return None
    promoted = outcome == PROMOTED
    return {
        "objective": objective.name,
        "stable": {"failures": objective.stable[0], "requests": objective.stable[1]},
        "candidate": {"failures": objective.candidate[0], "requests": objective.candidate[1]},
        "evidenceLog10": objective.advance if promoted else objective.rollback,
        "thresholdLog10": objective.advance_threshold if promoted else objective.rollback_threshold,
    }


def objectives_of(status: dict[str, Any]) -> tuple[Objective, ...]:
    """The objectives in a ModelRollout's status."""
    return tuple(
        Objective(
            name=str(entry["name"]),
            stable=_counts(entry.get("stable", {})),
            candidate=_counts(entry.get("candidate", {})),
            rollback=_number(entry.get("rollbackLog10")),
            rollback_threshold=_number(entry.get("rollbackThresholdLog10")),
            advance=_number(entry.get("advanceLog10")),
            advance_threshold=_number(entry.get("advanceThresholdLog10")),
        )
        for entry in status.get("objectives", [])
    )


def verdict_moment(observations: Sequence[Observation]) -> Observation | None:
    """When it was decided: the first sight of the outcome of a roll-back, or of weight 100 on the way to a promotion.

    The last observation where nothing was decided, and None where nothing was seen.
    """
    if not observations:
        return None
    promoted = observations[-1].outcome == PROMOTED
    decided = (seen for seen in observations if (seen.weight == 100 if promoted else seen.outcome))
    return next(decided, observations[-1])


def deciding_objective(observations: Sequence[Observation]) -> Objective | None:
    """The objective with the strongest evidence for a roll-back, or, of a promotion, the one that was proven last."""
    if observations and observations[-1].outcome == PROMOTED:
        before = [seen.objectives for seen in observations if seen.objectives and seen.weight < 100]
        return min(before[-1], key=lambda objective: objective.advance_margin) if before else None
    seen = next((seen.objectives for seen in reversed(observations) if seen.objectives), ())
    return max(seen, key=lambda objective: objective.rollback_margin, default=None)


def _counts(arm: dict[str, Any]) -> tuple[int, int]:
    return int(arm.get("failures", 0)), int(arm.get("requests", 0))


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _difference(value: float | None, threshold: float | None) -> float:
    return float("-inf") if value is None else value - (threshold or 0.0)
