"""Kinds of objectives and a server's own metrics that the API server refuses or accepts. Rows as in `admission`."""

from typing import Final

from tests.support.cases.objects import Object, objective, runtime

OBJECTIVES: Final = "spec.objectives[0]"

REFUSED: Final[list[tuple[str, Object, str, str]]] = [
    (
        "objective of nothing",
        objective(),
        OBJECTIVES,
        "exactly one of failureRatio, latency, throughput, distribution and cacheReuse",
    ),
    (
        "objective of both",
        objective(failureRatio={"events": "ServerErrors", "maximum": "1%"}, latency={"relativeTolerance": "25%"}),
        OBJECTIVES,
        "exactly one of failureRatio, latency, throughput, distribution and cacheReuse",
    ),
    (
        "broken streams of the gateway",
        objective(failureRatio={"events": "BrokenStreams", "maximum": "1%"}),
        f"{OBJECTIVES}.failureRatio",
        "events BrokenStreams and source Server go together",
    ),
    (
        "server errors by the server",
        objective(failureRatio={"source": "Server", "events": "ServerErrors", "maximum": "1%"}),
        f"{OBJECTIVES}.failureRatio",
        "events BrokenStreams and source Server go together",
    ),
    (
        "the server's latency of nothing",
        objective(latency={"source": "Server", "relativeTolerance": "25%"}),
        f"{OBJECTIVES}.latency.measure",
        "source Server needs measure",
    ),
    (
        "a measure of the gateway",
        objective(latency={"measure": "TimeToFirstToken", "relativeTolerance": "25%"}),
        f"{OBJECTIVES}.latency.measure",
        "source Gateway has none",
    ),
    ("throughput of nothing", objective(throughput={}), f"{OBJECTIVES}.throughput", "set minimumTokensPerSecond"),
    (
        "tokens of nobody",
        objective(throughput={"minimumTokensPerSecond": 20}),
        f"{OBJECTIVES}.throughput",
        "percentile and minimumTokensPerSecond go together",
    ),
    (
        "a histogram of everybody's pods",
        runtime({"metrics": {"port": 1, "histograms": [{"name": "EndToEnd", "bucket": "seconds_bucket"}]}}),
        "spec.metrics.histograms[0].bucket",
        "must contain {{pods}}",
    ),
    (
        "streams, and nobody who breaks them",
        runtime({"metrics": {"port": 1, "streams": "streams_total{ {{pods}} }"}}),
        "spec.metrics",
        "streams and brokenStreams go together",
    ),
]

ACCEPTED: Final[list[tuple[str, Object]]] = [
    (
        "broken streams",
        objective(failureRatio={"source": "Server", "events": "BrokenStreams", "maximum": "1%"}),
    ),
    (
        "time to first token",
        objective(latency={"source": "Server", "measure": "TimeToFirstToken", "relativeTolerance": "25%"}),
    ),
    ("tokens a second", objective(throughput={"minimumTokensPerSecond": 20, "percentile": 95})),
    (
        "a server's histograms",
        runtime(
            {
                "metrics": {
                    "port": 8000,
                    "preset": "OpenTelemetryGenAI",
                    "histograms": [
                        {"name": "Mine", "bucket": "b{ {{pods}} }", "promptLabel": "p", "computedLabel": "c"}
                    ],
                    "computedTokens": "t{ {{pods}} }",
                    "streams": "s{ {{pods}} }",
                    "brokenStreams": 's{outcome="Broken", {{pods}} }',
                }
            }
        ),
    ),
]
