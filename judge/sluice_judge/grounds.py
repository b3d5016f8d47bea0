"""The judge's reasons, in the words that conditions and events also use."""

from enum import StrEnum


class Ground(StrEnum):
    """The ground of a verdict."""

    WORSE_THAN_STABLE = "WorseThanStable"
    OVER_LIMIT = "OverLimit"
    REFUSES_REQUESTS = "RefusesRequests"
    GATHERING_EVIDENCE = "GatheringEvidence"
    MINIMUM_TIME = "MinimumTime"
    PROVEN = "Proven"
    IDLE = "Idle"
    BAKING = "Baking"
    PROBING_STABLE = "ProbingStable"
    PROMOTED = "Promoted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
