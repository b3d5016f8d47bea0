"""What operator and sensor share."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from airflow.sdk import Context
from kubernetes_asyncio import client

from sluice.batch.airflow import client as kube
from sluice.batch.airflow import errors, objects
from sluice.batch.airflow.trigger import BatchInferenceTrigger

log = logging.getLogger(__name__)

CONNECTION: Final = "kubernetes_default"
UNREACHABLE_SECONDS: Final = 300.0


def task_instance_of(context: Context) -> objects.TaskInstance:
    """The task that runs."""
    ti = context["ti"]
    return objects.TaskInstance(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )


@contextmanager
def refused_arguments() -> Iterator[None]:
    """Makes of a ValueError about the task's arguments an error after which Airflow does not try again."""
    try:
        yield
    except ValueError as error:
        raise errors.SpecRefused(str(error)) from error


async def _log_pods(waited: BatchInferenceTrigger, outcome: objects.TaskOutcome) -> None:
    """What the run's pods said last becomes part of the task's log, where the connection may read it."""
    run = outcome.run.get("name")
    if not run:
        return
    try:
        logs = await waited.cluster.logs(run)
    except (client.ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
        log.info("The logs of the pods of %s are not shown: %s", run, kube.text_of(error))
        return
    for pod, text in logs.items():
        log.info("Pod %s said last:\n%s", pod, text)


async def delivered(context: Context, waited: BatchInferenceTrigger, outcome: objects.TaskOutcome) -> dict[str, int]:
    """Pushes where the result of a complete run is, and returns its rows for `return_value`.

    Raises RunFailed, or WouldFailAgain, for any other outcome.
    """
    namespace = await waited.cluster.namespace()
    await _log_pods(waited, outcome)
    if outcome.ending is not objects.Ending.COMPLETE:
        error = errors.WouldFailAgain if outcome.fails_again else errors.RunFailed
        raise error(f"BatchInference {namespace}/{waited.name}: {outcome.ending.value}: {outcome.message}")
    told = {"namespace": namespace, "name": waited.name}
    told |= {"run": outcome.run.get("name", "")} | {key: outcome.run.get(key, "") for key in ("revision", "uri")}
    for key, value in told.items():
        context["ti"].xcom_push(key=key, value=value)
    return dict(outcome.rows)
