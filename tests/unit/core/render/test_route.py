"""Routes: who gets which requests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.routing import Timeouts
from sluice_core.api.v1alpha1.strategies import AssignmentType
from sluice_core.kernel.snapshot import Paths
from sluice_core.render.traffic import route
from tests.support.cases import builders
from tests.unit.core.render import test_assignment

A, B = test_assignment.STABLE, test_assignment.arm(1)
BOTH = ((A, 950), (B, 50))
NOBODY: frozenset[str] = frozenset()


def make_routes(
    paths: Paths, *, grpc: frozenset[str] = NOBODY, test: ABTestRules | None = None, **routing: Any
) -> dict[tuple[str, str], dict[str, Any]]:
    """The specs by kind and name."""
    deployment = builders.make_model_deployment(spec={"routing": routing} if routing else {})
    wanted = route.desired_routes(deployment, builders.CONFIG, paths, grpc=grpc, test=test)
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest["spec"] for manifest in wanted}


def main_rules(paths: Paths, **options: Any) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = make_routes(paths, **options)["HTTPRoute", "digits"]["rules"]
    return rules


def backends(rule: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(backend["name"], backend.get("weight")) for backend in rule["backendRefs"]]


def modifiers(rule: dict[str, Any]) -> list[dict[str, Any]]:
    return [backend["filters"][0]["responseHeaderModifier"] for backend in rule["backendRefs"]]


def test_a_route_says_gateway_hosts_and_timeout() -> None:
    spec = make_routes(Paths(((A, 1000),)))["HTTPRoute", "digits"]
    assert spec["parentRefs"] == [{"name": "models", "namespace": "gateway"}]
    assert spec["hostnames"] == ["digits.ml.models.local"]
    assert [rule["timeouts"] for rule in spec["rules"]] == [{"request": "30s"}]
    spec = make_routes(
        Paths(((A, 1000),)),
        gatewayRef={"name": "edge", "namespace": "infra"},
        hostnames=["a.example.com", "b.example.com"],
        timeoutSeconds=7,
    )["HTTPRoute", "digits"]
    assert spec["parentRefs"] == [{"name": "edge", "namespace": "infra"}]
    assert spec["hostnames"] == ["a.example.com", "b.example.com"]
    assert [rule["timeouts"] for rule in spec["rules"]] == [{"request": "7s"}]


def test_who_asks_a_version_that_sleeps_is_told_when_to_ask_again() -> None:
    routes = make_routes(Paths(BOTH, awaited=A), grpc=frozenset({A, B}))
    sleeping, other = modifiers(routes["HTTPRoute", "digits"]["rules"][0])
    assert sleeping["set"] == [{"name": "x-model-revision", "value": A}, {"name": "Retry-After", "value": "15"}]
    assert other["set"] == [{"name": "x-model-revision", "value": B}]
    assert all(len(each["set"]) == 1 for each in modifiers(routes["GRPCRoute", "digits.grpc"]["rules"][0]))


def test_every_rule_and_the_preview_keep_to_the_limits_of_the_servers() -> None:
    paths = Paths(BOTH, header=B, preview=B)
    wanted = route.desired_routes(
        builders.make_model_deployment(spec={"routing": {"candidateHeader": {}}}),
        builders.CONFIG,
        paths,
        grpc=frozenset({A, B}),
        limits=Timeouts(request="10m", backend_request="9m"),
    )
    for manifest in wanted:
        limits = {"timeouts": {"request": "10m", "backendRequest": "9m"}} if manifest["kind"] == "HTTPRoute" else {}
        assert manifest["spec"]["rules"]
        for rule in manifest["spec"]["rules"]:
            assert {key: value for key, value in rule.items() if key == "timeouts"} == limits


@given(st.lists(st.tuples(st.from_regex(r"digits-[0-9a-f]{10}", fullmatch=True), st.integers(0, 1000)), max_size=4))
def test_backends_keep_their_order_and_name_their_revision(weights: list[tuple[str, int]]) -> None:
    (rule,) = main_rules(Paths(tuple(weights)))
    assert backends(rule) == weights
    assert modifiers(rule) == [{"set": [{"name": "x-model-revision", "value": revision}]} for revision, _ in weights]
    assert {backend["port"] for backend in rule["backendRefs"]} <= {80}


@pytest.mark.parametrize(("percent", "said"), [(100, {}), (20, {"percent": 20})])
def test_copies_go_to_a_service_of_their_own(percent: int, said: dict[str, int]) -> None:
    (rule,) = main_rules(Paths(((A, 1000),), mirror=(B, percent)))
    mirror = {"backendRef": {"name": f"{B}-mirror", "port": 80}, **said}
    assert rule["filters"] == [{"type": "RequestMirror", "requestMirror": mirror}]
    assert backends(rule) == [(A, 1000)]


def test_the_candidate_header_has_a_rule_behind_the_weights() -> None:
    header = {"name": "x-try", "value": "new"}
    first, second = main_rules(Paths(BOTH, header=B), candidateHeader=header)
    assert backends(first) == list(BOTH)
    assert "matches" not in first
    assert second["matches"] == [{"headers": [{"type": "Exact", **header}]}]
    assert backends(second) == [(f"{B}-header", None)]
    assert modifiers(second) == [{"set": [{"name": "x-model-revision", "value": B}]}]
    assert second["timeouts"] == first["timeouts"]


def test_a_preview_has_a_route_and_host_names_of_its_own() -> None:
    routes = make_routes(Paths(((A, 1000),), preview=B), hostnames=["a.example.com", "b.example.com"])
    assert set(routes) == {("HTTPRoute", "digits"), ("HTTPRoute", f"{B}-pre")}
    preview = routes["HTTPRoute", f"{B}-pre"]
    assert preview["hostnames"] == ["preview-a.example.com", "preview-b.example.com"]
    (rule,) = preview["rules"]
    assert backends(rule) == [(f"{B}-pre", None)]
    assert modifiers(rule) == [{"set": [{"name": "x-model-revision", "value": B}]}]


def test_grpc_has_the_same_paths_under_host_names_of_its_own() -> None:
    header = {"name": "x-try", "value": "new"}
    paths = Paths(BOTH, mirror=(B, 100), header=B, preview=B)
    routes = make_routes(paths, grpc=frozenset({A, B}), candidateHeader=header)
    assert set(routes) == {
        ("HTTPRoute", "digits"),
        ("HTTPRoute", f"{B}-pre"),
        ("GRPCRoute", "digits.grpc"),
        ("GRPCRoute", f"{B}-pre.grpc"),
    }
    spec = routes["GRPCRoute", "digits.grpc"]
    assert spec["hostnames"] == ["grpc-digits.ml.models.local"]
    assert routes["GRPCRoute", f"{B}-pre.grpc"]["hostnames"] == ["grpc-preview-digits.ml.models.local"]
    for ours, theirs in zip(spec["rules"], routes["HTTPRoute", "digits"]["rules"], strict=True):
        assert backends(ours) == backends(theirs)
        assert modifiers(ours) == modifiers(theirs)
        assert ours.get("matches") == theirs.get("matches")
        assert {backend["port"] for backend in ours["backendRefs"]} == {81}
        assert "timeouts" not in ours
    assert spec["rules"][0]["filters"][0]["requestMirror"]["backendRef"] == {"name": f"{B}-mirror", "port": 81}


@pytest.mark.parametrize(
    ("mirror", "want"), [((B, 100), ["HTTPRoute", "GRPCRoute"]), (None, ["GRPCRoute", "HTTPRoute"])]
)
def test_copies_begin_with_the_one_route_and_end_with_the_other(
    mirror: tuple[str, int] | None, want: list[str]
) -> None:
    routes = make_routes(Paths(((A, 1000),), mirror=mirror), grpc=frozenset({A, B}))
    assert [kind for kind, _ in routes] == want


def test_no_host_name_is_used_twice() -> None:
    routes = make_routes(Paths(BOTH, preview=B), grpc=frozenset({A, B}))
    hosts = [host for spec in routes.values() for host in spec["hostnames"]]
    assert len(hosts) == len(set(hosts)) == 4


def test_no_two_routes_have_the_same_name_whatever_their_kinds() -> None:
    names = [name for _, name in make_routes(Paths(BOTH, preview=B), grpc=frozenset({A, B}))]
    assert len(names) == len(set(names)) == 4


def test_every_host_name_is_among_the_addresses() -> None:
    deployment = builders.make_model_deployment()
    hosts = {
        host
        for spec in make_routes(Paths(BOTH, preview=B), grpc=frozenset({A, B})).values()
        for host in spec["hostnames"]
    }
    assert route.addresses_of(route.hostnames_of(deployment, builders.CONFIG)) == hosts
    assert {route.bare_hostname(host) for host in hosts} == {"digits.ml.models.local"}


@pytest.mark.parametrize(
    ("paths", "grpc", "want"),
    [
        (Paths(BOTH), {A}, [(A, 950)]),
        (Paths(BOTH), {B}, [(B, 0), (B, 50)]),
        (Paths(((A, 1000), (B, 0))), {B}, None),
        (Paths(BOTH), set(), None),
        (Paths(BOTH, mirror=(B, 100), header=B, preview=B, arms=(A, B)), {A}, [(A, 950)]),
    ],
    ids=["stable alone", "candidate alone", "nobody with weight", "nobody", "everything else"],
)
def test_a_server_without_grpc_gets_no_grpc_request(paths: Paths, grpc: set[str], want: Any) -> None:
    routes = make_routes(paths, grpc=frozenset(grpc))
    spec = routes.get(("GRPCRoute", "digits.grpc"))
    assert ("GRPCRoute", f"{B}-pre.grpc") not in routes
    assert (None if spec is None else [backends(rule) for rule in spec["rules"]]) == (want and [want])
    assert spec is None or "filters" not in spec["rules"][0]


def test_a_cookie_binds_a_user_to_the_first_answer() -> None:
    test = test_assignment.make_rules(5, type_=AssignmentType.COOKIE, name="arm")
    first, stable, arm = main_rules(Paths(BOTH, arms=(A, B)), test=test)
    assert backends(first) == list(BOTH)
    assert [modifier["add"] for modifier in modifiers(first)] == [
        [{"name": "Set-Cookie", "value": f"arm={revision}; Path=/; Max-Age=3600; HttpOnly"}] for revision in (A, B)
    ]
    for rule, revision in ((stable, A), (arm, B)):
        assert backends(rule) == [(revision, None)]
        assert [match["headers"][0]["name"] for match in rule["matches"]] == ["Cookie"]
        assert "add" not in modifiers(rule)[0]


def test_a_header_needs_no_cookie() -> None:
    first, stable, arm = main_rules(Paths(BOTH, arms=(A, B)), test=test_assignment.make_rules(5))
    assert all("add" not in modifier for rule in (first, stable, arm) for modifier in modifiers(rule))
    assert [backends(rule) for rule in (stable, arm)] == [[(A, None)], [(B, None)]]


@pytest.mark.parametrize("type_", AssignmentType)
def test_nobody_is_bound_while_there_is_nothing_to_choose_from(type_: AssignmentType) -> None:
    (rule,) = main_rules(Paths(((A, 1000),), arms=(A,)), test=test_assignment.make_rules(5, type_=type_))
    assert "add" not in modifiers(rule)[0]


@pytest.mark.parametrize("type_", AssignmentType)
def test_rules_and_matches_stay_within_the_bounds_of_the_gateway_api(type_: AssignmentType) -> None:
    arms = [A, *(test_assignment.arm(index) for index in range(1, 6))]
    for running in (arms, arms[:2]):
        paths = Paths(tuple((name, 166) for name in running), arms=tuple(running))
        rules = main_rules(paths, test=test_assignment.make_rules(19, 19, 19, 19, 19, type_=type_))
        assert len(rules) <= 16
        assert all(len(rule.get("matches", [])) <= 64 for rule in rules)
        values = [header["value"] for rule in rules for match in rule.get("matches", []) for header in match["headers"]]
        assert all(0 < len(value) <= test_assignment.LONGEST_VALUE for value in values)
