"""What a task raises for a run without a result, and whether Airflow tries again after it."""

import asyncio

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from sluice_batch.airflow import errors, tasks
from sluice_batch.airflow.objects import Ending, TaskOutcome
from sluice_batch.airflow.trigger import BatchInferenceTrigger

WAITED = BatchInferenceTrigger(name="digits", namespace="models", kubernetes_conn_id="none", unreachable_seconds=0)


@pytest.mark.parametrize(
    ("outcome", "error", "tried_again"),
    [
        (TaskOutcome(Ending.FAILED, "StoreUnreachable: away", "StoreUnreachable"), errors.RunFailed, True),
        (TaskOutcome(Ending.FAILED, "BadColumns: no x", "BadColumns"), errors.WouldFailAgain, False),
        (TaskOutcome(Ending.DELETED, "it was deleted"), errors.RunFailed, True),
        (TaskOutcome(Ending.UNREACHABLE, "no answer"), errors.RunFailed, True),
        (TaskOutcome(Ending.REFUSED, "forbidden"), errors.RunFailed, True),
    ],
    ids=["passing", "lasting", "deleted", "unreachable", "refused"],
)
def test_a_run_without_a_result(outcome: TaskOutcome, error: type[AirflowException], tried_again: bool) -> None:
    with pytest.raises(error, match=f"models/digits: {outcome.ending}: {outcome.message}") as caught:
        asyncio.run(tasks.delivered(Context(), WAITED, outcome))

    assert isinstance(caught.value, AirflowFailException) is not tried_again
