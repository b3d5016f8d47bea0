"""What the routes say, read back."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.strategies import AssignmentType
from sluice_core.kernel.snapshot import Paths, Revision, Route
from sluice_core.parsing import routes as observed_routes
from sluice_core.render.traffic import route
from tests.support.cases import builders
from tests.unit.core.render import test_assignment

DEPLOYMENT = builders.make_model_deployment(spec={"routing": {"candidateHeader": {}}})
GATEWAY = builders.CONFIG.gateway
RUNTIME = builders.make_runtime(grpc_port=8001)
STABLE = builders.make_revision(number=1)
CANDIDATE = builders.make_revision(uri="s3://models/digits/2", number=2)
SPEAKING = tuple(
    builders.make_revision(uri=f"s3://models/digits/{number}", number=number, runtime=RUNTIME) for number in (1, 2)
)
ARM = test_assignment.arm(1)
BOTH = ((STABLE.name, 950), (CANDIDATE.name, 50))

Raw = dict[str, Any]


def make_routes(paths: Paths, *, grpc: bool = False, generation: int = 1, **test: Any) -> list[Raw]:
    """The raw routes with the answer of their Gateway."""
    speaking = frozenset({STABLE.name, CANDIDATE.name}) if grpc else frozenset()
    wanted = route.desired_routes(DEPLOYMENT, builders.CONFIG, paths, grpc=speaking, **test)
    return [
        builders.make_route_status({**raw, "metadata": {**raw["metadata"], "generation": generation}}) for raw in wanted
    ]


def observed(routes: list[Raw], revisions: tuple[Revision, ...] = SPEAKING, *, grpc_api: bool = True) -> Route:
    found = observed_routes.observed_route(routes, revisions, "digits", GATEWAY, grpc_api=grpc_api)
    assert found is not None
    return found


@pytest.mark.parametrize("grpc", [False, True])
@pytest.mark.parametrize(
    "paths",
    [
        Paths(()),
        Paths(BOTH),
        Paths(((STABLE.name, 500), (STABLE.name, 500))),
        Paths(BOTH, mirror=(CANDIDATE.name, 100)),
        Paths(BOTH, mirror=(CANDIDATE.name, 20)),
        Paths(BOTH, observer=100),
        Paths(BOTH, observer=20),
        Paths(BOTH, mirror=(CANDIDATE.name, 100), observer=20),
        Paths(BOTH, header=CANDIDATE.name),
        Paths(BOTH, preview=CANDIDATE.name),
        Paths(BOTH, mirror=(CANDIDATE.name, 7), header=CANDIDATE.name, preview=CANDIDATE.name),
    ],
    ids=str,
)
def test_what_was_written_is_read(paths: Paths, grpc: bool) -> None:
    revisions = SPEAKING if grpc else (STABLE, CANDIDATE)
    found = observed(make_routes(paths, grpc=grpc), revisions)
    assert found.paths == paths
    assert (found.programmed, found.message, found.answered) == (True, "", True)


@pytest.mark.parametrize("type_", AssignmentType)
def test_arms_are_read(type_: AssignmentType) -> None:
    paths = Paths(((STABLE.name, 900), (ARM, 100)), arms=(STABLE.name, ARM))
    routes = make_routes(paths, test=test_assignment.make_rules(10, type_=type_))
    assert observed(routes, ()).paths == paths


def test_without_a_route_there_is_nothing() -> None:
    foreign = [raw for raw in make_routes(Paths(BOTH, preview=STABLE.name)) if raw["metadata"]["name"] != "digits"]
    assert foreign
    assert observed_routes.observed_route(foreign, (), "digits", GATEWAY) is None


def test_a_route_emptied_by_hand_has_no_weights() -> None:
    (raw,) = make_routes(Paths(BOTH))
    emptied: list[list[Raw] | None] = [[], [{}], None]
    for rules in emptied:
        assert observed([{**raw, "spec": {**raw["spec"], "rules": rules}}], ()).paths == Paths(())


@pytest.mark.parametrize("changed", range(4))
def test_a_change_of_any_route_is_another_generation(changed: int) -> None:
    routes = make_routes(Paths(BOTH, preview=CANDIDATE.name), grpc=True, generation=3)
    assert len(routes) == 4
    before = observed(routes).generation
    routes[changed]["metadata"]["generation"] = 4
    assert observed(routes).generation != before


def test_a_preview_that_goes_while_weights_change_does_not_hide_it() -> None:
    before = observed(make_routes(Paths(BOTH, preview=CANDIDATE.name), generation=1), ()).generation
    after = observed(make_routes(Paths(BOTH), generation=2), ()).generation
    assert before != after


@pytest.mark.parametrize("refused", range(4))
def test_every_route_must_be_accepted(refused: int) -> None:
    routes = make_routes(Paths(BOTH, preview=CANDIDATE.name), grpc=True)
    routes[refused] = builders.make_route_status(routes[refused], accepted=False)
    found = observed(routes)
    assert not found.programmed
    assert "Accepted is False" in found.message
    assert ("GRPCRoute" in found.message) is (routes[refused]["kind"] == "GRPCRoute")
    assert found.answered


@pytest.mark.parametrize("late", range(4))
def test_every_route_must_be_answered_at_its_generation(late: int) -> None:
    routes = make_routes(Paths(BOTH, preview=CANDIDATE.name), grpc=True, generation=2)
    routes[late] = builders.make_route_status(routes[late], generation=1)
    found = observed(routes)
    assert (found.programmed, found.answered) == (False, False)
    assert "not known yet" in found.message
    assert found.used, "requests go where they went before the write"


def test_a_route_that_no_gateway_has_taken_is_not_used() -> None:
    new = make_routes(Paths(BOTH))
    new[0] = builders.make_route_status(new[0], accepted=False)
    assert not observed(new).used


def without(routes: list[Raw], kind: str) -> list[Raw]:
    return [raw for raw in routes if raw["kind"] != kind]


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        (make_routes(Paths(BOTH), grpc=True), ""),
        (without(make_routes(Paths(BOTH), grpc=True), "GRPCRoute"), "GRPCRoute digits.grpc does not exist yet"),
        (
            [
                *without(make_routes(Paths(BOTH), grpc=True), "GRPCRoute"),
                *without(make_routes(Paths(((STABLE.name, 1000), (CANDIDATE.name, 0))), grpc=True), "HTTPRoute"),
            ],
            "GRPCRoute digits.grpc does not have the weights of the HTTPRoute",
        ),
    ],
    ids=["agree", "missing", "differ"],
)
def test_grpc_requests_must_be_shared_as_http_requests_are(routes: list[Raw], message: str) -> None:
    found = observed(routes)
    assert (found.programmed, found.message) == (not message, message)


def test_no_grpc_route_is_expected_where_there_is_no_such_kind() -> None:
    routes = make_routes(Paths(BOTH))
    assert not observed(routes).programmed
    assert observed(routes, grpc_api=False).programmed
    assert observed(routes, (STABLE, CANDIDATE)).programmed


def test_only_revisions_that_speak_grpc_are_expected_in_its_route() -> None:
    wanted = route.desired_routes(DEPLOYMENT, builders.CONFIG, Paths(BOTH), grpc=frozenset({STABLE.name}))
    routes = [builders.make_route_status(raw) for raw in wanted]
    assert observed(routes, (SPEAKING[0], CANDIDATE)).programmed
    assert not observed(routes, SPEAKING).programmed
