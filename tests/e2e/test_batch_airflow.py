"""DAGs of a real Airflow, in the environment of integrations/airflow, over data sets on the lab."""

import json
import os
import subprocess
from collections.abc import Callable
from typing import Final

import pytest

from demo.cluster import ROOT, Cluster
from tests.e2e.datasets import batch, condition_of, require_every_row_once, upload, wait_end
from tests.e2e.test_batch import MODEL, runner
from tests.support.live.scene import Scene

__all__ = ["runner"]  # a fixture that every test here uses

ENVIRONMENT: Final = "build/airflow/.synced"
AIRFLOW: Final = ROOT / "build" / "airflow" / "venv" / "bin" / "airflow"
DAY: Final = "2026-11-25"
ROWS: Final = 20_000
DAG: Final = """\
import json
from airflow.sdk import DAG
from sluice_batch.airflow import BatchInferenceOperator

for dag_id, spec in json.loads({specs!r}).items():
    source, target = spec.pop("input"), spec.pop("output")
    model = spec.pop("modelDeploymentRef")["name"]
    with DAG(dag_id, schedule=None):
        BatchInferenceOperator(
            task_id="score", name=dag_id, model_deployment=model, input_data=source, output_data=target, spec=spec,
            deferrable=True, retries=2,
        )
"""

pytestmark = [pytest.mark.disturbs, pytest.mark.slow]

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def run_dag(lab: Cluster, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs one of the two DAGs to its end, as `airflow dags test` does; what it printed."""
    subprocess.run(["make", "--no-print-directory", ENVIRONMENT], cwd=ROOT, check=True)
    home = tmp_path_factory.mktemp("airflow")
    source = upload(lab, "data/airflow.parquet", ROWS)
    good = batch("good", source, "answers/airflow/", engine={"shards": 2})["spec"]
    bad = batch("bad", source, "answers/airflow-bad/")["spec"]
    bad["input"]["columns"] = ["pixels"]
    (home / "dags").mkdir()
    (home / "dags" / "cases.py").write_text(DAG.format(specs=json.dumps({"good": good, "bad": bad})))
    connection = {"kube_config_path": str(scene.tools.kubeconfig), "namespace": scene.namespace}
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": connection}),
    }

    def airflow(*arguments: str) -> str:
        done = subprocess.run(
            [AIRFLOW, *arguments], env=os.environ | settings, capture_output=True, text=True, timeout=400, check=False
        )
        return done.stdout + done.stderr

    airflow("db", "migrate")
    return lambda dag_id: airflow("dags", "test", dag_id, DAY)


def test_a_dag_scores_a_data_set(lab: Cluster, scene: Scene, run_dag: Run) -> None:
    printed = run_dag("good")
    status = wait_end(scene, "good")
    assert status["run"]["outcome"] == "Complete", printed
    assert status["rows"] == {"total": ROWS, "read": ROWS, "written": ROWS, "failed": 0}
    assert status["run"]["revision"] == scene.deployment(MODEL)["status"]["stable"]["revision"]
    require_every_row_once(lab, "answers/airflow/", ROWS)
    assert "2 of 2 shards" in printed, "progress is in the task's log"
    assert "DagRun Finished: dag_id=good" in printed
    assert "state=success" in printed, printed


def test_a_run_that_would_fail_again_is_not_tried_again(scene: Scene, run_dag: Run) -> None:
    printed = run_dag("bad")
    assert condition_of(scene, "bad", "Failed")["reason"] == "BadColumns", printed
    assert "WouldFailAgain" in printed
    assert "the data has no column 'pixels'" in printed
