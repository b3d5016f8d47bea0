"""`kubectl sluice profile` on a real node: one point of load on a pod of its own, of which nothing is left."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.test_warmup import pods, succeeded
from tests.support import patience
from tests.support.live.scene import Scene, wait_until

NAME = "profiled"
PROFILED = "--selector=sluice.dev/profile=" + NAME
ONE_POINT = ("--concurrency=2", "--seconds=2", "--batching=")


@pytest.fixture(scope="module", autouse=True)
def served(scene: Scene) -> Iterator[None]:
    scene.deploy(NAME, "2")
    scene.wait_ready(NAME)
    yield
    scene.tools.kubectl("delete", "pods", scene.where, PROFILED, "--ignore-not-found", "--timeout=240s")


def profiled_pods(scene: Scene) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scene.tools.get("pods", scene.where, PROFILED)["items"]
    return found


def test_one_point_and_nobody_who_serves_is_asked(scene: Scene, tmp_path: Path) -> None:
    before, (serving,) = succeeded(scene, NAME), pods(scene, NAME)
    files = (f"--plot={tmp_path / 'profile.html'}", f"--write={tmp_path / 'profile.yaml'}")
    profile = json.loads(scene.plugin("profile", NAME, *ONE_POINT, *files, "--rate=100", "--output=json"))
    (row,) = profile["rows"]
    assert row["concurrency"] == 2
    assert row["requestsPerSecond"] > 0
    assert row["failures"] == 0
    assert row["queueMillis"] is not None, "Triton tells where the time goes"
    assert row["cores"] > 0, "the generator sees the server's processes"
    assert profile["revision"] == scene.deployment(NAME)["status"]["stable"]["revision"]
    assert "<svg" in (tmp_path / "profile.html").read_text()
    written = yaml.safe_load((tmp_path / "profile.yaml").read_text())["spec"]
    on_a_full_node = profile["bottleneck"] == "Node"
    assert written.get("replicas", 0) >= (0 if on_a_full_node else 1), "nothing is recommended from a full node"
    assert profiled_pods(scene) == []
    assert succeeded(scene, NAME) == before, "the pods that serve have answered nothing"
    (after,) = pods(scene, NAME)
    assert after["metadata"]["uid"] == serving["metadata"]["uid"]


@pytest.mark.slow
def test_no_endpoint_is_the_profiled_pod_and_ctrl_c_removes_it(scene: Scene) -> None:
    command = [scene.tools.plugin_path, "profile", NAME, scene.where, "--seconds=60", "--batching="]
    with subprocess.Popen(command, env=scene.tools.full_environment, stderr=subprocess.PIPE) as running:
        try:
            wait_until(lambda: measures(scene), "the profiled pod measures")
            (pod,) = profiled_pods(scene)
            addresses = {
                address
                for slices in scene.tools.get("endpointslices", scene.where)["items"]
                for endpoint in slices["endpoints"] or ()
                for address in endpoint["addresses"]
            }
            assert addresses, "the serving pod is an endpoint"
            assert pod["status"]["podIP"] not in addresses
        finally:
            running.terminate()
            running.wait(patience.HANG_SECONDS)
    assert running.returncode == 130
    assert profiled_pods(scene) == []


def measures(scene: Scene) -> bool:
    """Whether the generator has had its first answer."""
    names = [pod["metadata"]["name"] for pod in profiled_pods(scene) if pod["status"].get("phase") == "Running"]
    return any('"server"' in scene.tools.kubectl("logs", name, scene.where, "--container=load") for name in names)
