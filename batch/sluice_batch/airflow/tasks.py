"""Shared code of operator and sensor."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from airflow.sdk import Context

from sluice_batch.airflow import errors, objects
from sluice_batch.airflow.trigger import BatchInferenceTrigger

CONNECTION: Final = "kubernetes_default"
UNREACHABLE_SECONDS: Final = 300.0


def task_instance_of(context: Context) -> objects.TaskInstance:
    """The running task."""
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
    """Turns a ValueError about the task's arguments into an error after which Airflow does not retry."""
    try:
        yield
    except ValueError as error:
        raise errors.SpecRefused(str(error)) from error


async def delivered(context: Context, waited: BatchInferenceTrigger, outcome: objects.TaskOutcome) -> dict[str, int]:
    """Pushes the location of a complete run's result, and returns its rows for `return_value`.

    Raises RunFailed, or WouldFailAgain, for any other outcome.
    """
    namespace = await waited.cluster.namespace()
    if outcome.ending is not objects.Ending.COMPLETE:
        error = errors.WouldFailAgain if outcome.fails_again else errors.RunFailed
        raise error(f"BatchInference {namespace}/{waited.name}: {outcome.ending.value}: {outcome.message}")
    told = {"namespace": namespace, "name": waited.name}
    told |= {"run": outcome.run.get("name", "")} | {key: outcome.run.get(key, "") for key in ("revision", "uri")}
    for key, value in told.items():
        context["ti"].xcom_push(key=key, value=value)
    return dict(outcome.rows)
