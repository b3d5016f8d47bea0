"""Labelled data before users: a good model passes and is released, a bad one never gets a pod or a request."""

import io
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from demo import digits, setup
from demo.cluster import Cluster
from demo.load import LoadClient
from tests.e2e.conftest import bring_further_image
from tests.support.live.scene import Scene, uri, wait_until

NAME: Final = "labelled"
FOLDER: Final = "labelled/digits"
GOOD: Final = "2"
HALF_WRONG: Final = "3"
ROWS_IN_A_GROUP: Final = 200
SHARDS: Final = 2
SCORED_SECONDS: Final = 180
"""Two Jobs, one after the other, whose pods fetch the model first."""

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def runner(lab: Cluster) -> None:
    """The runner's image, and the held-out images with their labels in the object store."""
    bring_further_image(lab, "batch")
    _, held_out = digits.split()
    columns = {"image": pa.array(list(held_out.images), pa.list_(pa.float32())), "digit": pa.array(held_out.labels)}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=ROWS_IN_A_GROUP)
    store = setup.object_store(lab)
    store.put_object(Bucket=setup.BUCKET, Key=f"{FOLDER}/part-0.parquet", Body=buffer.getvalue())


def validation(labels: str = "digit") -> dict[str, Any]:
    """spec.rollout, with few steps after it."""
    source = {
        "uri": f"s3://{setup.BUCKET}/{FOLDER}",
        "format": "Parquet",
        "columns": ["image"],
        "credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET},
    }
    objective = {"maximum": "10%", "relativeTolerance": "50%"}
    batch = {"input": source, "labels": labels, "shards": SHARDS, "objective": objective}
    return {"canary": {"steps": [{"weight": 50}, {"weight": 100}]}, "validation": {"batch": batch}}


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    scene.deploy(NAME, "1", rollout=validation())
    scene.wait_ready(NAME)
    return scene.serving(NAME, connect(NAME, rate=60))


def candidate(scene: Scene, rollout: str) -> str:
    return str(scene.rollout(rollout)["spec"]["to"]["revision"])


def pods_of(scene: Scene, revision: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/revision={revision}")[
        "items"
    ]
    return found


def jobs(scene: Scene) -> list[str]:
    return [job["metadata"]["name"] for job in scene.tools.get("jobs", scene.where)["items"]]


def test_a_model_that_is_worse_offline_never_sees_a_user(scene: Scene, traffic: LoadClient) -> None:
    rollout = scene.begun(NAME, lambda: scene.patch(NAME, {"model": {"uri": uri(HALF_WRONG)}}), HALF_WRONG)
    status = scene.wait_outcome(rollout, seconds=SCORED_SECONDS)
    assert (status["outcome"], status["reason"]) == ("RolledBack", "ValidationFailed"), status["message"]
    _, held_out = digits.split()
    assert f"of {len(held_out.labels)} rows wrong" in status["message"]
    counted = [sum(part["read"] for part in score["finished"]) for score in status["validation"]["scores"]]
    assert counted == [len(held_out.labels)] * 2, "both versions, every row once"
    revision = candidate(scene, rollout)
    assert pods_of(scene, revision) == []
    assert traffic.counts().of(revision).requests == 0
    wait_until(lambda: not jobs(scene), "its Jobs go")
    assert "Validation on s3://" in scene.plugin("explain", NAME)


def test_labels_that_are_not_there_wait_for_a_person(scene: Scene, traffic: LoadClient) -> None:
    change = {"model": {"uri": uri(GOOD)}, "rollout": validation(labels="nothing")}
    rollout = scene.begun(NAME, lambda: scene.patch(NAME, change), GOOD)
    status = scene.wait_status(
        rollout, lambda found: found.get("reason") == "ValidationError", "says why", seconds=SCORED_SECONDS
    )
    assert "no column 'nothing'" in status["message"]
    assert scene.condition(NAME, "Stalled").get("reason") == "ValidationError"
    assert pods_of(scene, candidate(scene, rollout)) == []
    scene.plugin("abort", NAME)
    assert scene.wait_outcome(rollout)["outcome"] == "Aborted"
    assert traffic.counts().of(candidate(scene, rollout)).requests == 0


def test_a_model_that_passes_is_released(scene: Scene, traffic: LoadClient) -> None:
    scene.patch(NAME, {"rollout": validation()})
    rollout = scene.begun(NAME, lambda: scene.plugin("retry", NAME), GOOD)
    status = scene.wait_outcome(rollout, seconds=SCORED_SECONDS + 180)
    assert status["outcome"] == "Promoted", status["message"]
    happened = [entry["what"] for entry in status["timeline"]]
    assert happened.index("Validating") < happened.index("Validated") < happened.index("Weight50")
    assert traffic.counts().of(candidate(scene, rollout)).requests > 0
    assert traffic.counts().total.lost == 0
