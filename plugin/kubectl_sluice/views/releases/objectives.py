"""Objectives with their counts and their evidence on the way to both thresholds."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from sluice_core.views import words
from sluice_judge.schema.objectives import Objective
from sluice_judge.schema.verdict import ArmCounts, ObjectiveStatus

if TYPE_CHECKING:
    from sluice_judge.kind import Kind  # imports the whole judge, which a model at rest does not need


ACCUSING_LOG10: Final = math.log10(2)
"""As in the judge (`report.ACCUSING_LOG`)."""


class ArmView(NamedTuple):
    """The counts of one side."""

    requests: int
    counted: int
    ratio: str
    """counted / requests in percent, or a dash without requests."""


class EvidenceView(NamedTuple):
    """Evidence on its way to a threshold, both as log10."""

    log10: float
    threshold_log10: float

    @property
    def fraction(self) -> float:
        """From 0 (none) to 1 (enough); evidence below 0 points the other way and counts as none."""
        if self.threshold_log10 <= 0:
            return 1.0
        return min(max(self.log10 / self.threshold_log10, 0.0), 1.0)

    @property
    def shown(self) -> str:
        """With two decimals, and without a sign before zero."""
        return f"{round(self.log10, 2) + 0.0:.2f}"

    @property
    def enough(self) -> bool:
        return self.log10 >= self.threshold_log10


class ObjectiveView(NamedTuple):
    """One objective, ready for display."""

    name: str
    counts: str
    """What is counted: `failures`, `successes`, or `slower than 50 ms`."""
    required: bool
    stable: ArmView
    candidate: ArmView
    ratio: str | None
    """Candidate's ratio over stable's."""
    ratio_low: str | None
    ratio_high: str | None
    roll_back: EvidenceView | None
    advance: EvidenceView | None
    proven: bool
    requests_needed: int | None
    message: str

    @property
    def comparison(self) -> str:
        """The ratio with its interval: `1.4x [0.6, 3.1]`, or a dash."""
        low, high = self.ratio_low, self.ratio_high
        interval = f"[{low or '0'}, {high or 'inf'}]" if low is not None or high is not None else ""
        return " ".join(part for part in (f"{self.ratio}x" if self.ratio else "", interval) if part) or "-"

    @property
    def state(self) -> str:
        """Its result, or what it waits for."""
        if self.roll_back is not None and self.roll_back.enough:
            return "worse"
        if self.proven:
            return "proven good"
        if not self.required:
            return "does not have to be proven"
        if self.requests_needed is None:
            accuses = self.roll_back is not None and self.roll_back.log10 >= ACCUSING_LOG10
            return "speaks against it" if accuses else "not proven"
        return f"needs {words.count(self.requests_needed)} more"


def objective_views(statuses: Iterable[ObjectiveStatus], rules: Iterable[Objective]) -> tuple[ObjectiveView, ...]:
    """The views of the results, by the objectives of the release."""
    found = tuple(statuses)
    kinds = {rule.name: kind for rule, kind in _kinds(rules)} if found else {}
    return tuple(_objective_view(status, kinds.get(status.name)) for status in found)


def against(views: Sequence[ObjectiveView]) -> str:
    """The strongest evidence against the candidate, with its counts, or empty: agrees with the judge's total."""
    judged = [(view.roll_back.log10, view) for view in views if view.roll_back is not None]
    if not judged or math.log10(math.fsum(10 ** min(log10, 300) for log10, _ in judged)) < ACCUSING_LOG10:
        return ""
    most = max(judged, key=lambda each: each[0])[1]
    ours, others = most.candidate, most.stable
    return f"{most.name} {ours.counted} of {ours.requests}, stable {others.counted} of {others.requests}"


def unwatched(rules: Sequence[Objective]) -> str:
    """What the objectives on the gateway's counts leave out, with a remedy; or empty."""
    found = [kind for _, kind in _kinds(rules)]
    if not any(kind.is_counted_by_gateway for kind in found) or any(kind.traits.counts_refusals for kind in found):
        return ""
    return (
        "no objective counts refused requests (4xx), so only a version that refuses nearly all is rolled back for them; "
        "add a failureRatio with events: ClientErrors to the policy"
    )


def _kinds(rules: Iterable[Objective]) -> "Iterator[tuple[Objective, Kind]]":
    from sluice_judge.kinds import kind_of

    return ((rule, kind_of(rule)) for rule in rules)


def _objective_view(status: ObjectiveStatus, kind: "Kind | None") -> ObjectiveView:
    return ObjectiveView(
        name=status.name,
        counts=kind.events(status.bin or status.boundary_millis) if kind is not None else "failures",
        required=status.required,
        stable=_arm(status.stable),
        candidate=_arm(status.candidate),
        ratio=status.ratio,
        ratio_low=status.ratio_low,
        ratio_high=status.ratio_high,
        roll_back=_evidence(status.rollback_log10, status.rollback_threshold_log10),
        advance=_evidence(status.advance_log10, status.advance_threshold_log10),
        proven=status.proven,
        requests_needed=status.requests_needed,
        message=status.message,
    )


def _arm(counts: ArmCounts) -> ArmView:
    return ArmView(counts.requests, counts.failures, counts.ratio or words.percentage(counts.failures, counts.requests))


def _evidence(log10: str | None, threshold_log10: str | None) -> EvidenceView | None:
    """None where there is no such evidence: an objective without a limit never proves, for example."""
    if log10 is None or threshold_log10 is None:
        return None
    return EvidenceView(float(log10), float(threshold_log10))
