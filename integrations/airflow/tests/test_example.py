"""The example DAG, as `airflow dags test` runs it."""

import pytest
from played import COLLECTION, PlayedOperator
from stack import Airflow

from tests.support.live.kube import Kube

DAY = "2026-11-25"


@pytest.mark.slow
def test_the_example_scores_a_night(prepared: Airflow, kube: Kube, played: PlayedOperator) -> None:
    """There is no node: a thread plays the operator and writes the status. Rendering, applying, deferring, following
    and XCom are real."""
    printed = prepared.run("dags", "test", "digits_nightly", DAY)

    every = kube.http.get(COLLECTION).raise_for_status().json()["items"]
    (found,) = (each for each in every if each["metadata"]["name"].startswith("digits-nightly-score-"))
    assert found["spec"]["input"] == {"uri": f"s3://data/digits/{DAY}", "format": "Parquet"}
    assert found["spec"]["engine"]["shards"] == 4
    assert found["metadata"]["annotations"]["sluice.dev/airflow-collected"] == "1"
    assert "50 %, 0 of 1 shards" in printed
    assert "Returned value was: 998" in printed  # of the task that takes the rows
