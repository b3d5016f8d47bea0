"""A BatchInference on Spark: the driver and two executors as Pods, in a namespace under the restricted standard.

First without a Spark operator, then with one.
"""

import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow
import pytest
import yaml
from pyarrow import parquet

from demo import digits, models, setup
from demo.cluster import Cluster
from lab import sparkoperator
from tests.e2e.conftest import bring_further_image
from tests.support.live.scene import Scene, uri, wait_until

ROWS: Final = 1_000_000
GROUP: Final = 50_000
DATA: Final = "data"
NAME: Final = "spark-digits"
APPLICATIONS: Final = "sparkapplications.sparkoperator.k8s.io"
# Two processors have to do for the lab, the driver and the executors.
RESOURCES: Final = {"requests": {"cpu": "200m"}, "limits": {"memory": "1536Mi"}}

pytestmark = [pytest.mark.disturbs, pytest.mark.slow]


@pytest.fixture(scope="module")
def store(lab: Cluster) -> Any:
    """A client of the object store, as its administrator."""
    client = setup.object_store(lab)
    if DATA not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=DATA)
    return client


@pytest.fixture(scope="module", autouse=True)
def spark(lab: Cluster, scene: Scene) -> None:
    """The image, and the account that may create executors."""
    bring_further_image(lab, "spark")
    lab.tools.kubectl("label", "namespace", scene.namespace, "pod-security.kubernetes.io/enforce=restricted")
    scene.apply(*yaml.safe_load_all((setup.EXAMPLES / "spark-rbac.yaml").read_text()))


