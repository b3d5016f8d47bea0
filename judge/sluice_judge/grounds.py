"""Why the judge says what it says, in the words that conditions and events use, too."""

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
