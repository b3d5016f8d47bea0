"""When an object is written: on every difference that matters, and on no other."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice_core.kernel import differ
from sluice_core.kernel.snapshot import Paths
from sluice_core.render import budget, workload
from sluice_core.render.traffic import route, service
from tests.support.cases import builders

DEPLOYMENT = builders.make_model_deployment(model={"credentialsSecretRef": {"name": "models-s3"}})
REVISION = builders.make_revision(deployment=DEPLOYMENT)
MANIFESTS = {
    manifest["kind"]: manifest
    for manifest in (
        workload.desired_controller_revision(REVISION, DEPLOYMENT),
        workload.desired_deployment(REVISION, 2, DEPLOYMENT, drain_until=builders.NOW),
        service.desired_service(REVISION, DEPLOYMENT),
        *route.desired_routes(
            DEPLOYMENT,
            builders.CONFIG,
            Paths(((REVISION.name, 1000), ("digits-b", 0)), mirror=("digits-b", 100)),
            grpc=frozenset({REVISION.name}),
        ),
        budget.desired_budget(DEPLOYMENT),
    )
}

SCALARS = st.one_of(st.booleans(), st.integers(1, 9), st.sampled_from(["a", "b", "1m"]))
FIELDS = st.sampled_from(["spec", "ports", "args", "name", "weight", "template", "x"])
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(FIELDS, inner, min_size=1, max_size=3),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(FIELDS, OBJECTS, min_size=1, max_size=3)


def defaulted(value: Any) -> Any:
    """As the server gives an object back: with fields that nobody sent, in every object."""
    if isinstance(value, dict):
        return {**{key: defaulted(item) for key, item in value.items()}, "serverDefault": {"a": [1]}}
    if isinstance(value, list):
        return [defaulted(item) for item in value]
    return value


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Ways to all scalars that say more than their absence would."""
    if isinstance(value, dict):
        return [path for key, item in value.items() for path in paths(item, (*prefix, key))]
    if isinstance(value, list):
        return [path for index, item in enumerate(value) for path in paths(item, (*prefix, index))]
    return [prefix] if value else []


def changed(value: Any, path: tuple[Any, ...], *, remove: bool) -> Any:
    """A copy with the scalar at `path` changed or removed."""
    result = copy.deepcopy(value)
    parent = result
    for part in path[:-1]:
        parent = parent[part]
    if remove:
        del parent[path[-1]]
    else:
        parent[path[-1]] = f"{parent[path[-1]]}-changed"
    return result


@given(MAPPINGS)
def test_what_the_server_adds_is_no_difference(desired: dict[str, Any]) -> None:
    assert differ.equal(desired, defaulted(desired))


@given(MAPPINGS, st.data(), st.booleans())
def test_every_changed_or_removed_field_is_found(desired: dict[str, Any], data: st.DataObject, remove: bool) -> None:
    assume(paths(desired))
    path = data.draw(st.sampled_from(paths(desired)))
    assert not differ.equal(desired, defaulted(changed(desired, path, remove=remove)))


@pytest.mark.parametrize("kind", MANIFESTS)
def test_an_applied_manifest_needs_nothing(kind: str) -> None:
    wanted = differ.stamped(MANIFESTS[kind])
    assert not differ.needs_apply(wanted, defaulted(copy.deepcopy(wanted)))


@pytest.mark.parametrize("kind", MANIFESTS)
def test_someone_elses_change_of_any_field_is_put_back(kind: str) -> None:
    wanted = differ.stamped(MANIFESTS[kind])
    for path in paths(wanted):
        for remove in (True, False):
            assert differ.needs_apply(wanted, defaulted(changed(wanted, path, remove=remove))), (path, remove)


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_field_that_is_no_longer_wanted_is_found(kind: str) -> None:
    wanted = differ.stamped(MANIFESTS[kind])
    for path in paths(MANIFESTS[kind]):
        less = differ.stamped(changed(MANIFESTS[kind], path, remove=True))
        assert differ.needs_apply(less, defaulted(copy.deepcopy(wanted))), path


