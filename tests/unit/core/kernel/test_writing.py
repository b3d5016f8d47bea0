"""Writes of one object against what is there, on one reconcile after another."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.kernel import differ, writing
from sluice_core.kernel.plan import Apply, Write
from sluice_core.kernel.snapshot import Object, Snapshot
from sluice_core.parsing import worlds
from sluice_core.render import budget
from tests.support.cases import builders

DEPLOYMENT = builders.make_model_deployment()
MANIFEST = budget.desired_budget(DEPLOYMENT)


def among(*objects: Object) -> Snapshot:
    snapshot = worlds.parsed(builders.make_world(deployment=DEPLOYMENT))
    assert isinstance(snapshot, Snapshot)
    known = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    return replace(snapshot, objects=known)


def test_an_object_that_agrees_is_not_written_on_any_reconcile() -> None:
    there = among(differ.stamped(MANIFEST))
    assert [list(writing.applied(there, MANIFEST)) for _ in range(3)] == [[], [], []]


def test_another_intent_about_an_object_that_agreed_is_written_as_long_as_it_is_wanted() -> None:
    there = among(differ.stamped(MANIFEST))
    other = {**MANIFEST, "spec": {**MANIFEST["spec"], "maxUnavailable": 2}}
    assert list(writing.applied(there, MANIFEST)) == []
    assert [list(writing.applied(there, other)) for _ in range(2)] == [[Apply(differ.stamped(other))]] * 2
    assert list(writing.applied(there, MANIFEST)) == []


def test_an_object_that_agreed_is_written_once_somebody_has_changed_it() -> None:
    agreed = differ.stamped(MANIFEST)
    assert list(writing.applied(among(agreed), MANIFEST)) == []
    changed = {**agreed, "spec": {**agreed["spec"], "maxUnavailable": 5}}
    assert list(writing.applied(among(changed), MANIFEST)) == [Apply(agreed)]
    assert list(writing.applied(among(), MANIFEST)) == [Apply(agreed)]


ROUTE = {
    "kind": "HTTPRoute",
    "metadata": {"name": "digits"},
    "spec": {"hostnames": ["a"], "rules": [{"backendRefs": [{"name": "digits-1", "weight": 1000}]}]},
}
POD = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "server", "image": "triton"}]}}


def with_spec(object_: Object, **changes: object) -> dict[str, Any]:
    return {**object_, "spec": {**object_["spec"], **changes}}


@pytest.mark.parametrize(
    ("manifest", "made", "foreign", "harm"),
    [
        pytest.param(
            ROUTE, {"hostnames": ["a", "b"]}, {"x": 1}, {"hostnames": ["a", "b"], "rules": []}, id="an entry is added"
        ),
        pytest.param(
            ROUTE,
            {"rules": [{"backendRefs": [{"name": "digits-1", "weight": 999}]}]},
            {"x": 1},
            {"rules": [{"backendRefs": [{"name": "digits-1", "weight": 7}]}]},
            id="a value deep inside is another",
        ),
        pytest.param(
            POD,
            {"containers": [{"name": "sidecar"}, {"name": "server", "image": "mirror/triton"}]},
            {"containers": [{"name": "another"}, {"name": "server", "image": "mirror/triton"}]},
            {"containers": [{"name": "sidecar"}]},
            id="an entry with a key is rewritten, beside one of somebody else's",
        ),
        pytest.param(ROUTE, {"hostnames": None}, {"x": 1}, {"hostnames": "none"}, id="a field is dropped"),
    ],
)
def test_what_the_api_server_makes_of_a_manifest_is_not_applied_against(
    manifest: Object, made: dict[str, Any], foreign: dict[str, Any], harm: dict[str, Any]
) -> None:
    stamped = differ.stamped(manifest)
    answer = with_spec(stamped, **made)
    admitted = writing.admitted(stamped, answer)
    assert admitted is not None

    def written(observed: Object, manifest: Object = manifest) -> list[Write]:
        return list(writing.applied(replace(among(observed), admitted=frozenset({admitted})), manifest))

    assert list(writing.applied(among(answer), manifest)) == [Apply(stamped)], "an operator that has just begun tries"
    assert written(answer) == []
    assert written(with_spec(answer, **foreign)) == [], "what others do to their own fields changes nothing"
    assert written(with_spec(answer, **harm)) == [Apply(stamped)]
    intent = with_spec(manifest, intent=True)
    assert written(answer, intent) == [Apply(differ.stamped(intent))]


def test_what_is_stored_as_it_was_sent_has_nothing_to_remember() -> None:
    stamped = differ.stamped(MANIFEST)
    assert writing.admitted(stamped, {**stamped, "status": {"x": 1}}) is None
