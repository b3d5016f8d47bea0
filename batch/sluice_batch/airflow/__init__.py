"""A BatchInference as a task of Apache Airflow.

    BatchInferenceOperator(
        task_id="score",
        model_deployment="digits",
        input_data={"uri": "s3://data/digits/{{ ds }}", "format": "Parquet"},
        output_data={"uri": "s3://scores/digits/{{ ds }}", "format": "Parquet", "mode": "Overwrite"},
    )

It needs Airflow 3.3 or newer and its Kubernetes provider, and talks to the API server only. It imports the names of the
runner's reasons, and nothing that Sluice's operator requires.
"""

from sluice_batch.airflow.operator import BatchInferenceOperator
from sluice_batch.airflow.sensor import BatchInferenceSensor
from sluice_batch.airflow.trigger import BatchInferenceTrigger

__all__ = ["BatchInferenceOperator", "BatchInferenceSensor", "BatchInferenceTrigger"]
