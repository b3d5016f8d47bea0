"""Objectives on the gateway's response codes."""

import pytest

from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.samples.columns import Amounts
from sluice_judge.schema.objectives import Events, FailureRatio, Objective

SERVER = kind_of(Objective(name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, maximum="1%")))
CLIENT = kind_of(Objective(name="rejections", failure_ratio=FailureRatio(events=Events.CLIENT_ERRORS, maximum="1%")))
HTTP = {"200": 90.0, "400": 3.0, "404": 1.0, "500": 2.0, "503": 4.0}


@pytest.mark.parametrize(
    ("kind", "amounts", "want"),
    [
        pytest.param(SERVER, HTTP, (100, 6), id="5xx"),
        pytest.param(CLIENT, HTTP, (100, 4), id="4xx"),
        pytest.param(SERVER, {**HTTP, "grpc-0": 50.0, "grpc-14": 5.0}, (155, 11), id="HTTP and gRPC add up"),
        pytest.param(SERVER, {}, (0, 0), id="nothing"),
        pytest.param(SERVER, {"200": 21.0, "broken-502": 20.0}, (21, 20), id="streams that the server cut"),
        pytest.param(SERVER, {"504": 3.0, "broken-504": 3.0}, (3, 3), id="a time-out before the answer counts once"),
        pytest.param(SERVER, {"200": 9.0, "504": 3.0, "broken-504": 5.0}, (12, 5), id="time-outs before it and in it"),
        pytest.param(SERVER, {"200": 9.0, "502": 4.0, "broken-502": 1.0}, (13, 4), id="a 502 of the server's own"),
        pytest.param(SERVER, {"200": 9.0, "503": 4.0, "broken-502": 2.0}, (13, 6), id="refused, and cut"),
        pytest.param(SERVER, {"broken-504": 2.0}, (0, 2), id="streams that began before this scrape"),
        pytest.param(SERVER, {"200": 9.0, "broken-": 2.0}, (9, 2), id="broken alone, whatever the codes are"),
        pytest.param(SERVER, {"grpc-0": 9.0, "broken-grpc-14": 2.0}, (11, 2), id="a call that broke has no status"),
        pytest.param(SERVER, {"grpc-14": 3.0, "broken-grpc-14": 3.0}, (3, 3), id="a call that never got through"),
        pytest.param(CLIENT, {"200": 9.0, "404": 1.0, "broken-504": 2.0}, (10, 1), id="nobody's rejection"),
    ],
)
def test_requests_and_events(kind: Kind, amounts: Amounts, want: tuple[float, float]) -> None:
    assert kind.counting.requests_and_events(amounts, None) == want


@pytest.mark.parametrize("status", range(17))
def test_every_grpc_status_is_the_servers_the_callers_or_nobodys(status: int) -> None:
    amounts = {f"grpc-{status}": 1.0}
    server, client = (kind.counting.requests_and_events(amounts, None) for kind in (SERVER, CLIENT))

    assert (server[0], client[0]) == (1, 1)
    assert server[1] == (status in (2, 4, 8, 12, 13, 14, 15))
    assert client[1] == (status in (3, 5, 6, 7, 9, 10, 11, 16))


@pytest.mark.parametrize("kind", [SERVER, CLIENT])
def test_written_counters_are_read_again_and_never_fall(kind: Kind) -> None:
    """The second time, three of the first ten requests have become events, and there is no new one."""
    before, after = kind.counting.columns_of(10, 0), kind.counting.columns_of(10, 3)
    assert kind.counting.requests_and_events(before, None) == (10, 0)
    assert kind.counting.requests_and_events(after, None) == (10, 3)
    if kind is SERVER:
        assert all(after[column] >= amount for column, amount in before.items())


def test_only_failures_of_the_server_are_judged_on_copies() -> None:
    assert (SERVER.traits.judged_on_copies, CLIENT.traits.judged_on_copies) == (True, False)


def test_only_client_errors_are_requests_that_a_server_refuses() -> None:
    unknown = kind_of(Objective(name="later"))
    assert [kind.traits.counts_refusals for kind in (SERVER, CLIENT, unknown)] == [False, True, False]
