"""Whole runs of batch inference on engine Spark, with a virtual clock."""

from typing import Any

import pytest

from sluice_core.kernel.rawobjects import JOB_NAME_LABEL
from sluice_core.render.jobs.batchjob import INDEX_LABEL
from sluice_judge import timestamps
from tests.support.simulated.batchcluster import NAMESPACE, BatchCluster, batch, make_cluster

SPARK = {"type": "Spark", "executors": 2, "serviceAccountName": "spark"}
APPLICATION = "SparkApplication"


def make_cluster_with_operator(**spec: Any) -> BatchCluster:
    cluster = BatchCluster(spark_operator=True)
    cluster.model_serves()
    cluster.user_applies(batch(engine=SPARK, **spec))
    cluster.step()
    return cluster


def executor(cluster: BatchCluster, run: str, **status: Any) -> None:
    """A pod created by a driver."""
    labels = {"sluice.dev/batch-inference": "churn", "spark-role": "executor", "spark-app-name": run}
    cluster.objects["Pod", "executor-1"] = {
        "kind": "Pod",
        "metadata": {"name": "executor-1", "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [{"name": "batch", "image": "spark"}]},
        "status": status,
    }


def driver(cluster: BatchCluster, run: str, phase: str, state: dict[str, Any]) -> None:
    """The driver's pod under a Spark operator, with the SparkApplication's labels."""
    labels = cluster.objects[APPLICATION, run]["spec"]["driver"]["template"]["metadata"]["labels"]
    assert (labels[JOB_NAME_LABEL], labels[INDEX_LABEL]) == (run, "0")
    cluster.objects["Pod", "driver"] = {
        "kind": "Pod",
        "metadata": {"name": "driver", "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "spark"}]},
        "status": {
            "phase": phase,
            "podIP": "10.0.0.9",
            "containerStatuses": [{"name": "spark-kubernetes-driver", "state": state}],
        },
    }


def application_is(cluster: BatchCluster, run: str, state: str, message: str = "") -> None:
    cluster.objects[APPLICATION, run]["status"] = {
        "applicationState": {"state": state, "errorMessage": message},
        "terminationTime": timestamps.rfc3339(cluster.now),
    }


def terminated(code: int, message: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message}}


# --- without a Spark operator ---------------------------------------------------------------------------------------


def test_the_driver_is_the_one_pod_of_a_job() -> None:
    cluster = make_cluster(engine=SPARK)
    run = cluster.run_name()
    assert cluster.jobs() == [run]
    cluster.says(run, 0, read=40, total=100, splits=(2, 5))
    cluster.run(60)
    assert cluster.status()["rows"] == {"total": 100, "read": 40, "written": 40, "failed": 0}
    assert cluster.status()["percent"] == 40
    cluster.shard_ends(run, 0, rows=100, failed=1)
    cluster.step()
    assert cluster.condition() == ("True", "RunCompleted")
    assert cluster.status()["rows"] == {"total": 100, "read": 100, "written": 99, "failed": 1}
    assert cluster.status()["shards"] == {"total": 1, "running": 0, "succeeded": 1, "failed": 0}


def test_an_unschedulable_executor_is_reported() -> None:
    cluster = make_cluster(engine=SPARK)
    unplaced = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
        "lastTransitionTime": timestamps.rfc3339(cluster.now - 600),
    }
    executor(cluster, cluster.run_name(), phase="Pending", conditions=[unplaced])
    cluster.step()
    assert cluster.condition() == ("False", "Unschedulable")
    assert "Insufficient cpu" in cluster.message()


def test_executors_count_no_rows() -> None:
    cluster = make_cluster(engine=SPARK)
    run = cluster.run_name()
    executor(
        cluster, run, phase="Running", podIP="10.0.0.8", containerStatuses=[{"name": "batch", "state": {"running": {}}}]
    )
    cluster.step()
    assert cluster.status()["shards"]["running"] == 1


def test_too_little_memory_is_said_before_anything_runs() -> None:
    cluster = make_cluster(engine=SPARK, resources={"limits": {"memory": "512Mi"}})
    assert cluster.condition() == ("False", "TooLittleMemory")
    assert "use 1Gi or more" in cluster.message()
    assert cluster.jobs() == []


def test_a_driver_has_no_account_that_the_platform_does_not_know() -> None:
    """Its code is the user's, which could use the rights of any account of the namespace."""
    cluster = make_cluster(engine={**SPARK, "serviceAccountName": "deployer"})
    assert cluster.condition() == ("False", "AccountNotAllowed")
    assert "deployer is not one of spark," in cluster.message()
    assert cluster.jobs() == []


# --- with one -------------------------------------------------------------------------------------------------------


