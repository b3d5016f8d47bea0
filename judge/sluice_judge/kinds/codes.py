"""failureRatio, source Gateway: the share of requests that the gateway answered with some response codes.

A request that breaks off after its answer began has a good code already, and a call none at all: it is a failure of the
server, counted when it breaks off, which may be scrapes after the request was.
"""

from dataclasses import dataclass
from typing import Final, Self

from sluice_judge import columns, objectives
from sluice_judge.columns import GRPC, Amounts
from sluice_judge.kind import Kind, OwnSeries, WatchBounds
from sluice_judge.model import Trial
from sluice_judge.objectives import Rules
from sluice_judge.schema.model import fraction
from sluice_judge.schema.objectives import Events, FailureRatio, Objective, Source

_GRPC_EVENTS: Final = {
    # UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    Events.SERVER_ERRORS: frozenset(f"{GRPC}{status}" for status in (2, 4, 8, 12, 13, 14, 15)),
    # INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE,
    # UNAUTHENTICATED. CANCELLED (1) is nobody's failure.
    Events.CLIENT_ERRORS: frozenset(f"{GRPC}{status}" for status in (3, 5, 6, 7, 9, 10, 11, 16)),
}
_CODE_CLASS: Final = {Events.SERVER_ERRORS: "5", Events.CLIENT_ERRORS: "4"}


def events(amounts: Amounts, which: Events) -> float:
    """How many of an arm's requests through the gateway were such events."""
    codes, statuses = _CODE_CLASS[which], _GRPC_EVENTS[which]
    answered = sum(amount for code, amount in amounts.items() if code.startswith(codes) or code in statuses)
    return answered + (columns.broken(amounts) if which is Events.SERVER_ERRORS else 0.0)


@dataclass(frozen=True, slots=True)
class ResponseCodes(Kind):
    """Errors of the server, or rejections. Counts in the gateway's requests."""

    ratio: FailureRatio
    which: Events

    @classmethod
    def of(cls, objective: Objective) -> Self | None:
        ratio = objective.failure_ratio
        if ratio is None or ratio.source is not Source.GATEWAY or ratio.events is None:
            return None
        return cls(objective, ratio, ratio.events)

    @property
    def counts_refusals(self) -> bool:
        return self.which is Events.CLIENT_ERRORS

    @property
    def counts_broken_answers(self) -> bool:
        return self.which is Events.SERVER_ERRORS

    @property
    def judged_on_copies(self) -> bool:
        return self.which is Events.SERVER_ERRORS

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        return columns.requests(amounts), events(amounts, self.which)

    @property
    def watched(self) -> WatchBounds:
        bounds = (self.ratio.ignore_below, self.ratio.maximum)
        return WatchBounds(str(self.which), *(None if share is None else fraction(share) for share in bounds))

    def own_series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        """Servers count failures, and not why they refuse."""
        own = trial.own
        if self.which is not Events.SERVER_ERRORS or not (own.requests and own.failures):
            return ()
        return (
            OwnSeries("requests", own.requests, columns.TOTAL),
            OwnSeries("failures", own.failures, columns.EVENTS),
        )

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        return objectives.failure_rules(self.ratio)  # pyright: ignore[reportArgumentType]  # frozen, so it has a hash

    def columns_of(self, requests: float, events: float) -> dict[str, float]:
        """A request that breaks off was written down before as a good one: its 200 stays."""
        if self.which is Events.SERVER_ERRORS:
            return {"200": requests, columns.BROKEN: events}
        return {"200": requests - events, "400": events}


KIND: Final = ResponseCodes
