"""DAGs of the tests: one task each. The ModelDeployment's name tells the played operator what to do."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from sluice_batch.airflow import BatchInferenceOperator, BatchInferenceSensor

DATA = {
    "input_data": {"uri": "s3://data/digits", "format": "Parquet"},
    "output_data": {"uri": "s3://scores/digits", "format": "Parquet"},
}


def scoring(dag_id: str, model_deployment: str, **arguments: Any) -> None:
    """A DAG with one operator."""
    with DAG(dag_id, schedule=None):
        BatchInferenceOperator(task_id="score", model_deployment=model_deployment, **DATA, **arguments)


scoring("completes", "digits", deferrable=False)
scoring("fails", "broken", deferrable=False, retries=5)
scoring("waits", "slow", deferrable=True)
scoring("waits_and_suspends", "slow", deferrable=True, when_killed="Suspend")
scoring("waits_in_the_worker", "slow", deferrable=False, retries=1, retry_delay=timedelta(seconds=1))
scoring("takes_too_long", "slow", deferrable=True, execution_timeout=timedelta(seconds=5))
scoring(
    "tries_again",
    "slow",
    deferrable=True,
    retries=1,
    retry_delay=timedelta(seconds=1),
    kubernetes_conn_id="changing",
    unreachable_seconds=1,
)
scoring("asks_nonsense", "digits", spec={"batchSize": 0}, retries=5)

with DAG("watches", schedule=None):
    BatchInferenceSensor(task_id="watch", name="of-somebody-else", deferrable=True, timeout=600)
