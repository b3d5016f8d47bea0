"""`kubectl sluice runtime check` finds what is wrong with a ServingRuntime, and leaves nothing of itself."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from demo import setup
from sluice_core.api.base import API_VERSION
from tests.support import patience
from tests.support.live.scene import DEPLOYMENTS, Scene, uri, wait_until

NAME = "careless"
MODEL = (f"--uri={uri('2')}", "--format=onnx", f"--credentials-secret={setup.CREDENTIALS_SECRET}")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def careless(scene: Scene) -> Iterator[None]:
    """Triton as somebody who is new to it would run it: probes of the server, no pause before the signal, a writable root."""
    spec = scene.tools.get("servingruntimes", "triton")["spec"]
    [server] = spec["containers"]
    server["args"] += ["--exit-on-error=false"]
    server["startupProbe"] = {"httpGet": {"path": "/v2/health/live", "port": 8000}, "periodSeconds": 1}
    server["readinessProbe"] = {"tcpSocket": {"port": 8000}}
    server["securityContext"] = {}
    changes = {"drain": {"preStopSeconds": 0}, "formats": [{"name": "onnx", "priority": 0}]}
    runtime = {"apiVersion": API_VERSION, "kind": "ServingRuntime", "metadata": {"name": NAME}, "spec": spec | changes}
    scene.tools.apply(yaml.safe_dump(runtime))
    yield
    scene.tools.kubectl("delete", "servingruntimes", NAME)


def command(scene: Scene, *more: str) -> list[str]:
    return [scene.tools.plugin_path, "runtime", "check", NAME, scene.where, *MODEL, *more]


def left(scene: Scene) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = scene.tools.get(f"{DEPLOYMENTS},pods", scene.where)["items"]
    return items


def test_what_is_wrong_is_found_and_said(scene: Scene) -> None:
    done = subprocess.run(
        command(scene, "--output=json"), env=scene.tools.full_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    failed = {name for name, check in checks.items() if check["state"] == "failed"}
    assert {"wrong model", "probes", "read-only root", "drain"} == failed, done.stdout
    assert all(checks[name]["remedy"] for name in failed)
    assert left(scene) == []


def test_ctrl_c_leaves_nothing(scene: Scene) -> None:
    with subprocess.Popen(command(scene), env=scene.tools.full_environment, stderr=subprocess.PIPE) as running:
        wait_until(lambda: len(left(scene)) >= 2, "it has made its pods")
        running.terminate()
        assert running.wait(timeout=patience.HANG_SECONDS) == 130
    assert left(scene) == []
