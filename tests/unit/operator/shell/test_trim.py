"""Trimming: what decisions read stays, what nobody reads goes."""

import importlib
import pkgutil
from typing import Any

import pytest

import sluice_core
from sluice.shell.cache.trim import ANNOTATIONS, same_content, trimmed
from sluice_core.kernel.naming import ANNOTATION_OUTCOME, LABEL_BATCH
from sluice_core.parsing import podproblems
from sluice_core.render.jobs import sparkapplication
from tests.unit.operator.shell.builders import make_object


def test_metadata_loses_what_only_the_server_and_kubectl_use() -> None:
    raw = make_object("ModelRollout", "digits", spec={"a": 1}, status={"b": 2})
    raw["metadata"] |= {"managedFields": [{}], "annotations": {"mine": "1", ANNOTATION_OUTCOME: "2"}, "generation": 3}
    kept = trimmed(raw)
    assert "managedFields" not in kept["metadata"]
    assert kept["metadata"]["annotations"] == {ANNOTATION_OUTCOME: "2"}
    assert kept["metadata"]["generation"] == 3
    assert (kept["spec"], kept["status"]) == ({"a": 1}, {"b": 2})


def test_every_annotation_that_the_core_reads_of_an_object_is_kept() -> None:
    modules = [
        importlib.import_module(each.name) for each in pkgutil.walk_packages(sluice_core.__path__, "sluice_core.")
    ]
    read = {value for each in modules for name, value in vars(each).items() if name.startswith("ANNOTATION_")}
    assert read - {sparkapplication.ANNOTATION_EXECUTOR} == set(ANNOTATIONS), "that one is read in its pod"


def test_of_a_model_it_stays_known_when_its_spec_was_changed() -> None:
    raw = make_object("ModelDeployment", "digits", spec={})
    user = {"manager": "kubectl", "time": "2026-03-01T12:00:00Z", "fieldsV1": {"f:spec": {"f:model": {"f:uri": {}}}}}
    operator = {"manager": "sluice", "time": "2026-03-01T13:00:00Z", "fieldsV1": {}, "subresource": "status"}
    raw["metadata"]["managedFields"] = [user, operator]
    assert trimmed(raw)["metadata"]["managedFields"] == [{"time": user["time"], "fieldsV1": {"f:spec": {}}}]


def test_a_pod_keeps_what_tells_its_state() -> None:
    container: dict[str, Any] = {"name": "server", "image": "i", "env": [{"name": "X", "value": "1"}], "resources": {}}
    state = {
        "name": "server",
        "image": "i@sha256",
        "ready": False,
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1}},
        "containerID": "containerd://1",
    }
    pod = make_object(
        "Pod",
        "p",
        owner="digits",
        spec={"containers": [container], "nodeName": "n", "volumes": [{}]},
        status={
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": [state],
            "conditions": [{"type": "Ready"}],
        },
    )
    kept = trimmed(pod)
    assert kept["spec"] == {"initContainers": [], "containers": [{"name": "server", "image": "i"}]}
    assert kept["status"]["containerStatuses"] == [{key: state[key] for key in state if key != "containerID"}]
    assert kept["status"]["phase"] == "Running"
    assert kept["status"]["conditions"] == [{"type": "Ready"}]
    assert "podIP" not in kept["status"]


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (
            {"reason": "ErrImagePull", "message": 'failed to pull image "r:5000/digits:9": not found'},
            "the model's image r:5000/digits:9 cannot be pulled",
        ),
        (
            {"reason": "CreateContainerConfigError", "message": 'secret "models-s3" not found'},
            "create the Secret with AWS_ACCESS_KEY_ID,",
        ),
    ],
)
def test_what_ails_a_pod_is_told_as_by_the_whole_of_it(waiting: dict[str, str], said: str) -> None:
    """The image of a model was taken for that of the downloader, and no key of a missing Secret was named."""
    key = {"name": "models-s3", "key": "AWS_ACCESS_KEY_ID"}
    further = {"name": "models-s3", "key": "AWS_SESSION_TOKEN", "optional": True}
    env = [{"name": each["key"], "valueFrom": {"secretKeyRef": each}} for each in (key, further)]
    downloader = {"name": "storage-initializer", "image": "sluice/storage-initializer", "env": env}
    status = {"initContainerStatuses": [{"name": "storage-initializer", "ready": False, "state": {"waiting": waiting}}]}
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "source", "image": {"reference": "r:5000/digits:9"}}]
    pod = make_object("Pod", "p", spec={"initContainers": [downloader], "volumes": volumes}, status=status)
    whole = podproblems.problem(pod, 0.0)
    assert podproblems.problem(trimmed(pod), 0.0) == whole
    assert whole is not None
    assert said in whole.message


def test_the_original_is_not_changed_and_equal_strings_are_shared() -> None:
    def service(name: str) -> dict[str, Any]:
        return make_object("Service", name, spec={"clusterIP" + "": "10.0.0." + "1"}, status={"loadBalancer": {}})

    raw = service("a")
    one, other = trimmed(raw), trimmed(service("b"))
    assert raw["status"] == {"loadBalancer": {}}
    assert one["status"] == {}
    assert one["spec"]["clusterIP"] is other["spec"]["clusterIP"]


def test_a_pod_of_a_batch_keeps_its_address_and_a_job_what_it_counts() -> None:
    pod = make_object("Pod", "churn-1-0", status={"phase": "Running", "podIP": "10.0.0.1"})
    pod["metadata"]["labels"] = {LABEL_BATCH: "churn"}
    assert trimmed(pod)["status"]["podIP"] == "10.0.0.1"
    status = {"active": 3, "startTime": "t", "completedIndexes": "0-4", "failedIndexes": "5", "conditions": []}
    job = trimmed(make_object("Job", "churn-1", spec={"suspend": True, "template": {}}, status=status))
    assert job["spec"] == {"suspend": True}
    assert job["status"] == {"completedIndexes": "0-4", "failedIndexes": "5", "conditions": []}


def test_an_autoscaler_keeps_whether_it_measures_and_not_what() -> None:
    conditions = [{"type": "AbleToScale", "message": "at 12:00"}, {"type": "ScalingActive", "status": "True"}]
    status = {"currentMetrics": [{}], "desiredReplicas": 3, "conditions": conditions}
    kept = trimmed(make_object("HorizontalPodAutoscaler", "h", status=status))
    assert kept["status"] == {"conditions": [{"type": "ScalingActive", "status": "True"}]}


def shuffled(value: Any) -> Any:
    """The same, with every list the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(each) for key, each in value.items()}
    return [shuffled(each) for each in reversed(value)] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["Gateway", "HTTPRoute", "GRPCRoute"])
def test_the_order_in_which_a_gateway_says_things_is_no_news(kind: str) -> None:
    """Contour writes conditions in another order each time, and a Gateway's news are news for every model."""
    conditions = [{"type": type_, "status": "True"} for type_ in ("Accepted", "Programmed", "ResolvedRefs")]
    listeners = [{"name": name, "conditions": conditions} for name in ("http", "https")]
    parents = [
        {"controllerName": name, "parentRef": {"name": gateway}, "conditions": conditions}
        for name in ("contour", "other")
        for gateway in ("models", "others")
    ]
    gateways = {"conditions": conditions, "listeners": listeners}
    status = gateways if kind == "Gateway" else {"parents": parents}
    one, other = (trimmed(make_object(kind, "models", status=each)) for each in (status, shuffled(status)))
    assert same_content(one, other)