def test_a_spark_operator_gets_an_application() -> None:
    cluster = make_cluster_with_operator()
    run = cluster.run_name()
    assert cluster.jobs() == []
    assert (APPLICATION, run) in cluster.objects
    driver(cluster, run, "Running", {"running": {}})
    application_is(cluster, run, "RUNNING")
    cluster.step()
    assert cluster.status()["shards"] == {"total": 1, "running": 1, "succeeded": 0, "failed": 0}
    driver(
        cluster, run, "Succeeded", terminated(0, '{"shard": 0, "read": 100, "written": 97, "failed": 3, "seconds": 1}')
    )
    application_is(cluster, run, "COMPLETED")
    cluster.step()
    assert cluster.condition() == ("True", "RunCompleted")
    assert cluster.status()["rows"] == {"total": 100, "read": 100, "written": 97, "failed": 3}


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("BadColumns: the data has no column 'x'", ("True", "BadColumns")),
        ("", ("True", "SparkApplicationFailed")),
    ],
)
def test_a_failed_application_says_why(said: str, want: tuple[str, str]) -> None:
    cluster = make_cluster_with_operator()
    run = cluster.run_name()
    if said:
        driver(cluster, run, "Failed", terminated(42, said))
    application_is(cluster, run, "FAILED", "driver container failed")
    cluster.step()
    assert cluster.condition("Failed") == want


SPARK_SUBMIT_LOG = """failed to submit spark application: failed to run spark-submit: WARNING: Using incubator modules
26/11/25 23:18:20 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform
Exception in thread "main" io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: \
https://10.96.0.1:443/api/v1/namespaces/ml/pods. Message: pods "churn-1-driver" is forbidden: error looking up service \
account ml/nope: serviceaccount "nope" not found. Received status: Status(apiVersion=v1, code=403, kind=Status).
\tat io.fabric8.kubernetes.client.KubernetesClientException.copyAsCause(KubernetesClientException.java:205)
Caused by: io.fabric8.kubernetes.client.KubernetesClientException: the same once more
\tat java.base/java.lang.Thread.run(Thread.java:840)
"""
REFUSAL = (
    'pods "churn-1-driver" is forbidden: error looking up service account ml/nope: serviceaccount "nope" not found'
)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        pytest.param(SPARK_SUBMIT_LOG, f": {REFUSAL}; check", id="the API server refuses"),
        pytest.param(
            "failed to submit spark application: 26/11/25 23:18:20 WARN x\njava.lang.IllegalArgumentException: spark.executor.cores: 0\n  at org.apache.spark.X(X.scala:1)\n",
            ": java.lang.IllegalArgumentException: spark.executor.cores: 0; check",
            id="Spark refuses",
        ),
        pytest.param(
            "failed to submit spark application: failed to get master URL",
            ": failed to submit spark application: failed to get master URL; check",
            id="no log",
        ),
    ],
)
def test_a_driver_that_cannot_be_created_is_reported(said: str, want: str) -> None:
    cluster = make_cluster_with_operator()
    run = cluster.run_name()
    application_is(cluster, run, "SUBMISSION_FAILED", said)
    cluster.step()
    assert cluster.condition() == ("False", "SubmissionFailed")
    assert want in cluster.message()
    driver(cluster, run, "Failed", terminated(137, "taken back when the submission failed"))
    application_is(cluster, run, "FAILED", said)
    cluster.step()
    assert cluster.condition("Failed") == ("True", "SubmissionFailed")
    assert want.removesuffix("; check") in cluster.message()


def test_an_ignored_application_is_reported_in_time() -> None:
    cluster = make_cluster_with_operator()
    assert cluster.condition() == ("False", "Running")
    assert cluster.requeue_after == 120
    cluster.now += cluster.requeue_after
    cluster.step()
    assert cluster.condition() == ("False", "NotTakenUp")
    assert "watches namespace ml" in cluster.message()
    assert cluster.requeue_after is None
    application_is(cluster, cluster.run_name(), "SUBMITTED")
    cluster.step()
    assert cluster.condition() == ("False", "Running")


def test_suspension_is_the_spark_operators() -> None:
    cluster = make_cluster_with_operator()
    run = cluster.run_name()
    cluster.objects["BatchInference", "churn"]["spec"]["suspend"] = True
    cluster.step()
    assert cluster.objects[APPLICATION, run]["spec"]["suspend"] is True


def test_a_run_that_began_as_a_job_goes_on_as_one() -> None:
    cluster = make_cluster(engine=SPARK)
    run = cluster.run_name()
    cluster.spark_operator = True
    cluster.step()
    assert cluster.jobs() == [run]
    assert (APPLICATION, run) not in cluster.objects


def test_bad_input_is_not_tried_again_by_a_spark_operator() -> None:
    """It retries every failure, unless its application is deleted."""
    cluster = make_cluster_with_operator()
    run = cluster.run_name()
    driver(cluster, run, "Failed", terminated(42, "BadColumns: the data has no column 'age'"))
    application_is(cluster, run, "FAILING", "driver container failed")
    cluster.step()
    assert cluster.condition("Failed") == ("True", "BadColumns")
    assert (APPLICATION, run) not in cluster.objects


def test_what_may_pass_is_tried_again_by_a_spark_operator() -> None:
    cluster = make_cluster_with_operator()
    run = cluster.run_name()
    driver(cluster, run, "Failed", terminated(1, "StoreUnreachable: no connection"))
    application_is(cluster, run, "FAILING", "driver container failed")
    cluster.step()
    assert cluster.condition("Failed")[0] == "False"
    assert (APPLICATION, run) in cluster.objects
