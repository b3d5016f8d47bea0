"""A model revision over a data set in the object store, by an Indexed Job whose pods are real."""

import json
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster
from tests.e2e.conftest import bring_further_image
from tests.e2e.datasets import batch, condition_of, of_its_own, require_every_row_once, status_of, upload, wait_end
from tests.support.live.scene import Object, Scene, wait_until
from tests.support.runtimes import modelfiles

MODEL, VERSION = "digits", "2"
MILLION: Final = 1_000_000
SHARDS: Final = 100
KILL_CHANCE: Final = 0.2
KILLS: Final = 100
LABEL: Final = "sluice.dev/batch-inference"


@pytest.fixture(scope="module", autouse=True)
def runner(lab: Cluster, scene: Scene) -> None:
    """The image, and a model that serves."""
    bring_further_image(lab, "batch")
    scene.deploy(MODEL, VERSION)
    scene.wait_ready(MODEL)


def running_pods(scene: Scene, name: str) -> list[str]:
    found = scene.tools.get("pods", scene.where, f"--selector={LABEL}={name}")["items"]
    return [
        pod["metadata"]["name"]
        for pod in found
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def failed_pods(scene: Scene, name: str) -> int:
    """As the run's Jobs count them."""
    jobs = scene.tools.get("jobs", scene.where, f"--selector={LABEL}={name}")["items"]
    return sum(job.get("status", {}).get("failed", 0) for job in jobs)


def kill(scene: Scene, *pods: str) -> None:
    """Without a chance to say good-bye."""
    scene.tools.kubectl("delete", "pods", *pods, scene.where, "--force", "--grace-period=0", "--wait=false")


def test_a_stable_version_answers_every_row_once_though_a_pod_is_killed(lab: Cluster, scene: Scene) -> None:
    rows = 200_000
    source = upload(lab, "data/once.parquet", rows)
    scene.apply(batch("once", source, "answers/once/", engine={"shards": 2}, batchSize=64))
    victim = wait_until(lambda: (*running_pods(scene, "once"), None)[0], "a shard runs")
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
    status = wait_end(scene, f"bad-{name}")
    told = condition_of(scene, f"bad-{name}", "Failed")
    print(json.dumps(told))
    assert (status["run"]["outcome"], told["status"]) == ("Failed", "True")
    assert says in told["message"]
    pods = scene.tools.get("pods", scene.where, f"--selector={LABEL}=bad-{name}")["items"]
    assert len(pods) == 1, "what no repetition cures is not tried again"


@pytest.mark.slow
@pytest.mark.disturbs
def test_a_server_beside_the_runner_answers_as_the_model_does_in_its_process(lab: Cluster, scene: Scene) -> None:
    """With an image of one's own nobody knows what it makes of the model, so the server itself is asked."""
    rows = 5_000
    source = upload(lab, "data/beside.parquet", rows)
    manifest = batch("beside", source, "answers/beside/", runtime={"image": clusters.IMAGES["triton"].tag})
    scene.apply(of_its_own(manifest, VERSION))
    (pod,) = wait_until(lambda: running_pods(scene, "beside") or None, "the pod runs")
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
@pytest.mark.disturbs
def test_a_million_rows_in_two_shards(lab: Cluster, scene: Scene, million: str) -> None:
    scene.apply(batch("whole", million, "answers/whole/", engine={"shards": 2}))
    status = wait_end(scene, "whole", seconds=300)
    print(json.dumps(status))
    assert status["rows"] == {"total": MILLION, "read": MILLION, "written": MILLION, "failed": 0}
    require_every_row_once(lab, "answers/whole/", MILLION)


@pytest.mark.slow
@pytest.mark.disturbs
@pytest.mark.timeout(3600)
def test_a_million_rows_through_a_hundred_killed_pods(lab: Cluster, scene: Scene, million: str, tmp_path: Path) -> None:
    """By a model that takes its time, so that each pod lives long enough to be killed at any moment of its work."""
    setup.upload_models(lab, {"laborious": modelfiles.write_laborious(tmp_path / "laborious.onnx", rounds=10)})
    engine = {"shards": SHARDS, "parallelism": 25, "retriesPerShard": 100}
    manifest = of_its_own(batch("killed", million, "answers/killed/", engine=engine), "laborious")
    manifest["spec"]["output"]["mode"] = "Overwrite"
    manifest["spec"]["resources"]["requests"]["cpu"] = "10m"
    scene.apply(manifest)
    dice, moments = np.random.default_rng(7), list[int]()

    def killed_enough() -> bool:
        """Whether Kubernetes has counted the kills; which pods are killed is drawn anew each time."""
        doomed = [pod for pod in running_pods(scene, "killed") if dice.random() < KILL_CHANCE]
        if doomed:
            kill(scene, *doomed)
        status = status_of(scene, "killed")
        moments.append(status.get("rows", {}).get("written", 0))
        return failed_pods(scene, "killed") >= KILLS or bool(status.get("run", {}).get("outcome"))

    wait_until(killed_enough, f"{KILLS} pods are killed", seconds=1000)
    killed = failed_pods(scene, "killed")
    status = wait_end(scene, "killed", seconds=600)
    print(killed, moments, json.dumps(status))
    assert killed >= KILLS, "the run was over before"
    assert status["rows"] == {"total": MILLION, "read": MILLION, "written": MILLION, "failed": 0}
    require_every_row_once(lab, "answers/killed/", MILLION)


@pytest.mark.slow
@pytest.mark.disturbs
def test_a_namespace_goes_while_a_shard_waits_to_be_tried_again(lab: Cluster, scene: Scene, million: str) -> None:
    """Kubernetes waits for the pod that failed, which its Job holds until there is another one."""
    leaving = Scene(lab, f"{scene.namespace}-leaving")
    lab.tools.kubectl("create", "namespace", leaving.namespace)
    secret = scene.tools.get("secret", setup.CREDENTIALS_SECRET, scene.where)
    leaving.apply({**secret, "metadata": {"name": setup.CREDENTIALS_SECRET}})
    leaving.apply(of_its_own(batch("left", million, "answers/left/", batchSize=1), VERSION))
    (pod,) = wait_until(lambda: running_pods(leaving, "left") or None, "the pod runs")
    kill(leaving, pod)
    wait_until(lambda: failed_pods(leaving, "left") == 1, "the Job has seen it")
    lab.tools.kubectl("delete", "namespace", leaving.namespace, "--timeout=240s")
