"""How long the gateway waits: the model's own limits before those of its servers."""

import math

import pytest

from sluice_core.api.v1alpha1.routing import Routing, Timeouts
from sluice_core.render.traffic import timeouts


def routing(**fields: object) -> Routing:
    return Routing.model_validate(fields)


@pytest.mark.parametrize(
    ("name", "given", "server", "want"),
    [
        ("nobody says anything", routing(), None, {"request": "30s"}),
        ("the server's", routing(), Timeouts(request="10m"), {"request": "10m"}),
        (
            "the server's, both",
            routing(),
            Timeouts(request="10m", backend_request="9m"),
            {"request": "10m", "backendRequest": "9m"},
        ),
        ("the model's", routing(timeouts={"request": "1h30m"}), Timeouts(request="10m"), {"request": "1h30m"}),
        ("in seconds", routing(timeoutSeconds=7), Timeouts(request="10m"), {"request": "7s"}),
        (
            "the default in seconds says nothing",
            routing(timeoutSeconds=30),
            Timeouts(request="10m"),
            {"request": "10m"},
        ),
        ("no limit", routing(timeouts={"request": "0s"}), Timeouts(request="10m"), {"request": "0s"}),
        (
            "each field by itself",
            routing(timeouts={"backendRequest": "2m"}),
            Timeouts(request="10m"),
            {"request": "10m", "backendRequest": "2m"},
        ),
        (
            "a whole request never ends before one of its attempts: the model's attempt wins",
            routing(timeouts={"backendRequest": "2m"}),
            None,
            {"request": "2m", "backendRequest": "2m"},
        ),
        (
            "the model's whole request wins",
            routing(timeouts={"request": "1m"}),
            Timeouts(request="10m", backend_request="9m"),
            {"request": "1m", "backendRequest": "1m"},
        ),
        (
            "an attempt without a limit is within every limit",
            routing(timeouts={"request": "1m", "backendRequest": "0s"}),
            None,
            {"request": "1m", "backendRequest": "0s"},
        ),
        (
            "attempts of any length",
            routing(timeouts={"request": "0s", "backendRequest": "2m"}),
            None,
            {"request": "0s", "backendRequest": "2m"},
        ),
    ],
)
def test_limits_of_a_rule(name: str, given: Routing, server: Timeouts | None, want: dict[str, str]) -> None:
    assert timeouts.of_rule(given, timeouts.longest([server])) == want, name


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ([], "30s"),
        ([None], "30s"),
        ([None, Timeouts(request="10m")], "10m"),
        ([Timeouts(request="20s"), None], "30s"),
        ([Timeouts(request="1500ms"), Timeouts(request="1s")], "1500ms"),
        ([Timeouts(request="0s"), Timeouts(request="99h")], "0s"),
        ([Timeouts(backend_request="10s")], "30s"),
    ],
)
def test_two_versions_on_a_route_have_the_longer_limit(limits: list[Timeouts | None], want: str) -> None:
    assert timeouts.longest(limits).request == want


@pytest.mark.parametrize(
    ("text", "want"), [("1h30m", 5400), ("10s", 10), ("250ms", 0.25), ("1m1s1ms", 61.001), ("0s", 0), ("0h0m", 0)]
)
def test_durations(text: str, want: float) -> None:
    assert timeouts.seconds(text) == want


@pytest.mark.parametrize(
    ("given", "limits", "want"),
    [
        pytest.param(Routing(), [None], 30.0, id="the default"),
        pytest.param(Routing(timeout_seconds=5), [None], 5.0, id="the model's own"),
        pytest.param(Routing(), [Timeouts(request="90s"), None], 90.0, id="of the version that may take longest"),
        pytest.param(Routing(), [Timeouts(request="0s")], math.inf, id="no limit"),
    ],
)
def test_the_longest_answer(given: Routing, limits: list[Timeouts | None], want: float) -> None:
    assert timeouts.longest_answer_seconds(given, limits) == want