def test_an_absent_object_is_applied() -> None:
    assert differ.needs_apply(differ.stamped(MANIFESTS["Service"]), None)


def test_stamping_keeps_annotations_and_its_argument() -> None:
    before = copy.deepcopy(MANIFESTS["Deployment"])
    wanted = differ.stamped(MANIFESTS["Deployment"])
    assert before == MANIFESTS["Deployment"]
    assert wanted["metadata"]["annotations"].keys() == {"sluice.dev/drain-until", differ.ANNOTATION_APPLIED}
    assert differ.stamped(dict(reversed(before.items()))) == wanted


@pytest.mark.parametrize(
    ("desired", "observed", "want"),
    [
        # quantities, in the places where the server knows them as such
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": "1"}}, True),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, True),
        ({"limits": {"memory": "1e3"}}, {"limits": {"memory": "1k"}}, True),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1G"}}, False),
        ({"limits": {"cpu": "x"}}, {"limits": {"cpu": "y"}}, False),
        ({"sizeLimit": "0.5Gi"}, {"sizeLimit": "512Mi"}, True),
        ({"divisor": "1000m"}, {"divisor": "1"}, True),
        ({"divisor": "1"}, {"divisor": "1Mi"}, False),
        ({"name": "1000m"}, {"name": "1"}, False),
        # the server drops empty values ...
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}, True),
        ({"initialDelaySeconds": 0}, {}, True),
        ({"readOnly": False}, {}, True),
        ({"env": []}, {}, True),
        # ... but not where absence means something else
        ({"allowPrivilegeEscalation": False}, {}, False),
        ({"replicas": 0}, {}, False),
        ({"weight": 0}, {"weight": None}, False),
        # lists with keys may have entries of others; their order means nothing
        ({"volumes": [{"name": "a"}]}, {"volumes": [{"name": "b"}, {"name": "a"}]}, True),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, False),
        ({"ownerReferences": [{"uid": "1"}]}, {"ownerReferences": [{"uid": "2"}]}, False),
        # all other lists are ours as a whole
        ({"args": ["a"]}, {"args": ["a", "b"]}, False),
        ({"backendRefs": [{"name": "a"}, {"name": "b"}]}, {"backendRefs": [{"name": "b"}, {"name": "a"}]}, False),
        # types
        ({"x": True}, {"x": 1}, False),
        ({"x": {"y": 1}}, {"x": "y"}, False),
        ({"x": ["a"]}, {"x": "a"}, False),
    ],
    ids=str,
)
def test_known_differences_and_likenesses(desired: Any, observed: Any, want: bool) -> None:
    assert differ.equal(desired, observed) is want


@pytest.mark.parametrize(
    ("desired", "observed", "want"),
    [
        ({"url": "x"}, {"url": "x"}, True),
        ({"url": "x", "stable": None, "conditions": [], "rollout": {}}, {"url": "x"}, True),
        ({"candidate": {"weight": 0}}, {"candidate": {"weight": 0, "replicas": None}}, True),
        ({"url": "x"}, {"url": "x", "candidate": {"weight": 5}}, False),
        ({"conditions": [{"type": "Ready"}]}, {"conditions": []}, False),
        ({"candidate": {"weight": 0}}, {"candidate": {}}, False),
        ({}, None, True),
        ({"candidate": {"conditions": [], "message": None}}, {}, True),
        ({"conditions": [{"type": "Ready", "message": None}]}, {"conditions": [{"type": "Ready"}]}, True),
        ({"conditions": [{}]}, {"conditions": []}, False),
        ({"conditions": [{"message": None}]}, {"conditions": [None]}, False),
        ({"conditions": ["a", "b"]}, {"conditions": ["b", "a"]}, False),
        ({"message": ""}, {}, False),
    ],
    ids=str,
)
def test_statuses_are_compared_as_a_whole(desired: Any, observed: Any, want: bool) -> None:
    assert differ.status_equal(desired, observed) is want