@pytest.fixture(scope="module")
def expected(store: Any) -> dict[int, int]:
    """Uploads ROWS images with their ids; the label that plain ONNX Runtime gives, by the image's number."""
    images = digits.split()[1].images
    ids = np.arange(ROWS)
    flat = pyarrow.array(np.tile(images, (-(-ROWS // len(images)), 1))[:ROWS].reshape(-1))
    lists = pyarrow.FixedSizeListArray.from_arrays(flat, digits.PIXELS).cast(pyarrow.list_(pyarrow.float32()))
    body = io.BytesIO()
    parquet.write_table(pyarrow.table({"id": ids, "image": lists}), body, row_group_size=GROUP, compression="zstd")
    store.put_object(Bucket=DATA, Key=f"{NAME}/in/digits.parquet", Body=body.getvalue())
    session = models.open_session(models.ensure()["v2"])
    (labels,) = session.run(["label"], {"image": images})
    return dict(enumerate(map(int, labels)))


def batch(name: str, **spec: Any) -> dict[str, Any]:
    keys = {"credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET}}
    wanted = {
        "model": {"name": "digits", "format": "onnx", "uri": uri("2"), **keys},
        "input": {"uri": f"s3://{DATA}/{NAME}/in", "format": "Parquet", **keys},
        "output": {"uri": f"s3://{DATA}/{NAME}/{name}", "format": "Parquet", "mode": "Overwrite", **keys},
        "batchSize": 1024,
        "engine": {"type": "Spark", "executors": 2, "serviceAccountName": "spark"},
        "resources": RESOURCES,
        **spec,
    }
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": "BatchInference", "metadata": {"name": name}, "spec": wanted}


def found(scene: Scene, name: str) -> dict[str, Any]:
    return scene.tools.get("batchinferences.sluice.dev", name, scene.where)


def run_of(scene: Scene, name: str) -> str:
    begun = wait_until(lambda: found(scene, name).get("status", {}).get("run"), "a run has begun")
    return str(begun["name"])


def conditions(scene: Scene, name: str) -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in found(scene, name).get("status", {}).get("conditions", ())}


def reason(scene: Scene, name: str) -> str:
    """What is going on."""
    return str(conditions(scene, name).get("Complete", {}).get("reason", ""))


def executors(scene: Scene) -> list[dict[str, Any]]:
    pods: list[dict[str, Any]] = scene.tools.get("pods", scene.where, "--selector=spark-role=executor")["items"]
    return [pod for pod in pods if pod["status"].get("phase") == "Running"]


def ended(scene: Scene, name: str) -> Callable[[], dict[str, Any] | None]:
    def end() -> dict[str, Any] | None:
        told = conditions(scene, name)
        return next((told[each] for each in ("Complete", "Failed") if told.get(each, {}).get("status") == "True"), None)

    return end


def wait_first_split(scene: Scene, store: Any, name: str, *, seconds: float = 0) -> None:
    marks = f"{NAME}/{name}/_sluice/{run_of(scene, name)}/done/"
    wait_until(
        lambda: store.list_objects_v2(Bucket=DATA, Prefix=marks).get("Contents"), "a split is done", seconds=seconds
    )


def wait_complete(scene: Scene, name: str) -> dict[str, Any]:
    """The status of a run that has written every row."""
    end = wait_until(ended(scene, name), "the run has ended", seconds=400)
    assert end["type"] == "Complete", end["message"]
    status: dict[str, Any] = found(scene, name)["status"]
    assert status["rows"] == {"total": ROWS, "read": ROWS, "written": ROWS, "failed": 0}
    return status


def answers(store: Any, name: str) -> pyarrow.Table:
    prefix = f"{NAME}/{name}/part-"
    keys = [entry["Key"] for entry in store.list_objects_v2(Bucket=DATA, Prefix=prefix)["Contents"]]
    bodies = (store.get_object(Bucket=DATA, Key=key)["Body"].read() for key in keys)
    return pyarrow.concat_tables(parquet.read_table(io.BytesIO(body), columns=["id", "label"]) for body in bodies)


def is_whole(table: pyarrow.Table, expected: dict[int, int]) -> bool:
    """Each row once, with the label that the model gives its image."""
    ids, labels = table["id"].to_numpy(), table["label"].to_numpy()
    wanted = np.array([expected[number] for number in range(len(expected))])
    return len(ids) == ROWS == len(np.unique(ids)) and bool(np.array_equal(labels, wanted[ids % len(expected)]))


def test_two_executors_score_a_million_rows_and_one_is_lost_on_the_way(
    scene: Scene, store: Any, expected: dict[int, int], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    scene.apply(batch("lost"))
    wait_first_split(scene, store, "lost")
    running = executors(scene)
    assert len(running) == 2
    victim = running[0]["metadata"]["name"]
    scene.tools.kubectl("delete", "pod", victim, scene.where, "--grace-period=0", "--force")
    status = wait_complete(scene, "lost")
    record_property("seconds", time.monotonic() - began)
    print(status, f"{time.monotonic() - began:.0f} s")
    assert is_whole(answers(store, "lost"), expected)
    told = json.loads(store.get_object(Bucket=DATA, Key=f"{NAME}/lost/_SUCCESS")["Body"].read())
    assert (told["read"], told["written"], told["failed"]) == (ROWS, ROWS, 0)


def test_a_million_rows_undisturbed(
    scene: Scene, store: Any, expected: dict[int, int], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    scene.apply(batch("whole"))
    status = wait_complete(scene, "whole")
    record_property("seconds", time.monotonic() - began)
    print(status, f"{time.monotonic() - began:.0f} s")
    assert is_whole(answers(store, "whole"), expected)


def test_missing_columns_fail_the_run_at_once(scene: Scene, expected: dict[int, int]) -> None:
    keys = batch("bad")["spec"]["input"]
    scene.apply(batch("bad", input={**keys, "columns": ["picture"]}))
    end = wait_until(ended(scene, "bad"), "the run has ended")
    assert (end["type"], end["reason"]) == ("Failed", "BadColumns")
    assert "'picture'" in end["message"]
    assert executors(scene) == []


def test_an_account_without_the_right_says_so(scene: Scene, expected: dict[int, int]) -> None:
    engine = {"type": "Spark", "executors": 2, "serviceAccountName": "default"}
    scene.apply(batch("denied", engine=engine))
    end = wait_until(ended(scene, "denied"), "the run has ended")
    assert (end["type"], end["reason"]) == ("Failed", "AccessDenied")
    assert "spark-rbac.yaml" in end["message"]


# --- with a Spark operator ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spark_operator(scene: Scene) -> Iterator[None]:
    """A Spark operator, and a Sluice that knows of it from the beginning."""
    sparkoperator.up()
    home = f"--namespace={setup.OPERATOR_NAMESPACE}"
    scene.tools.kubectl("rollout", "restart", "deployment/sluice", home)
    scene.tools.kubectl("rollout", "status", "deployment/sluice", home, "--timeout=240s")
    yield
    # Otherwise their SparkApplications come back as Jobs.
    scene.tools.kubectl("delete", "batchinferences.sluice.dev", "--all", scene.where, "--timeout=240s")
    sparkoperator.down()


def stage(scene: Scene, run: str) -> str:
    """Of the SparkApplication, in the Spark operator's words; empty while it has not taken it up."""
    application = scene.tools.get(APPLICATIONS, run, scene.where)
    return str(application.get("status", {}).get("applicationState", {}).get("state", ""))


def left(scene: Scene, run: str) -> str:
    """Names of what is there of a run."""
    named = scene.tools.kubectl("get", APPLICATIONS, run, scene.where, "--ignore-not-found", "--output=name")
    selector = f"--selector=sparkoperator.k8s.io/app-name={run}"
    return (named + scene.tools.kubectl("get", "pods", scene.where, selector, "--output=name")).strip()


@pytest.mark.usefixtures("spark_operator")
def test_the_spark_operator_runs_a_million_rows(
    scene: Scene, store: Any, expected: dict[int, int], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    scene.apply(batch("applied"))
    run = run_of(scene, "applied")
    wait_until(lambda: stage(scene, run) == "RUNNING", "the Spark operator runs it")
    assert scene.tools.kubectl("get", "job", run, scene.where, "--ignore-not-found") == ""
    wait_until(lambda: len(executors(scene)) == 2, "two executors run")
    status = wait_complete(scene, "applied")
    record_property("seconds", time.monotonic() - began)
    print(status, f"{time.monotonic() - began:.0f} s")
    assert is_whole(answers(store, "applied"), expected)
    assert status["shards"] == {"total": 1, "running": 0, "succeeded": 1, "failed": 0}
    assert stage(scene, run) == "COMPLETED"
    scene.tools.kubectl("delete", "batchinference", "applied", scene.where)
    wait_until(lambda: not left(scene, run), "nothing is left of it")


@pytest.mark.usefixtures("spark_operator")
def test_the_spark_operator_holds_a_run_and_lets_it_go_on(scene: Scene, store: Any, expected: dict[int, int]) -> None:
    scene.apply(batch("held"))
    run = run_of(scene, "held")
    wait_first_split(scene, store, "held")
    scene.apply(batch("held", suspend=True))
    wait_until(lambda: stage(scene, run) == "SUSPENDED", "the Spark operator holds it")
    wait_until(lambda: reason(scene, "held") == "Suspended", "it is told")
    wait_until(lambda: not left(scene, run).count("pod/"), "its pods are gone")
    scene.apply(batch("held", suspend=False))
    wait_complete(scene, "held")
    assert run_of(scene, "held") == run
    assert is_whole(answers(store, "held"), expected)


@pytest.mark.usefixtures("spark_operator")
def test_missing_columns_have_the_same_reason_under_the_spark_operator(scene: Scene, expected: dict[int, int]) -> None:
    keys = batch("wrong")["spec"]["input"]
    scene.apply(batch("wrong", input={**keys, "columns": ["picture"]}))
    end = wait_until(ended(scene, "wrong"), "the run has ended", seconds=400)
    assert (end["type"], end["reason"]) == ("Failed", "BadColumns")
    assert "'picture'" in end["message"]
    assert stage(scene, run_of(scene, "wrong")) == "FAILED"


@pytest.mark.usefixtures("spark_operator")
def test_a_driver_that_the_spark_operator_cannot_make_is_told_of(scene: Scene, expected: dict[int, int]) -> None:
    engine = {"type": "Spark", "executors": 2, "serviceAccountName": "nobody"}
    scene.apply(batch("orphan", engine=engine))
    wait_until(lambda: reason(scene, "orphan") == "SubmissionFailed", "it is told")
    end = wait_until(ended(scene, "orphan"), "the run has ended")
    assert (end["type"], end["reason"]) == ("Failed", "SubmissionFailed")
    assert end["message"].endswith('serviceaccount "nobody" not found')
