"""The tensorflow-serving runtime against its contract: flags and files of the pod, probes, REST, gRPC and metrics."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import grpc
import numpy as np
import pytest

from lab import freeports
from tests.integration.runtimes import tfserving
from tests.support import patience
from tests.support.runtimes import rendered

MODEL = "digits"
REST, GRPC = 8501, 8500


class Server:
    """The contract server behind the pod's own ports."""

    def __init__(self, template: dict[str, Any], ports: dict[int, int]) -> None:
        self.container: dict[str, Any] = template["spec"]["containers"][0]
        self.annotations: dict[str, str] = template["metadata"]["annotations"]
        self.ports = ports

    def get(self, path: str, port: int = REST) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports[port]}{path}", timeout=patience.HANG_SECONDS
            ) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def passes(self, probe: str) -> bool:
        asked = self.container[probe]["httpGet"]
        return self.get(asked["path"], asked["port"])[0] == 200

    def predict(self, body: object) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.ports[REST]}/v1/models/{MODEL}:predict"
        try:
            with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=patience.HANG_SECONDS) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


def laid_out(folder: Path, files: dict[str, bytes]) -> tuple[dict[str, Any], Path]:
    """The pod template, and what stands for the container's `/` with the model in it."""
    source, root = folder / "source", folder / "root"
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    template = rendered.pod("tensorflow-serving", name=MODEL, format_="tensorflow", spec={})
    rendered.lay_out(source, root / "models", template)
    return template, root


def with_ports(arguments: list[str], ports: dict[int, int]) -> list[str]:
    flags = {f"--rest_api_port={REST}": f"--rest_api_port={ports[REST]}", f"--port={GRPC}": f"--port={ports[GRPC]}"}
    assert flags.keys() <= set(arguments)
    return [flags.get(argument, argument) for argument in arguments]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    template, root = laid_out(tmp_path, {"7/saved_model.pb": b"graph", "7/variables/variables.index": b"weights"})
    ports = {REST: freeports.take(), GRPC: freeports.take()}
    found = Server(template, ports)
    with tfserving.running(with_ports(found.container["args"], ports), root):
        yield found


def test_the_probes_ask_for_this_model(server: Server) -> None:
    assert server.passes("startupProbe")
    assert server.passes("readinessProbe")
    assert server.get("/v1/models/other")[0] == 404


def test_rest_and_grpc_answer(server: Server) -> None:
    assert server.predict({"instances": [[1, 2], [3, 4]]}) == (200, {"predictions": [3, 7]})
    assert server.predict({"rows": []})[0] == 400
    rows = np.array([[1, 2], [3, 4]], np.float32)
    address = f"127.0.0.1:{server.ports[GRPC]}"
    assert tfserving.predict_by_grpc(address, MODEL, rows).tolist() == [3, 7]
    with pytest.raises(grpc.RpcError) as refused:
        tfserving.predict_by_grpc(address, "other", rows)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]


def test_metrics_are_where_the_template_says(server: Server) -> None:
    server.predict({"instances": [[1]]})
    status, text = server.get(server.annotations["prometheus.io/path"], int(server.annotations["prometheus.io/port"]))
    assert status == 200
    assert f':tensorflow:serving:request_count{{model_name="{MODEL}",status="OK"}} 1' in text.splitlines()


def test_a_model_that_is_none_is_refused_before_the_server_starts(tmp_path: Path) -> None:
    with pytest.raises(rendered.download_error(), match="UnsupportedModel: 0 SavedModels"):
        laid_out(tmp_path, {"model.h5": b"keras"})


def test_a_server_whose_files_went_missing_does_not_start(tmp_path: Path) -> None:
    template, root = laid_out(tmp_path, {"saved_model.pb": b"graph"})
    (root / "models" / MODEL / "1" / "saved_model.pb").unlink()
    with pytest.raises(tfserving.CannotStart), tfserving.running(template["spec"]["containers"][0]["args"], root):
        pass
