"""throughput: the share of requests that get fewer output tokens a second than a boundary of the server's histogram.

A request's tokens a second follow from the mean time between them, so the server's histogram of these times
(TimePerOutputToken) is judged, with the tests of any latency:

    at least 20 tokens/s for 95 % of the requests      =      at most 50 ms a token for 95 % of them
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from sluice_judge.kind import Kind, Words
from sluice_judge.kinds import servertimes
from sluice_judge.schema.objectives import Latency, Objective, Source, Throughput

MEASURE: Final = "TimePerOutputToken"
_MILLIS: Final = 1000


def of(objective: Objective) -> Kind | None:
    """Fewer tokens a second mean more time for each."""
    wanted = objective.throughput
    if wanted is None:
        return None
    return replace(servertimes.judged(objective, _limits(wanted), MEASURE), words=TokensPerSecond())


@dataclass(frozen=True, slots=True)
class TokensPerSecond(Words):
    """A boundary as its reciprocal."""

    def event(self, boundary: str | None) -> str:
        slowest = float(boundary or 0)
        return f"below {_MILLIS / slowest:.3g} tokens/s" if slowest > 0 else "below ? tokens/s"


def _limits(wanted: Throughput) -> Latency:
    least = wanted.minimum_tokens_per_second
    return Latency(
        source=Source.SERVER,
        measure=MEASURE,
        percentile=wanted.percentile,
        maximum_millis=None if least is None else math.ceil(_MILLIS / least),
        relative_tolerance=wanted.relative_tolerance,
        ignore_below=wanted.ignore_below,
    )
