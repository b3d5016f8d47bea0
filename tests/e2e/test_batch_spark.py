"""A BatchInference on Spark: the driver and two executors as Pods, in a namespace under the restricted standard."""

import io
import json
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow
import pytest
import yaml
from pyarrow import parquet

from demo import digits, models, setup
from demo.cluster import Cluster
from tests.e2e.conftest import use_further_image
from tests.e2e.scene import Scene, uri, wait_until

ROWS: Final = 1_000_000
GROUP: Final = 50_000
DATA: Final = "data"
NAME: Final = "spark-digits"
# Two processors have to do for the lab, the driver and the executors.
RESOURCES: Final = {"requests": {"cpu": "200m"}, "limits": {"memory": "1536Mi"}}

pytestmark = [pytest.mark.slow]


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
    use_further_image(lab, "spark", "config.spark.image")
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
    begun = wait_until(lambda: found(scene, name).get("status", {}).get("run"), "a run has begun", seconds=60)
    return str(begun["name"])


def condition(scene: Scene, name: str, type_: str) -> dict[str, Any]:
    conditions = found(scene, name).get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == type_ and each["status"] == "True"), {})


def executors(scene: Scene) -> list[dict[str, Any]]:
    pods: list[dict[str, Any]] = scene.tools.get("pods", scene.where, "--selector=spark-role=executor")["items"]
    return [pod for pod in pods if pod["status"].get("phase") == "Running"]


def ended(scene: Scene, name: str) -> Callable[[], dict[str, Any] | None]:
    return lambda: condition(scene, name, "Complete") or condition(scene, name, "Failed") or None


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
    marks = f"{NAME}/lost/_sluice/{run_of(scene, 'lost')}/done/"
    wait_until(lambda: store.list_objects_v2(Bucket=DATA, Prefix=marks).get("Contents"), "a split is done", seconds=180)
    running = executors(scene)
    assert len(running) == 2
    victim = running[0]["metadata"]["name"]
    scene.tools.kubectl("delete", "pod", victim, scene.where, "--grace-period=0", "--force")
    end = wait_until(ended(scene, "lost"), "the run has ended", seconds=400)
    assert end["type"] == "Complete", end["message"]
    status = found(scene, "lost")["status"]
    record_property("seconds", time.monotonic() - began)
    print(status, f"{time.monotonic() - began:.0f} s")
    assert status["rows"] == {"total": ROWS, "read": ROWS, "written": ROWS, "failed": 0}
    assert is_whole(answers(store, "lost"), expected)
    told = json.loads(store.get_object(Bucket=DATA, Key=f"{NAME}/lost/_SUCCESS")["Body"].read())
    assert (told["read"], told["written"], told["failed"]) == (ROWS, ROWS, 0)


def test_a_million_rows_undisturbed(
    scene: Scene, store: Any, expected: dict[int, int], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    scene.apply(batch("whole"))
    end = wait_until(ended(scene, "whole"), "the run has ended", seconds=400)
    assert end["type"] == "Complete", end["message"]
    status = found(scene, "whole")["status"]
    record_property("seconds", time.monotonic() - began)
    print(status, f"{time.monotonic() - began:.0f} s")
    assert status["rows"] == {"total": ROWS, "read": ROWS, "written": ROWS, "failed": 0}
    assert is_whole(answers(store, "whole"), expected)


def test_missing_columns_fail_the_run_at_once(scene: Scene, expected: dict[int, int]) -> None:
    keys = batch("bad")["spec"]["input"]
    scene.apply(batch("bad", input={**keys, "columns": ["picture"]}))
    end = wait_until(ended(scene, "bad"), "the run has ended", seconds=180)
    assert (end["type"], end["reason"]) == ("Failed", "BadColumns")
    assert "'picture'" in end["message"]
    assert executors(scene) == []


def test_an_account_without_the_right_says_so(scene: Scene, expected: dict[int, int]) -> None:
    engine = {"type": "Spark", "executors": 2, "serviceAccountName": "default"}
    scene.apply(batch("denied", engine=engine))
    end = wait_until(ended(scene, "denied"), "the run has ended", seconds=240)
    assert (end["type"], end["reason"]) == ("Failed", "AccessDenied")
    assert "spark-rbac.yaml" in end["message"]
