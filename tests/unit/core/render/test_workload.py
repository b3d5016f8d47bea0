"""Revisions and their Deployments: what makes a new one, and what must not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.kernel import naming
from sluice_core.render import workload
from sluice_judge import hashing
from tests.support.cases import builders

BASE = builders.make_model_deployment()
PINNED_INPUT_HASH = "39cd777103"
PINNED_NAME = "digits-f84c825e79"
PINNED_TEMPLATE = "798bb63771"
PINNED_RUNTIME_HASH = "1e1ad7fe51"


def variant(**changes: Any) -> str:
    return workload.input_hash(builders.make_model_deployment(**changes))


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 7},
        {"routing": {"hostnames": ["a.example.com"], "timeoutSeconds": 5}},
        {"rollout": {"bakeSeconds": 1, "canary": {"steps": [{"weight": 100}]}}},
        {"drainSeconds": 30},
        {"runtime": {}},
        {"runtime": {"args": [], "env": []}},
        {"resources": {"requests": {}, "limits": {}}},
        {"tolerations": [], "nodeSelector": {}, "podAnnotations": {}},
        {"volumes": [], "volumeMounts": [], "podLabels": {}, "resourceClaims": [], "topologySpreadConstraints": []},
    ],
    ids=str,
)
def test_what_changes_no_pod_makes_no_revision(spec: dict[str, Any]) -> None:
    assert variant(spec=spec) == workload.input_hash(BASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "s3://models/digits/2"},
        {"model": {"name": "other"}},
        {"model": {"version": "2"}},
        {"model": {"credentialsSecretRef": {"name": "models-s3"}}},
        {"spec": {"runtime": {"name": "triton"}}},
        {"spec": {"runtime": {"args": ["--log-verbose=1"]}}},
        {"spec": {"runtime": {"image": "registry.example.com/digits:4"}}},
        {"spec": {"runtime": {"env": [{"name": "A", "value": "1"}]}}},
        {"spec": {"resources": {"limits": {"memory": "2Gi"}}}},
        {"spec": {"drainSeconds": 31}},
        {"spec": {"nodeSelector": {"disk": "fast"}}},
        {"spec": {"tolerations": [{"operator": "Exists"}]}},
        {"spec": {"affinity": {"nodeAffinity": {}}}},
        {"spec": {"imagePullSecrets": [{"name": "registry"}]}},
        {"spec": {"serviceAccountName": "models"}},
        {"spec": {"podAnnotations": {"a": "b"}}},
        {"spec": {"podLabels": {"a": "b"}}},
        {"spec": {"priorityClassName": "models"}},
        {"spec": {"schedulerName": "volcano"}},
        {"spec": {"volumes": [{"name": "a", "secret": {"secretName": "a"}}]}},
        {"spec": {"volumeMounts": [{"name": "a", "mountPath": "/a"}]}},
        {"spec": {"sharedMemory": {"sizeLimit": "1Gi"}}},
        {"spec": {"resourceClaims": [{"name": "a", "resourceClaimName": "a"}]}},
        {"spec": {"topologySpreadConstraints": [{"topologyKey": "a"}]}},
        {"model": {"volume": {"emptyDir": {"sizeLimit": "1Gi"}}}},
    ],
    ids=str,
)
def test_what_changes_a_pod_makes_a_revision(changes: dict[str, Any]) -> None:
    assert variant(**changes) != workload.input_hash(BASE)


def test_limits_of_the_runtime_are_pinned_with_a_revision_and_rename_none() -> None:
    limits = {"request": "10m", "backendRequest": "9m"}
    plain, limited = (builders.make_revision(runtime=builders.make_runtime(timeouts=each)) for each in (None, limits))
    assert limited.name == plain.name
    assert "timeouts" not in workload.desired_controller_revision(plain, builders.make_model_deployment())["data"]
    pinned = workload.desired_controller_revision(limited, builders.make_model_deployment())
    assert pinned["data"]["timeouts"] == limits
    assert workload.read_controller_revision(pinned) == limited


def test_input_hash_is_pinned() -> None:
    """A changed value would restart every running model at the next upgrade of the operator."""
    assert workload.input_hash(BASE) == PINNED_INPUT_HASH


def test_names_of_revisions_are_pinned() -> None:
    """They are made of the whole template: a field of the API that nobody has set yet must leave it as it is."""
    assert builders.make_revision().name == PINNED_NAME
    assert hashing.stable_hash(builders.make_revision().template) == PINNED_TEMPLATE
    assert workload.runtime_hash(builders.make_runtime()) == PINNED_RUNTIME_HASH


@given(st.permutations(["zone", "disk", "arch", "pool"]))
def test_hashes_do_not_depend_on_the_order_of_keys(order: list[str]) -> None:
    spec = {"nodeSelector": dict.fromkeys(order, "x")}
    first = builders.make_revision(deployment=builders.make_model_deployment(spec=spec))
    sorted_spec = {"nodeSelector": dict.fromkeys(sorted(order), "x")}
    assert first.name == builders.make_revision(deployment=builders.make_model_deployment(spec=sorted_spec)).name


def test_a_version_that_its_image_carries_is_named_after_the_image() -> None:
    custom = builders.make_model_deployment(
        model={"format": "custom", "uri": None},
        spec={"runtime": {"image": "registry.example.com/digits:3", "port": 5000}},
    )
    revision = builders.make_revision(deployment=custom)
    assert revision.uri == "image://registry.example.com/digits:3"
    assert revision.port == 5000


def test_a_revision_is_named_after_inputs_and_template() -> None:
    revision = builders.make_revision()
    names = {
        revision.name,
        builders.make_revision(uri="s3://models/digits/2").name,
        builders.make_revision(runtime=builders.make_runtime(port=9000, containers=[{"name": "b", "image": "b"}])).name,
    }
    assert len(names) == 3
    assert builders.make_revision(number=9).name == revision.name
    assert all(name.startswith("digits-") and len(name) == len("digits-") + 10 for name in names)


def test_the_longest_name_leaves_room_for_services_and_labels() -> None:
    deployment = builders.make_model_deployment(name="m" * 45)
    assert len(builders.make_revision(deployment=deployment).name) <= 63


def test_the_template_carries_its_own_revision_everywhere() -> None:
    runtime = builders.make_runtime(containers=[builders.make_container(env=[{"name": "R", "value": "{{revision}}"}])])
    revision = builders.make_revision(runtime=runtime)
    assert revision.template["metadata"]["labels"][naming.LABEL_REVISION] == revision.name
    assert revision.template["spec"]["containers"][0]["env"] == [{"name": "R", "value": revision.name}]
    assert "{{" not in str(revision.template)


@pytest.mark.parametrize("version", [None, "3"])
def test_a_controller_revision_gives_the_revision_back(version: str | None) -> None:
    deployment = builders.make_model_deployment(model={"version": version})
    revision = builders.make_revision(deployment=deployment, number=4)
    pinned = workload.desired_controller_revision(revision, deployment)
    assert workload.read_controller_revision(pinned) == revision
    assert pinned["revision"] == 4
    assert pinned["metadata"]["labels"][naming.LABEL_OWNER] == "digits"
    assert pinned["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "ModelDeployment",
            "name": "digits",
            "uid": builders.UID,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_a_grpc_port_is_pinned_and_changes_no_name() -> None:
    without = builders.make_revision()
    speaking = builders.make_revision(runtime=builders.make_runtime(grpc_port=8001))
    assert speaking.name == without.name
    assert "grpcPort" not in workload.desired_controller_revision(without, BASE)["data"]
    pinned = workload.desired_controller_revision(speaking, BASE)
    assert pinned["data"]["grpcPort"] == 8001
    assert workload.read_controller_revision(pinned) == speaking


@pytest.mark.parametrize("data", [None, {}, {"inputHash": "x"}, "text"], ids=str)
def test_a_foreign_controller_revision_is_refused_by_name(data: object) -> None:
    with pytest.raises(ValueError, match="ControllerRevision digits-1"):
        workload.read_controller_revision({"metadata": {"name": "digits-1"}, "revision": 1, "data": data})


def test_the_deployment_comes_from_the_pinned_template_alone() -> None:
    revision = builders.make_revision()
    changed = builders.make_model_deployment(uri="s3://models/digits/9", spec={"drainSeconds": 99, "replicas": 5})
    assert workload.desired_deployment(revision, 2, changed) == workload.desired_deployment(revision, 2, BASE)


def test_a_deployment_never_has_fewer_pods_than_asked_for() -> None:
    revision = builders.make_revision()
    deployment = workload.desired_deployment(revision, 3, BASE)
    assert deployment["metadata"]["name"] == revision.name
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    selector = deployment["spec"]["selector"]["matchLabels"].items()
    assert selector <= revision.template["metadata"]["labels"].items()


def test_an_autoscaler_has_the_say_over_replicas() -> None:
    revision = builders.make_revision()
    assert "replicas" not in workload.desired_deployment(revision, None, BASE)["spec"]
    scaled = builders.make_model_deployment(spec={"autoscaling": {"maximumReplicas": 4}})
    assert workload.input_hash(scaled) == workload.input_hash(BASE)


def test_a_drain_is_marked_with_its_end_rounded_up() -> None:
    revision = builders.make_revision()
    assert "annotations" not in workload.desired_deployment(revision, 0, BASE)["metadata"]
    drained = workload.desired_deployment(revision, 1, BASE, drain_until=builders.NOW + 0.25)
    assert drained["metadata"]["annotations"] == {"sluice.dev/drain-until": "2026-09-21T14:13:21Z"}
