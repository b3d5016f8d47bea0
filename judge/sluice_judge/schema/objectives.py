"""The objectives of a RolloutPolicy."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from sluice_judge.schema import promql
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Name, PositivePercent, TolerancePercent


class Goal(StrEnum):
    """Whether fewer or more of the counted events are better."""

    LOWER = "Lower"
    HIGHER = "Higher"


class Source(StrEnum):
    GATEWAY = "Gateway"
    QUERY = "Query"
    SERVER = "Server"


class Events(StrEnum):
    SERVER_ERRORS = "ServerErrors"
    CLIENT_ERRORS = "ClientErrors"
    BROKEN_STREAMS = "BrokenStreams"


Selector = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Cel(f"self.matches(r'{promql.SELECTOR}')", message=promql.NO_SELECTOR),
    Cel(f"self.matches(r'{promql.OF_ONE_REVISION}')", message=promql.NO_REVISION),
]
"""A Prometheus series selector of a raw counter that distinguishes revisions."""


HistogramName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
"""The name by which objectives refer to a model server's histogram."""


class FailureRatio(ApiModel):
    """A share of counted failures among counted requests, from raw counters."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.source == 'Query' ? (has(self.total) && !has(self.events)) : "
            "(!has(self.total) && !has(self.failures) && !has(self.successes) && has(self.events))",
            message="source Query needs total and failures or successes (and no events); sources Gateway and Server need "
            "events (and none of total, failures and successes)",
        ),
        Cel(
            "(has(self.events) && self.events == 'BrokenStreams') == (self.source == 'Server')",
            message="events BrokenStreams and source Server go together: only the server knows which streams it broke, and "
            "other events are counted by the gateway",
        ),
        Cel(
            "self.source != 'Query' ? self.goal == 'Lower' : "
            "(self.goal == 'Higher' ? has(self.successes) && !has(self.failures) : "
            "has(self.failures) && !has(self.successes))",
            message="goal Lower counts failures; goal Higher counts successes and needs source Query",
        ),
        Cel(
            "self.goal == 'Lower' || (has(self.relativeTolerance) && !has(self.maximum) && !has(self.ignoreBelow))",
            message="goal Higher is judged relative to the stable version: set relativeTolerance, and neither maximum "
            "nor ignoreBelow",
        ),
        Cel(
            "self.goal == 'Lower' || !has(self.relativeTolerance) "
            "|| (double(self.relativeTolerance.replace('%', '')) > 0.0 "
            "&& double(self.relativeTolerance.replace('%', '')) < 50.0)",
            message="relativeTolerance must be more than 0% and below 50% with goal Higher: a step is proven at twice "
            "the tolerance, where an equally good version must have room, and a version without successes must not",
        ),
        Cel(
            "has(self.maximum) || has(self.ignoreBelow) || has(self.relativeTolerance)",
            message="set at least one of maximum, ignoreBelow and relativeTolerance",
        ),
        Cel(
            "!has(self.maximum) || !has(self.ignoreBelow) || "
            "double(self.ignoreBelow.replace('%', '')) <= double(self.maximum.replace('%', ''))",
            message="ignoreBelow must not be above maximum",
        ),
    )

    source: Source = Source.GATEWAY
    """Where the counters come from: the gateway's own series (Gateway), the model server's, as its ServingRuntime maps
    them (Server), or your series selectors (Query)."""
    events: Events | None = None
    """What counts as a failure. With source Gateway: ServerErrors (5xx and gateway-made, answers that break off, or the
    grpc-status of a server's failure) or ClientErrors (4xx, or the grpc-status of a caller's mistake). With source Server:
    BrokenStreams (streams that the server broke, above all by an error event inside a 200)."""
    goal: Goal = Goal.LOWER
    """Lower: `failures` should be few. Higher: `successes` (clicks, purchases, correct answers) should be many."""
    total: Selector | None = None
    """Selector of the raw counter of all requests, such as `feedback_total{revision="{{revision}}"}`; `{{revision}}`,
    `{{namespace}}` and `{{name}}` are replaced, and only series of the model's namespace count."""
    failures: Selector | None = None
    """Selector of the raw counter of failures; must count a subset of `total`."""
    successes: Selector | None = None
    """Selector of the raw counter of successes, with goal Higher; must count a subset of `total`."""
    maximum: PositivePercent | None = None
    """The highest acceptable failure ratio."""
    ignore_below: PositivePercent | None = None
    """Ratios below this are negligible: they never roll back, and proof of them advances."""
    relative_tolerance: TolerancePercent | None = None
    """How much worse than the stable version is still acceptable, relative to its ratio."""


NEGLIGIBLE_IS_ALLOWED: Final = Cel(
    "!has(self.ignoreBelow) || !has(self.percentile) || "
    "double(self.ignoreBelow.replace('%', '')) + double(self.percentile) <= 100.0",
    message="ignoreBelow must not be above the share that percentile allows, such as 5% for 95",
    field_path=".ignoreBelow",
)


