"""The judge's verdict, and each objective's reasons."""

from enum import StrEnum

from pydantic import Field

from sluice_judge.schema.model import ApiModel


class Verdict(StrEnum):
    """The judge's verdict."""

    ADVANCE = "Advance"
    ROLL_BACK = "RollBack"
    WAIT = "Wait"
    BLIND = "Blind"
    PROBE = "Probe"
    """There is evidence against the candidate with all requests: stable gets some again, to compare them anew."""


class ArmCounts(ApiModel):
    """Counts of one arm since the rollout began."""

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
    bin: str | None = None
    """The bin that moved most, for distributions: its answers are the `failures` of both versions."""
    stable: ArmCounts = Field(default_factory=ArmCounts)
    candidate: ArmCounts = Field(default_factory=ArmCounts)
    ratio: str | None = None
    """Candidate's failure ratio over the stable version's."""
    ratio_low: str | None = None
    ratio_high: str | None = None
    rollback_log10: str | None = None
    """Evidence that the candidate is worse, as log10: this objective's share of the combined evidence."""
    rollback_threshold_log10: str | None = None
    advance_log10: str | None = None
    """Evidence since the step began that the candidate is good, as log10."""
    advance_threshold_log10: str | None = None
    proven: bool = False
    """Whether this step has its proof."""
    requests_needed: int | None = None
    """Candidate requests still needed for the proof, if that can be estimated."""
    message: str = ""
    unseen: str = ""
    """What its counters cannot show, such as the swings of single pods, and why; evidence then rests on
    initialDispersion.
    """
