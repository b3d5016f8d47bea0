"""A BatchInference becomes a Job that a real API server takes, and its end becomes the status; there is no kubelet."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.apiserver import ApiServer
from sluice_core.kernel.naming import LABEL_BATCH
from tests.integration.operator.node import Node
from tests.support.cases.objects import make_model
from tests.support.live.kube import Kube, true_conditions, wait_until
from tests.support.live.process import OperatorProcess, running

Object = dict[str, Any]

NOW = "2026-03-01T12:00:00Z"


@pytest.fixture(scope="module")
def operator(
    api_server: ApiServer, cluster: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    with running(api_server.kubeconfig, tmp_path_factory.mktemp("operator")) as process:
        yield process


def make_batch(node: Node, **spec: Any) -> Object:
    wanted = {
        "model": {"format": "onnx", "uri": "s3://models/digits/1", "credentialsSecretRef": {"name": "models"}},
        "input": {"uri": "s3://data/today", "format": "Parquet", "credentialsSecretRef": {"name": "data"}},
        "output": {"uri": "pvc://scores/today", "format": "Parquet"},
        "engine": {"shards": 2},
        **spec,
    }
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "BatchInference",
        "metadata": {"name": "churn", "namespace": node.namespace},
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


def jobs(node: Node) -> list[Object]:
    probe = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": node.namespace}}
    answer = node.kube.http.get(node.kube.path(probe), params={"labelSelector": LABEL_BATCH}).raise_for_status()
    return [{"apiVersion": "batch/v1", "kind": "Job", **item} for item in answer.json()["items"]]


def the_job(node: Node) -> Object:
    wait_until(lambda: len(jobs(node)) == 1)
    return jobs(node)[0]


def complete(node: Node, batch: Object) -> Object:
    """The condition Complete; empty reason while there is none."""
    conditions = node.kube.get(batch).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Complete"), {"reason": ""})


def start_pod(node: Node, job: Object, index: int) -> Object:
    """The pod that the Job controller would make of the template."""
    template = job["spec"]["template"]
    name = job["metadata"]["name"]
    labels = {
        **template["metadata"]["labels"],
        "batch.kubernetes.io/job-name": name,
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-{index}", "namespace": node.namespace, "labels": labels},
        "spec": template["spec"],
    }
    node.kube.create(pod).raise_for_status()
    return pod


def end_pod(node: Node, pod: Object, code: int, message: str) -> None:
    end = {"exitCode": code, "message": message, "reason": "Completed", "startedAt": NOW, "finishedAt": NOW}
    status = {"name": "batch", "image": "batch", "imageID": "", "ready": False, "restartCount": 0}
    phase = "Succeeded" if code == 0 else "Failed"
    statuses = [{**status, "state": {"terminated": end}}]
    node.kube.patch(
        pod, {"status": {"phase": phase, "containerStatuses": statuses}}, subresource="/status"
    ).raise_for_status()


def end_job(node: Node, job: Object, how: str, **status: Any) -> None:
    first = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[how]
    conditions = [
        {"type": type_, "status": "True", "lastTransitionTime": NOW, "lastProbeTime": NOW, "reason": "R", "message": ""}
        for type_ in (first, how)
    ]
    node.kube.patch(
        job, {"status": {"startTime": NOW, "conditions": conditions, **status}}, subresource="/status"
    ).raise_for_status()


def success(rows: int) -> str:
    return json.dumps({"shard": 0, "read": rows, "written": rows, "failed": 0, "seconds": 1.0})


def test_it_becomes_a_job_whose_end_becomes_the_status(operator: OperatorProcess, node: Node) -> None:
    batch = make_batch(node)
    node.kube.apply(batch, manager="user").raise_for_status()
    job = the_job(node)
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "BatchInference"
    wait_until(lambda: complete(node, batch)["reason"] == "Running")
    for index in range(2):
        end_pod(node, start_pod(node, job, index), 0, success(500))
    end_job(node, job, "Complete", completionTime=NOW, succeeded=2, completedIndexes="0,1")
    wait_until(lambda: "Complete" in true_conditions(node.kube.get(batch)))
    wait_until(lambda: node.kube.get(batch)["status"]["rows"]["written"] == 1000)
    status = node.kube.get(batch)["status"]
    assert (status["percent"], status["run"]["outcome"]) == (100, "Complete")
    before = operator.metric("sluice_api_writes_total")
    node.kube.patch(job, {"metadata": {"annotations": {"somebody": "looked"}}}).raise_for_status()
    wait_until(lambda: operator.metric("sluice_workqueue_depth") == 0)
    assert operator.metric("sluice_api_writes_total") == before


def test_it_runs_the_stable_version_of_a_model_and_waits_for_there_being_one(
    operator: OperatorProcess, node: Node
) -> None:
    batch = make_batch(node, model=None, modelDeploymentRef={"name": "digits"})
    node.kube.apply(batch, manager="user").raise_for_status()
    wait_until(lambda: complete(node, batch)["reason"] == "ModelDeploymentNotFound")
    model = make_model(node.namespace)
    node.kube.apply(model, manager="user").raise_for_status()

    def begun() -> bool:
        node.play()
        return len(jobs(node)) == 1

    wait_until(begun)
    stable = node.kube.get(model)["status"]["stable"]["revision"]
    assert node.kube.get(batch)["status"]["run"]["revision"] == stable


def test_it_is_held_and_goes_on(operator: OperatorProcess, node: Node) -> None:
    batch = make_batch(node)
    node.kube.apply(batch, manager="user").raise_for_status()
    job = the_job(node)
    node.kube.patch(batch, {"spec": {"suspend": True}}).raise_for_status()
    wait_until(lambda: node.kube.get(job)["spec"]["suspend"] is True)
    wait_until(lambda: "Suspended" in true_conditions(node.kube.get(batch)))
    node.kube.patch(batch, {"spec": {"suspend": False}}).raise_for_status()
    wait_until(lambda: node.kube.get(job)["spec"]["suspend"] is False)
    assert len(jobs(node)) == 1


def test_bad_input_fails_it_with_the_reason(operator: OperatorProcess, node: Node) -> None:
    batch = make_batch(node)
    node.kube.apply(batch, manager="user").raise_for_status()
    job = the_job(node)
    end_pod(node, start_pod(node, job, 0), 42, "ColumnMissing: there is no column age; there are x, y")
    end_job(node, job, "Failed", failedIndexes="0", failed=1)
    wait_until(lambda: "Failed" in true_conditions(node.kube.get(batch)))
    assert complete(node, batch)["reason"] == "ColumnMissing"


def test_a_job_that_is_too_old_goes(operator: OperatorProcess, node: Node) -> None:
    batch = make_batch(node, ttlSecondsAfterFinished=0)
    node.kube.apply(batch, manager="user").raise_for_status()
    end_job(node, the_job(node), "Complete", completionTime=NOW, succeeded=2, completedIndexes="0,1")
    wait_until(lambda: "Complete" in true_conditions(node.kube.get(batch)))
    wait_until(lambda: jobs(node) == [])