class Latency(ApiModel):
    """Response times, judged on the share of requests slower than a histogram boundary."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.measure) == (self.source == 'Server')",
            message="source Server needs measure, such as TimeToFirstToken; source Gateway has none",
            field_path=".measure",
        ),
        Cel(
            "has(self.maximumMillis) || has(self.relativeTolerance)",
            message="set maximumMillis (with percentile) or relativeTolerance",
        ),
        Cel(
            "has(self.maximumMillis) == has(self.percentile)",
            message="percentile and maximumMillis go together",
        ),
        Cel(
            "!has(self.ignoreBelow) || has(self.relativeTolerance)",
            message="ignoreBelow belongs to relativeTolerance; maximumMillis alone does not need it",
            field_path=".ignoreBelow",
        ),
        NEGLIGIBLE_IS_ALLOWED,
    )

    source: Literal[Source.GATEWAY, Source.SERVER] = Source.GATEWAY
    """Where the histogram comes from: the gateway, or the model server, as its ServingRuntime maps it."""
    measure: HistogramName | None = None
    """With source Server: the server's histogram, by its name in ServingRuntime.spec.metrics.histograms, such as
    TimeToFirstToken, InterTokenLatency or EndToEnd."""
    percentile: Annotated[int, Field(ge=50, le=99)] | None = None
    """The percentile that `maximumMillis` refers to."""
    maximum_millis: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """The highest acceptable latency at `percentile`, in milliseconds."""
    relative_tolerance: TolerancePercent | None = None
    """How much larger than the stable version's the share of slow requests may be."""
    ignore_below_millis: Annotated[int, Field(ge=0, le=3_600_000)] | None = None
    """Boundaries below this many milliseconds are ignored."""
    ignore_below: PositivePercent | None = None
    """Shares of requests over a boundary that are smaller than this are negligible, at each boundary: they never roll
    back, and proof of them advances. Without it nothing is negligible for a rollback; for a proof it is the share that
    `percentile` leaves, or 5 %."""


class Throughput(ApiModel):
    """Output tokens a second of a request, where more are better: judged on the share of requests that get fewer."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.minimumTokensPerSecond) || has(self.relativeTolerance)",
            message="set minimumTokensPerSecond (with percentile) or relativeTolerance",
        ),
        Cel(
            "has(self.minimumTokensPerSecond) == has(self.percentile)",
            message="percentile and minimumTokensPerSecond go together",
        ),
        Cel(
            "!has(self.ignoreBelow) || has(self.relativeTolerance)",
            message="ignoreBelow belongs to relativeTolerance; minimumTokensPerSecond alone does not need it",
            field_path=".ignoreBelow",
        ),
        NEGLIGIBLE_IS_ALLOWED,
    )

    percentile: Annotated[int, Field(ge=50, le=99)] | None = None
    """The percentage of requests that must get `minimumTokensPerSecond`."""
    minimum_tokens_per_second: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The lowest acceptable number of output tokens a second for a request."""
    relative_tolerance: TolerancePercent | None = None
    """How much larger than the stable version's the share of requests with fewer tokens a second may be."""
    ignore_below: PositivePercent | None = None
    """Shares of requests smaller than this are negligible, at each boundary: they never roll back, and proof of them
    advances."""


class CacheReuse(ApiModel):
    """How much of its prompts a language model's server finds in its prefix cache: judged on the share of requests that
    compute more tokens than a boundary of its histogram of computed tokens, where caches are alike."""

    relative_tolerance: TolerancePercent = "50%"
    """How much larger than the stable version's the share of requests that compute more may be."""
    ignore_below_tokens: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Boundaries below this many tokens are ignored."""
    ignore_below: PositivePercent = "5%"
    """Shares of requests smaller than this are negligible, at each boundary: they never roll back, and proof of them
    advances."""


class Distribution(ApiModel):
    """A version's answers: the share of each bin, such as a predicted class, must be about the stable version's."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "double(self.relativeTolerance.replace('%', '')) > 0.0 "
            "&& double(self.relativeTolerance.replace('%', '')) < 50.0",
            message="relativeTolerance must be more than 0% and below 50%: a step is proven at twice the tolerance, where "
            "an equal version must have room, and one without the bin must not",
            field_path=".relativeTolerance",
        ),
    )

    bins: Selector
    """Selector of the raw counters by bin, such as `predictions_total{revision="{{revision}}"}`: each answer counts in one
    bin. Only series of the model's namespace count."""
    label: Annotated[str, Field(max_length=63, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] = "bin"
    """The label that names the bin."""
    relative_tolerance: TolerancePercent = "25%"
    """How far a bin's share may be from the stable version's, up or down, relative to it."""
    ignore_below: PositivePercent = "5%"
    """Bins with smaller shares are judged together, and only for becoming more than this. At most 16 bins are judged
    separately."""


class Objective(ApiModel):
    """One thing that must stay good during a release."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "(has(self.failureRatio) ? 1 : 0) + (has(self.latency) ? 1 : 0) + (has(self.throughput) ? 1 : 0) + "
            "(has(self.distribution) ? 1 : 0) + (has(self.cacheReuse) ? 1 : 0) == 1",
            message="set exactly one of failureRatio, latency, throughput, distribution and cacheReuse",
        ),
        Cel(
            "!has(self.failureRatio) || !self.required || self.failureRatio.goal == 'Higher' "
            "|| has(self.failureRatio.maximum) || has(self.failureRatio.ignoreBelow)",
            message="a required failureRatio needs maximum or ignoreBelow: with relativeTolerance alone "
            "nothing can be proven when no failure happens; add one of them or set required: false",
        ),
    )

    name: Name
    """Its name in status, events and metrics."""
    required: bool = True
    """Whether a step needs proof of this objective; if false, it can roll back, but does not have to be proven."""
    failure_ratio: FailureRatio | None = None
    """Judge a share of failures."""
    latency: Latency | None = None
    """Judge response times."""
    throughput: Throughput | None = None
    """Judge output tokens a second, by the model server's histogram TimePerOutputToken."""
    distribution: Distribution | None = None
    """Judge the distribution of answers."""
    cache_reuse: CacheReuse | None = None
    """Judge how much of its prompts the server finds in its prefix cache."""


Objectives = Annotated[
    list[Objective],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]
