"""What counts as a request and as an event."""

from collections.abc import Mapping

import pytest

from sluice.api.v1alpha1.common import Events, FailureRatio, Goal, Latency, Objective, Source
from sluice.core.judge import columns

SERVER = Objective(name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, maximum="1%"))
CLIENT = Objective(name="rejections", failure_ratio=FailureRatio(events=Events.CLIENT_ERRORS, maximum="1%"))
QUERY = Objective(
    name="clicks",
    failure_ratio=FailureRatio(
        source=Source.QUERY,
        goal=Goal.HIGHER,
        total='users{r="{{revision}}"}',
        successes='clicked{r="{{revision}}"}',
        relative_tolerance="10%",
    ),
)
SLOW = Objective(name="latency", latency=Latency(percentile=95, maximum_millis=50))
HTTP = {"200": 90.0, "400": 3.0, "404": 1.0, "500": 2.0, "503": 4.0}


@pytest.mark.parametrize(
    ("objective", "amounts", "boundary", "want"),
    [
        pytest.param(SERVER, HTTP, None, (100, 6), id="5xx"),
        pytest.param(CLIENT, HTTP, None, (100, 4), id="4xx"),
        pytest.param(SERVER, {**HTTP, "grpc-0": 50.0, "grpc-14": 5.0}, None, (155, 11), id="HTTP and gRPC add up"),
        pytest.param(SLOW, {"50": 80.0, "inf": 100.0}, "50", (100, 20), id="slower than the boundary"),
        pytest.param(SLOW, {"inf": 7.0}, "50", (7, 7), id="no bucket below: all slower"),
        pytest.param(QUERY, {"total": 40.0, "events": 3.0}, None, (40, 3), id="query"),
        pytest.param(
            QUERY, {"total@a": 40.0, "events@a": 3.0, "total@b": 2.0}, None, (42, 3), id="query, pods told apart"
        ),
        pytest.param(QUERY, {}, None, (0, 0), id="nothing"),
    ],
)
def test_requests_and_events(
    objective: Objective, amounts: Mapping[str, float], boundary: str | None, want: tuple[float, float]
) -> None:
    assert columns.requests_and_events(objective, amounts, boundary) == want


@pytest.mark.parametrize("status", range(17))
def test_every_grpc_status_is_the_servers_the_callers_or_nobodys(status: int) -> None:
    amounts = {f"grpc-{status}": 1.0}
    server = columns.requests_and_events(SERVER, amounts, None)
    client = columns.requests_and_events(CLIENT, amounts, None)

    assert (server[0], client[0]) == (1, 1)
    assert server[1] == (status in (2, 4, 8, 12, 13, 14, 15))
    assert client[1] == (status in (3, 5, 6, 7, 9, 10, 11, 16))


@pytest.mark.parametrize(
    ("text", "pattern", "want"),
    [
        ("envoy_cluster_grpc_14", r"(\d+)$", "grpc-14"),
        ("0", r"(\d+)$", "grpc-0"),
        ("envoy_cluster_grpc_request_message_count", r"(\d+)$", ""),
    ],
)
def test_grpc_status(text: str, pattern: str, want: str) -> None:
    assert columns.grpc_status(text, pattern) == want


def test_by_pod() -> None:
    assert columns.by_pod({"total@a": 4.0, "events@a": 1.0, "total@b": 2.0, "total": 9.0}) == {
        "a": {"total": 4.0, "events": 1.0},
        "b": {"total": 2.0},
    }
