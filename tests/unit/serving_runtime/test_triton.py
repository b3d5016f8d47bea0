"""Our model.py in a real tritonserver from the wheel, staged as for the image, on free ports of this machine."""

import http.client
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sluice_storage import layout

from demo import digits, models
from lab import freeports
from tests.support import patience, programs
from tests.support.live import bodies

ROOT = Path(__file__).parents[3]
SERVER_CODE = ROOT / "serving-runtime" / "triton" / "model.py"

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or not sysconfig.get_config_var("Py_ENABLE_SHARED"),
    reason="the server's Python backend needs Python 3.11 as a shared library",
)


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Triton:
    """A server with the models v2 and v4."""

    port: int

    def ask(self, path: str) -> Answer:
        return self._send("GET", path)

    def post(self, path: str, body: str) -> Answer:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience.HANG_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return Answer(response.status, json.loads(text) if text else {})

    def infer(self, model: str, images: np.ndarray) -> Answer:
        tensor = {"name": "image", "shape": list(images.shape), "datatype": "FP32", "data": images.ravel().tolist()}
        return self.post(f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a Python that finds the staged packages; the server looks for `python3` on the PATH."""
    programs.needed("uv", install="make setup")
    stage = tmp_path_factory.mktemp("stage")
    script = ROOT / "serving-runtime" / "stage.sh"
    subprocess.run([script, "triton"], env=os.environ | {"SLUICE_STAGE": str(stage)}, check=True, timeout=600)
    environment = stage / "python"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=patience.HANG_SECONDS
    )
    [packages] = environment.glob("lib/python3.11/site-packages")
    (packages / "sluice.pth").write_text(f"{stage / 'triton' / 'site'}\n")
    return environment / "bin"


def command(python: Path, repository: Path, ports: list[int]) -> tuple[list[str], dict[str, str]]:
    server = python.parents[1] / "triton" / "site" / "pytriton" / "tritonserver"
    arguments = [str(server / "bin" / "tritonserver"), f"--model-repository={repository}"]
    arguments += [f"--backend-directory={server / 'backends'}", "--allow-gpu-metrics=false", "--exit-timeout-secs=5"]
    for name, port in zip(("http", "grpc", "metrics"), ports, strict=True):
        arguments += [f"--{name}-address=127.0.0.1", f"--{name}-port={port}"]
    environment = {"PATH": f"{python}:/usr/bin:/bin", "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}
    return arguments, environment


def lay_out(repository: Path, name: str, model: bytes) -> None:
    """As the downloader lays a plain ONNX file out."""
    plan = layout.arranged(["model.onnx"], layout.Layout.TRITON_PYTHON_ONNX, name)
    contents = {target: model for _, target in plan.moves}
    contents |= {target: text.encode() for target, text in plan.texts} | {plan.server_code: SERVER_CODE.read_bytes()}
    for target, content in contents.items():
        (repository / target).parent.mkdir(parents=True, exist_ok=True)
        (repository / target).write_bytes(content)


@pytest.fixture(scope="module")
def triton(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    exported = models.ensure()
    repository = tmp_path_factory.mktemp("repository")
    for name in ("v2", "v4"):
        lay_out(repository, name, exported[name].read_bytes())
    ports = [freeports.take() for _ in range(3)]
    arguments, environment = command(python, repository, ports)
    with (repository.parent / "triton.log").open("w") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
    try:
        server = Triton(ports[0])
        _wait_until_ready(server, process, Path(log.name))
        yield server
    finally:
        process.terminate()
        process.wait(patience.HANG_SECONDS)


def _wait_until_ready(server: Triton, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if server.ask("/v2/health/ready").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail(f"tritonserver did not become ready (exit status {process.poll()}):\n{log.read_text()[-3000:]}")


def test_inputs_and_outputs_are_completed_from_the_graph(triton: Triton) -> None:
    metadata = triton.ask("/v2/models/v2").body
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}]
    assert metadata["outputs"] == [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
    ]


def test_the_server_does_not_batch(triton: Triton) -> None:
    config = triton.ask("/v2/models/v2/config").body
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config


def test_answers_are_those_of_onnx_runtime(triton: Triton) -> None:
    images = digits.split()[1].images[:5]
    label, probabilities = models.open_session(models.ensure()["v2"]).run(None, {"image": images})
    outputs = {output["name"]: output for output in triton.infer("v2", images).body["outputs"]}
    assert outputs["label"]["data"] == label.tolist()
    assert outputs["probabilities"]["shape"] == [5, 10]
    assert outputs["probabilities"]["data"] == pytest.approx(probabilities.ravel().tolist(), abs=1e-5)


def test_only_the_outputs_that_are_asked_for_are_answered(triton: Triton) -> None:
    request = digits.infer_request(digits.split()[1].images[0])
    assert [output["name"] for output in triton.post("/v2/models/v2/infer", json.dumps(request)).body["outputs"]] == [
        "label"
    ]


def test_a_failure_in_the_graph_is_a_server_error_and_the_next_request_is_answered(triton: Triton) -> None:
    images = digits.split()[1].images
    bright = images[images.sum(axis=1).argmax()][None, :]
    dark = images[images.sum(axis=1).argmin()][None, :]
    failed = triton.infer("v4", bright)
    assert failed.status == 500
    assert "indices element out of data bounds" in failed.body["error"]
    assert triton.infer("v4", dark).status == 200


def test_a_wrong_shape_is_the_clients_fault(triton: Triton) -> None:
    assert triton.infer("v2", np.zeros((1, 63), np.float32)).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        # A prediction of so many rows takes both processors: beside other tests the server takes its stub for dead.
        pytest.param(bodies.infer(93_750), 200, id="12 MB of numbers", marks=pytest.mark.slow),
        pytest.param(bodies.infer(1, padding=12_000_000), 200, id="12 MB of text"),
        pytest.param(bodies.nested(600_000), 400, id="600,000 arrays in each other"),
    ],
)
def test_a_large_body_is_answered_and_so_is_the_next_one(triton: Triton, body: str, status: int) -> None:
    assert triton.post("/v2/models/v2/infer", body).status == status
    assert triton.infer("v2", digits.split()[1].images[:1]).status == 200


def test_a_corrupt_model_ends_the_server_and_the_reason_is_in_its_log(python: Path, tmp_path: Path) -> None:
    lay_out(tmp_path, "digits", b"this is no ONNX file")
    arguments, environment = command(python, tmp_path, [freeports.take() for _ in range(3)])
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=patience.HANG_SECONDS, check=False
    )
    assert done.returncode == 1
    assert "INVALID_PROTOBUF" in done.stdout + done.stderr
