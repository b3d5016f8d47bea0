"""What clients reach: the same paths or methods in every rule, of any version that may answer."""

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from sluice_core.api.v1alpha1.routing import Exposed, PathMatch
from sluice_core.render import workload
from sluice_core.render.traffic import exposure
from tests.support.cases import builders

V2 = Exposed.model_validate({"paths": [{"value": "/v2/models"}, {"type": "Exact", "value": "/v2"}]})
V1 = Exposed.model_validate({"paths": [{"value": "/v1/models"}, {"type": "Exact", "value": "/v2"}]})
CALLS = Exposed.model_validate({"methods": [{"service": "a.B", "method": "C"}, {"service": "d.E"}]})
HEADER = {"headers": [{"type": "Exact", "name": "x", "value": "y"}]}


@pytest.mark.parametrize(
    ("name", "versions", "want"),
    [
        ("nobody", [], []),
        ("one that says nothing exposes everything", [None], []),
        ("one that exposes methods alone exposes all paths", [CALLS], []),
        ("one", [V2], [("Exact", "/v2"), ("PathPrefix", "/v2/models")]),
        ("two of one kind", [V2, V2], [("Exact", "/v2"), ("PathPrefix", "/v2/models")]),
        ("two kinds", [V2, V1], [("Exact", "/v2"), ("PathPrefix", "/v1/models"), ("PathPrefix", "/v2/models")]),
        ("the order of versions changes nothing", [V1, V2], None),
        ("while one says nothing, everything", [V2, None], []),
    ],
)
def test_paths_are_those_of_any_version(name: str, versions: list[Exposed | None], want: list[Any] | None) -> None:
    found = exposure.paths(versions)
    if want is None:
        assert found == exposure.paths(versions[::-1]), name
    else:
        assert [(match["path"]["type"], match["path"]["value"]) for match in found] == want, name


def test_what_a_runtime_exposes_is_pinned_with_the_name_of_the_model() -> None:
    deployment = builders.make_model_deployment()
    assert exposure.pinned(deployment, builders.make_runtime()) is None
    limited = builders.make_runtime(exposed={"paths": [{"value": "/v2/models/{{model.name}}"}]})
    found = exposure.pinned(deployment, limited)
    assert found == Exposed(paths=[PathMatch(value="/v2/models/digits")])
    revision = dataclasses.replace(builders.make_revision(), exposed=found)
    pinned = workload.desired_controller_revision(revision, deployment)
    assert found is not None
    assert pinned["data"]["exposed"] == found.to_wire()
    assert workload.read_controller_revision(pinned).exposed == found


def test_methods_are_exact_ones_or_a_whole_service() -> None:
    assert exposure.methods([CALLS]) == [
        {"method": {"type": "Exact", "method": "C", "service": "a.B"}},
        {"method": {"type": "Exact", "service": "d.E"}},
    ]


def test_every_rule_has_the_same_paths_beside_what_it_matches() -> None:
    rules = ({"backendRefs": ["all"]}, {"matches": [HEADER, {}], "backendRefs": ["one"]})
    first, second = exposure.limited(rules, exposure.paths([V2]))
    exact, prefix = (
        {"path": {"type": "Exact", "value": "/v2"}},
        {"path": {"type": "PathPrefix", "value": "/v2/models"}},
    )
    assert first == {"backendRefs": ["all"], "matches": [exact, prefix]}
    assert second == {"backendRefs": ["one"], "matches": [HEADER | exact, HEADER | prefix, exact, prefix]}


def test_without_limits_the_rules_stay_as_they_are() -> None:
    rules = ({"backendRefs": ["all"]}, {"matches": [HEADER]})
    assert exposure.limited(rules, []) == rules


@pytest.mark.parametrize(("rules", "headers"), [(1, 33), (9, 8)], ids=["of a rule", "of a route"])
def test_no_route_has_more_matches_than_the_api_takes(rules: int, headers: int) -> None:
    """Such a route would be refused, and answer nobody."""
    many = tuple({"matches": [HEADER] * headers} for _ in range(rules))
    assert exposure.limited(many, exposure.paths([V2])) == many


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/", "/v2/models/{{model.name}}/infer", "/well.known"])
def test_paths_that_a_route_takes(path: str) -> None:
    assert PathMatch(value=path).value == path


@pytest.mark.parametrize(
    "path", ["", "v2", "//", "/v2//x", "/v2/../v1", "/v2/..", "/./v2", "/v2?x", "/v2#x", "/%2f", "/a b"]
)
def test_paths_that_a_route_refuses(path: str) -> None:
    with pytest.raises(ValidationError):
        PathMatch(value=path)
