"""Scores last night's digits with the version that serves, and refuses to go on when too many rows failed."""

from datetime import datetime, timedelta

from airflow.sdk import dag, task

from sluice_batch.airflow import BatchInferenceOperator


@task
def enough_rows(rows: dict[str, int]) -> int:
    """How many rows have an answer."""
    if rows["failed"] * 100 > rows["read"]:
        raise ValueError(f"{rows['failed']} of {rows['read']} rows have no answer")
    return rows["written"]


@dag(schedule="0 3 * * *", start_date=datetime(2026, 1, 1), catchup=False)
def digits_nightly() -> None:
    scored = BatchInferenceOperator(
        task_id="score",
        model_deployment="digits",
        input_data={"uri": "s3://data/digits/{{ ds }}", "format": "Parquet"},
        output_data={"uri": "s3://scores/digits/{{ ds }}", "format": "Parquet", "mode": "Overwrite"},
        spec={"maximumFailedRowsPercent": "1%", "engine": {"shards": 4}},
        retries=3,
        retry_delay=timedelta(minutes=5),
        deferrable=True,
    )
    enough_rows(scored.output)


digits_nightly()
