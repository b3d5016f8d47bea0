"""A model revision over a data set in the object store, by an Indexed Job whose pods are real."""

import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from demo import cluster as clusters
from demo import digits, setup
from demo.cluster import Cluster
from tests.e2e.conftest import use_further_image
from tests.e2e.scene import Object, Scene, uri, wait_until

MODEL, VERSION = "digits", "2"
BATCHES: Final = "batchinferences.sluice.dev"
GROUP_ROWS: Final = 10_000
MILLION: Final = 1_000_000
KILLS: Final = 10
LABEL: Final = "sluice.dev/batch-inference"

pytestmark = [pytest.mark.timeout(400)]


@pytest.fixture(scope="module", autouse=True)
def runner(lab: Cluster, scene: Scene) -> None:
    """The image, and a model that serves."""
    use_further_image(lab, "batch", "config.batchRunner.image")
    scene.deploy(MODEL, VERSION)
    scene.wait_ready(MODEL)


def upload(lab: Cluster, key: str, rows: int) -> str:
    """Digits again and again, with a number and the right label for each row; the URI."""
    _, held_out = digits.split()
    which = np.arange(rows) % len(held_out.labels)
    pixels = pyarrow.array(held_out.images[which].reshape(-1))
    table = pyarrow.table(
        {
            "id": np.arange(rows),
            "image": pyarrow.FixedSizeListArray.from_arrays(pixels, digits.PIXELS),
            "digit": held_out.labels[which],
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, row_group_size=GROUP_ROWS)
    setup.object_store(lab).put_object(Bucket=setup.BUCKET, Key=key, Body=buffer.getvalue())
    return f"s3://{setup.BUCKET}/{key}"


def keys_below(lab: Cluster, prefix: str) -> Iterator[str]:
    pages = setup.object_store(lab).get_paginator("list_objects_v2").paginate(Bucket=setup.BUCKET, Prefix=prefix)
    return (entry["Key"] for page in pages for entry in page.get("Contents", ()))


def answers(lab: Cluster, prefix: str) -> Any:
    """All rows of an output, by their number."""
    store = setup.object_store(lab)
    parts = [key for key in keys_below(lab, prefix) if key.rpartition("/")[2].startswith("part-")]
    tables = [
        parquet.read_table(io.BytesIO(store.get_object(Bucket=setup.BUCKET, Key=key)["Body"].read())) for key in parts
    ]
    return pyarrow.concat_tables(tables).sort_by("id")


def batch(name: str, source: str, target: str, **spec: Any) -> Object:
    secret = {"credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET}}
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "BatchInference",
        "metadata": {"name": name},
        "spec": {
            "modelDeploymentRef": {"name": MODEL},
            "input": {"uri": source, "format": "Parquet", "columns": ["image"], **secret},
            "output": {"uri": f"s3://{setup.BUCKET}/{target}", "format": "Parquet", **secret},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
            **spec,
        },
    }


def status_of(scene: Scene, name: str) -> Object:
    status: Object = scene.tools.get(BATCHES, name, scene.where).get("status", {})
    return status


def condition_of(scene: Scene, name: str, type_: str) -> Object:
    return next((one for one in status_of(scene, name).get("conditions", ()) if one["type"] == type_), {})


def wait_end(scene: Scene, name: str, seconds: float = 240) -> Object:
    """The status of a run that has ended."""
    return wait_until(
        lambda: status if (status := status_of(scene, name)).get("run", {}).get("outcome") else None,
        f"{name} ends",
        seconds=seconds,
    )


def running_pods(scene: Scene, name: str) -> list[str]:
    found = scene.tools.get("pods", scene.where, f"--selector={LABEL}={name}")["items"]
    return [
        pod["metadata"]["name"]
        for pod in found
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def kill(scene: Scene, pod: str) -> None:
    """Without a chance to say good-bye."""
    scene.tools.kubectl("delete", "pod", pod, scene.where, "--force", "--grace-period=0")


def require_every_row_once(lab: Cluster, prefix: str, rows: int) -> None:
    found = answers(lab, prefix)
    assert found.num_rows == rows
    assert np.array_equal(found.column("id").to_numpy(), np.arange(rows)), "rows are lost or doubled"
    right = found.column("digit").to_numpy() == found.column("label").to_numpy()
    assert np.mean(right) > 0.9
    assert f"{prefix}_SUCCESS" in set(keys_below(lab, prefix))


def test_a_stable_version_answers_every_row_once_though_a_pod_is_killed(lab: Cluster, scene: Scene) -> None:
    rows = 200_000
    source = upload(lab, "data/once.parquet", rows)
    scene.apply(batch("once", source, "answers/once/", engine={"shards": 2}, batchSize=64))
    victim = wait_until(lambda: (*running_pods(scene, "once"), None)[0], "a shard runs", seconds=90)
    kill(scene, victim)
    command = [scene.tools.plugin_path, "batch", "once", scene.where, "-w"]
    followed = subprocess.run(
        command, env=scene.tools.full_environment, stdout=subprocess.PIPE, text=True, timeout=240, check=True
    )
    print(followed.stdout)
    status = wait_end(scene, "once")
    assert status["run"]["outcome"] == "Complete", status
    assert status["run"]["revision"] == scene.deployment(MODEL)["status"]["stable"]["revision"]
    assert status["rows"] == {"total": rows, "read": rows, "written": rows, "failed": 0}
    assert (status["percent"], status["shards"]["succeeded"]) == (100, 2)
    require_every_row_once(lab, "answers/once/", rows)
    print(scene.tools.kubectl("get", "bi", scene.where, "--output=wide"))


@pytest.mark.parametrize(
    ("name", "spec", "says"),
    [
        pytest.param("column", {"input": {"columns": ["pixels"]}}, "pixels", id="a column that is not there"),
        pytest.param("again", {}, "answers/once", id="an output that exists"),
        pytest.param("nothing", {"input": {"uri": f"s3://{setup.BUCKET}/nothing/"}}, "nothing", id="no input"),
    ],
)
def test_bad_input_fails_once_with_its_reason(lab: Cluster, scene: Scene, name: str, spec: Object, says: str) -> None:
    source = upload(lab, "data/few.parquet", 100)
    manifest = batch(f"bad-{name}", source, "answers/once/" if name == "again" else f"answers/bad-{name}/")
    manifest["spec"]["input"] |= spec.get("input", {})
    scene.apply(manifest)
    status = wait_end(scene, f"bad-{name}", seconds=120)
    told = condition_of(scene, f"bad-{name}", "Failed")
    print(json.dumps(told))
    assert (status["run"]["outcome"], told["status"]) == ("Failed", "True")
    assert says in told["message"]
    pods = scene.tools.get("pods", scene.where, f"--selector={LABEL}=bad-{name}")["items"]
    assert len(pods) == 1, "what no repetition cures is not tried again"


@pytest.mark.slow
def test_a_server_beside_the_runner_answers_as_the_model_does_in_its_process(lab: Cluster, scene: Scene) -> None:
    """With an image of one's own nobody knows what it makes of the model, so the server itself is asked."""
    rows = 5_000
    source = upload(lab, "data/beside.parquet", rows)
    manifest = batch("beside", source, "answers/beside/", runtime={"image": clusters.IMAGES["triton"].tag})
    del manifest["spec"]["modelDeploymentRef"]
    credentials = {"credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET}}
    manifest["spec"]["model"] = {"name": MODEL, "format": "onnx", "uri": uri(VERSION), **credentials}
    scene.apply(manifest)
    (pod,) = wait_until(lambda: running_pods(scene, "beside") or None, "the pod runs", seconds=120)
    init = scene.tools.get("pod", pod, scene.where)["spec"]["initContainers"]
    assert [one["name"] for one in init if one.get("restartPolicy") == "Always"], "the server is a sidecar"
    status = wait_end(scene, "beside")
    print(json.dumps(status))
    assert status["rows"] == {"total": rows, "read": rows, "written": rows, "failed": 0}
    require_every_row_once(lab, "answers/beside/", rows)


@pytest.fixture(scope="module")
def million(lab: Cluster) -> str:
    """Where a million rows are."""
    return upload(lab, "data/million.parquet", MILLION)


@pytest.mark.slow
def test_a_million_rows_in_two_shards(lab: Cluster, scene: Scene, million: str) -> None:
    scene.apply(batch("whole", million, "answers/whole/", engine={"shards": 2}))
    status = wait_end(scene, "whole", seconds=300)
    print(json.dumps(status))
    assert status["rows"] == {"total": MILLION, "read": MILLION, "written": MILLION, "failed": 0}
    require_every_row_once(lab, "answers/whole/", MILLION)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_rows_through_killed_pods(lab: Cluster, scene: Scene, million: str) -> None:
    """Small batches, so that it lasts; Kubernetes waits longer after each failure of a shard."""
    engine = {"shards": 4, "parallelism": 2, "retriesPerShard": 100}
    scene.apply(batch("killed", million, "answers/killed/", engine=engine, batchSize=16))
    dice, killed = np.random.default_rng(7), 0

    def kill_one() -> bool:
        """Whether there was one to kill, or the run is over."""
        pods = running_pods(scene, "killed")
        if pods:
            kill(scene, str(dice.choice(pods)))
        return bool(pods) or bool(status_of(scene, "killed").get("run", {}).get("outcome"))

    while killed < KILLS and not status_of(scene, "killed").get("run", {}).get("outcome"):
        wait_until(kill_one, "a shard runs", seconds=400)
        killed += 1
    status = wait_end(scene, "killed", seconds=900)
    print(killed, json.dumps(status))
    assert status["rows"] == {"total": MILLION, "read": MILLION, "written": MILLION, "failed": 0}
    require_every_row_once(lab, "answers/killed/", MILLION)
