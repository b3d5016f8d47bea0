"""What the gateway's condition says, by what keeps requests from arriving as the route says."""

from collections.abc import Mapping
from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.decide import routes
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Paths
from sluice_core.parsing import worlds
from sluice_core.parsing.worlds import InvalidSpec
from sluice_core.render.traffic import route
from sluice_core.situation.situation import interpret
from sluice_judge.gateways import PRESETS
from tests.support.cases import builders

STABLE = builders.make_revision()
DEPLOYMENT = builders.make_model_deployment(spec={"routing": {"hostnames": ["digits.example"]}})
OLDER = builders.make_model_deployment(
    name="older", uid="uid-older", created=builders.NOW - 7200, spec={"routing": {"hostnames": ["digits.example"]}}
)
NOT_PROGRAMMED = builders.make_gateway(programmed=False)
(WRITTEN,) = route.desired_routes(DEPLOYMENT, builders.CONFIG, Paths(((STABLE.name, 1000),)), grpc=frozenset())


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param({"gateway_api": False}, Reason.GATEWAY_API_MISSING, id="no Gateway API"),
        pytest.param({"rivals": [OLDER]}, Reason.HOSTNAME_TAKEN, id="host name of an older model"),
        pytest.param({"gateways": []}, Reason.GATEWAY_NOT_FOUND, id="no Gateway"),
        pytest.param(
            {
                "gateways": [],
                "config": OperatorConfig(watch_namespaces=["team"], allowed_addresses=[builders.EVERY_ADDRESS]),
            },
            Reason.GATEWAY_NOT_FOUND,
            id="same here",
        ),
        pytest.param({"gateway_api": False, "gateways": []}, Reason.GATEWAY_API_MISSING, id="what comes first is told"),
        pytest.param({}, Reason.NOTHING_TO_ROUTE, id="no version serves"),
        pytest.param({"gateways": [NOT_PROGRAMMED]}, Reason.WAITING_FOR_GATEWAY, id="the Gateway is not ready"),
        pytest.param({"owned": [WRITTEN]}, Reason.WAITING_FOR_GATEWAY, id="no answer yet"),
        pytest.param(
            {"owned": [builders.make_route_status(WRITTEN, accepted=False)]}, Reason.ROUTE_NOT_ACCEPTED, id="refused"
        ),
        pytest.param({"owned": [builders.make_route_status(WRITTEN)]}, Reason.PROGRAMMED, id="programmed"),
        pytest.param(
            {"config": OperatorConfig(routing=RoutingMode.SERVICE), "gateway_api": False},
            Reason.NOTHING_TO_ROUTE,
            id="without a gateway none is missed",
        ),
    ],
)
def test_programmed(changes: Mapping[str, Any], want: Reason) -> None:
    snapshot = worlds.parsed(builders.make_world(**{"deployment": DEPLOYMENT, **changes}))
    assert not isinstance(snapshot, InvalidSpec)
    fact = routes.programmed(interpret(snapshot))

    status = None if want is Reason.NOTHING_TO_ROUTE else want is Reason.PROGRAMMED
    assert (fact.status, fact.reason) == (status, want)


@pytest.mark.parametrize(
    ("namespace", "words"),
    [("elsewhere", "cannot be seen: the operator reads those in team, gateway"), ("team", "there is no Gateway")],
)
def test_a_gateway_where_nobody_looks_is_told_from_one_that_is_missing(namespace: str, words: str) -> None:
    reference = {"routing": {"gatewayRef": {"name": "own", "namespace": namespace}}}
    world = builders.make_world(
        deployment=builders.make_model_deployment(spec=reference),
        gateways=[],
        config=OperatorConfig(watch_namespaces=["team"], allowed_addresses=[builders.EVERY_ADDRESS]),
    )
    snapshot = worlds.parsed(world)
    assert not isinstance(snapshot, InvalidSpec)
    problem = routes.hindrance(snapshot)
    assert problem is not None
    assert words in problem.message


NO_LIMIT = {"routing": {"hostnames": ["digits.example"], "timeouts": {"request": "0s"}}}
ONE_MINUTE = {"routing": {"hostnames": ["digits.example"], "timeouts": {"request": "1m"}}}
IN_SECONDS = {"routing": {"hostnames": ["digits.example"], "timeoutSeconds": 60}}
NOTHING_SAID = {"routing": {"hostnames": ["digits.example"]}}


@pytest.mark.parametrize(
    ("preset", "spec", "said"),
    [
        ("contour", NO_LIMIT, ""),
        ("istio", NO_LIMIT, ""),
        ("envoy-gateway", NO_LIMIT, "gateway envoy-gateway does not end one in which nothing moves"),
        ("envoy-gateway", ONE_MINUTE, ""),
        ("envoy-gateway", NOTHING_SAID, ""),
        ("traefik", NO_LIMIT, "spec.routing.timeouts: gateway traefik ignores the limits of a route"),
        ("traefik", ONE_MINUTE, "gateway traefik ignores"),
        ("nginx-gateway-fabric", IN_SECONDS, "gateway nginx-gateway-fabric ignores"),
        ("traefik", NOTHING_SAID, ""),
    ],
)
def test_a_limit_that_the_gateway_does_not_keep_is_told(preset: str, spec: Mapping[str, Any], said: str) -> None:
    """The route serves all the same."""
    deployment = builders.make_model_deployment(spec=spec)
    (written,) = route.desired_routes(deployment, builders.CONFIG, Paths(((STABLE.name, 1000),)), grpc=frozenset())
    owned = [builders.make_route_status(written)]
    world = builders.make_world(deployment=deployment, owned=owned, preset=PRESETS[preset])
    snapshot = worlds.parsed(world)
    assert not isinstance(snapshot, InvalidSpec)
    fact = routes.programmed(interpret(snapshot))
    assert (fact.status, fact.reason) == (True, Reason.LIMIT_NOT_KEPT if said else Reason.PROGRAMMED)
    assert said in fact.message
