"""The operator and the sensor in a whole Airflow, with a triggerer, against a real API server.

There is no node: a thread plays Sluice's operator and writes the status of each BatchInference through the API server
(`played.py`). What Airflow and `sluice_batch.airflow` do with it is real.
"""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from played import COLLECTION, ROWS, PlayedOperator
from stack import Airflow, Run

from lab.apiserver import ApiServer
from tests.support.live.kube import Kube, Object

PROGRESS = "10 %, 0 of 1 shards, 100 rows read, 0 failed"
OBJECTS = "/apis/sluice.dev/v1alpha1/namespaces/default/batchinferences"


def found_of(kube: Kube, run: Run) -> Object | None:
    """The object of a task, or None."""
    every: list[Object] = kube.http.get(COLLECTION).raise_for_status().json()["items"]
    annotation = "sluice.dev/airflow-task-instance"
    return next(
        (each for each in every if each["metadata"].get("annotations", {}).get(annotation) == run.identity), None
    )


def running(airflow: Airflow, kube: Kube, run: Run) -> Object:
    """The object of a task, once its run has begun."""
    airflow.until(lambda: bool((found_of(kube, run) or {}).get("status", {}).get("run")))
    found = found_of(kube, run)
    assert found is not None
    return found


def test_a_deferred_task_hands_over_the_rows(airflow: Airflow, kube: Kube, played: PlayedOperator) -> None:
    run = airflow.begin("waits")
    found = running(airflow, kube, run)
    followed(airflow, run)
    played.complete(found)

    run.reaches("success")
    assert run.xcom("return_value") == ROWS
    assert {key: run.xcom(key) for key in ("namespace", "name", "uri", "revision")} == {
        "namespace": "default",
        "name": found["metadata"]["name"],
        "uri": "s3://scores/digits",
        "revision": "digits-7c9f",
    }


