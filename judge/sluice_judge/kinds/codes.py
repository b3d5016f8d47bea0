"""failureRatio, source Gateway: the share of requests that the gateway answered with some response codes.

A request that breaks off after its answer began already has a good code, and a call has none: it is a failure of the
server, counted when it breaks off, maybe several scrapes after the request.
"""

from dataclasses import dataclass

from sluice_judge.kind import Counting, Kind, OwnPods, OwnSeries, Traits, WatchBounds
from sluice_judge.kinds.query import FailureTests
from sluice_judge.model import Trial
from sluice_judge.samples import columns
from sluice_judge.samples.columns import Amounts
from sluice_judge.schema.model import fraction
from sluice_judge.schema.objectives import Events, Objective, Source


def of(objective: Objective) -> Kind | None:
    """Errors of the server, or rejections."""
    ratio = objective.failure_ratio
    if ratio is None or ratio.source is not Source.GATEWAY or ratio.events is None:
        return None
    by_server = ratio.events is Events.SERVER_ERRORS
    bounds = (None if share is None else fraction(share) for share in (ratio.ignore_below, ratio.maximum))
    return Kind(
        objective,
        counting=ResponseCodes(ratio.events),
        tests=FailureTests(ratio),
        traits=Traits(counts_refusals=not by_server, counts_broken_answers=by_server, judged_on_copies=by_server),
        own=CountedFailures() if by_server else OwnPods(),
        watch=WatchBounds(str(ratio.events), *bounds),
    )


@dataclass(frozen=True, slots=True)
class ResponseCodes(Counting):
    """Counts in the gateway's requests."""

    which: Events

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        return columns.requests(amounts), columns.failures(amounts, self.which)

    def columns_of(self, requests: float, events: float) -> dict[str, float]:
        """A request that breaks off was recorded before as a good one: its 200 stays."""
        if self.which is Events.SERVER_ERRORS:
            return {"200": requests, columns.BROKEN: events}
        return {"200": requests - events, "400": events}


@dataclass(frozen=True, slots=True)
class CountedFailures(OwnPods):
    """Servers count failures, but not why they refuse."""

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        own = trial.servers.own
        if not (own.requests and own.failures):
            return ()
        return (
            OwnSeries("requests", own.requests, columns.TOTAL),
            OwnSeries("failures", own.failures, columns.EVENTS),
        )