def test_a_run_that_would_fail_again_fails_the_task_with_its_reason(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("fails")  # with five retries

    run.reaches("failed")
    assert "WouldFailAgain" in run.log()
    assert "Failed: BadColumns: the input has no column `pixels`; it has image, label" in run.log()
    assert found_of(kube, run) is not None


def test_a_spec_that_is_not_valid_is_not_tried_again(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("asks_nonsense")  # with five retries

    run.reaches("failed")
    assert "spec.batchSize" in run.log()
    assert found_of(kube, run) is None


def test_a_deferred_task_that_is_killed_deletes_its_object(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("waits")
    running(airflow, kube, run)
    followed(airflow, run)

    run.set_state("failed")

    airflow.until(lambda: found_of(kube, run) is None)
    assert run.state() == ("failed", 1)


@pytest.mark.slow
def test_an_object_that_is_deleted_meanwhile_fails_the_task(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("waits")
    found = running(airflow, kube, run)
    followed(airflow, run)

    kube.http.delete(f"{OBJECTS}/{found['metadata']['name']}").raise_for_status()

    run.reaches("failed")
    assert "Deleted: it was deleted while the task waited for it" in run.log()


def test_a_retry_goes_on_with_the_run_that_is_there(airflow: Airflow, kube: Kube, played: PlayedOperator) -> None:
    """The worker's process is killed, as the kernel kills one without memory; nothing of ours gets to run."""
    run = airflow.begin("waits_in_the_worker")
    first = running(airflow, kube, run)

    os.kill(run.process_id(), signal.SIGKILL)
    airflow.until(lambda: run.state() == ("running", 2))
    second = after_takeover(airflow, kube, run, try_number=2)
    played.complete(second)

    run.reaches("success", try_number=2)
    assert (second["metadata"]["uid"], second["metadata"]["generation"]) == (
        first["metadata"]["uid"],
        first["metadata"]["generation"],
    )
    assert run.xcom("return_value") == ROWS


@pytest.mark.slow
def test_a_task_that_is_killed_in_the_worker_deletes_its_object(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("waits_in_the_worker")
    running(airflow, kube, run)

    run.set_state("failed")

    airflow.until(lambda: found_of(kube, run) is None)


@pytest.mark.slow
def test_a_cleared_task_goes_on_where_it_was_suspended(airflow: Airflow, kube: Kube, played: PlayedOperator) -> None:
    run = airflow.begin("waits_and_suspends")
    first = running(airflow, kube, run)
    followed(airflow, run)

    run.set_state("failed")
    airflow.until(lambda: bool((found_of(kube, run) or first)["spec"]["suspend"]))
    run.clear()
    deferred(airflow, run, try_number=2)
    second = after_takeover(airflow, kube, run, try_number=2)
    assert not second["spec"]["suspend"]
    played.complete(second)

    run.reaches("success", try_number=2)
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


@pytest.mark.slow
def test_a_task_that_is_cleared_after_its_success_runs_again(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("completes")
    run.reaches("success")
    first = found_of(kube, run)

    run.clear()

    run.reaches("success", try_number=2)
    second = found_of(kube, run)
    assert first is not None
    assert second is not None
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.slow
def test_a_deferred_task_that_takes_too_long_deletes_its_object(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("takes_too_long")

    run.reaches("failed")
    airflow.until(lambda: found_of(kube, run) is None)


@pytest.mark.slow
def test_an_api_server_that_is_away_is_an_error_that_airflow_tries_again(
    airflow: Airflow, kube: Kube, api_server: ApiServer, changing_kubeconfig: Path, played: PlayedOperator
) -> None:
    kubeconfig = api_server.kubeconfig.read_text()
    nobody = "https://127.0.0.1:1"
    changing_kubeconfig.write_text(kubeconfig.replace(api_server.url, nobody))
    run = airflow.begin("tries_again")
    airflow.until(lambda: "did not answer for 1 s" in run.log())

    changing_kubeconfig.write_text(kubeconfig)

    found = running(airflow, kube, run)
    played.complete(found)
    run.reaches("success", try_number=2)
    assert "ApiServerUnreachable" in run.log()
    assert "the API server of the connection 'changing' did not answer for 1 s" in run.log()


@pytest.mark.slow
def test_the_sensor_waits_for_an_object_of_somebody_else(airflow: Airflow, kube: Kube) -> None:
    run = airflow.begin("watches")
    airflow.until(lambda: "does not exist yet" in run.log())

    kube.create(
        {
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "BatchInference",
            "metadata": {"name": "of-somebody-else"},
            "spec": {
                "modelDeploymentRef": {"name": "digits"},
                "input": {"uri": "s3://data/digits", "format": "CSV"},
                "output": {"uri": "s3://scores/digits", "format": "CSV"},
            },
        }
    ).raise_for_status()

    run.reaches("success")
    assert run.xcom("return_value") == ROWS


@pytest.mark.slow
def test_a_triggerer_that_is_restarted_goes_on_waiting(airflow: Airflow, kube: Kube, played: PlayedOperator) -> None:
    """A restart is no kill: the object stays, and the new process sees its end."""
    run = airflow.begin("waits")
    found = running(airflow, kube, run)
    followed(airflow, run)

    airflow.restart("triggerer")
    played.complete(found)

    run.reaches("success")


def followed(airflow: Airflow, run: Run) -> None:
    """Waits until the triggerer has seen the run; a task is `deferred` before."""
    airflow.until(lambda: PROGRESS in run.log())
    deferred(airflow, run)


def deferred(airflow: Airflow, run: Run, *, try_number: int = 1) -> None:
    """Waits until the scheduler, too, knows that the worker has ended: before, it takes a task that comes back for a lost one."""
    run.reaches("deferred", try_number)
    known = f"try_number={try_number}"
    airflow.until(
        lambda: any(
            "Received executor event" in line and known in line for line in airflow.log_of("scheduler", run.run_id)
        )
    )


def after_takeover(airflow: Airflow, kube: Kube, run: Run, *, try_number: int) -> Object:
    """The object, once that try waits for it and its run has begun for the spec that it has now."""

    def there() -> bool:
        found: dict[str, Any] = found_of(kube, run) or {}
        observed = found.get("status", {}).get("observedGeneration")
        return (
            found.get("metadata", {}).get("annotations", {}).get("sluice.dev/airflow-try") == str(try_number)
            and observed == found["metadata"]["generation"]
        )

    airflow.until(there)
    found = found_of(kube, run)
    assert found is not None
    return found
