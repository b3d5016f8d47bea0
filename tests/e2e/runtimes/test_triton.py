"""What only Triton does: dynamic batching, large bodies, ensembles and version folders, without a cluster."""

import asyncio
import contextlib
import http.client
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demo import digits, models
from demo.cluster import ROOT
from tests.support import patience
from tests.support.live import bodies
from tests.support.runtimes import box
from tests.support.runtimes.asking import Place
from tests.support.runtimes.box import Files
from tests.support.runtimes.joining import BATCHING, infer, joined, mean_batch, sent, served
from tests.support.runtimes.table import IMAGES, LABELS, MODEL, TRITON

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not box.is_possible(), reason="needs root and Debian"),
]

REQUESTS = 800

PYTHON_MODEL = """
name: "{name}" backend: "python" max_batch_size: 0
input [{{ name: "{input}" data_type: TYPE_FP32 dims: [-1, 64] }}]
output [{{ name: "{output}" data_type: {type} dims: {dims} }}]
"""
PREPROCESS = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "percent").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("image", (v * 0.16).astype("float32"))]) for v in inputs]
"""
ENSEMBLE = f"""
name: "{MODEL}" platform: "ensemble" max_batch_size: 0
input [{{ name: "percent" data_type: TYPE_FP32 dims: [-1, 64] }}]
output [{{ name: "label" data_type: TYPE_INT64 dims: [-1] }}]
ensemble_scheduling {{ step [
  {{ model_name: "preprocess" model_version: -1
     input_map {{ key: "percent" value: "percent" }} output_map {{ key: "image" value: "scaled" }} }},
  {{ model_name: "net" model_version: -1
     input_map {{ key: "image" value: "scaled" }} output_map {{ key: "label" value: "label" }} }}
] }}
"""
NET = 'name: "{name}" backend: "python" max_batch_size: 0 version_policy: {{ specific {{ versions: [1, 2] }} }}\n'


@pytest.mark.parametrize("batched", [False, True], ids=["one by one", "batched"])
def test_requests_are_joined_where_that_is_asked_for(tmp_path: Path, batched: bool) -> None:
    with served(replace(TRITON, spec=BATCHING if batched else {}), tmp_path) as place:
        asks = [infer([IMAGES[i % 3]], [LABELS[i % 3]]) for i in range(REQUESTS)]
        found = joined(asks, place)
    print(f"\nbatched: {batched}: {found.rate:.0f} requests/s, {found.mean_batch:.1f} requests a run")
    assert found.mean_batch > 1.5 if batched else found.mean_batch == 1


def test_a_bad_request_fails_alone_in_its_batch(tmp_path: Path) -> None:
    """v4 fails on bright images."""

    def write_v4(_: Files, folder: Path) -> None:
        shutil.copy(models.ensure()["v4"], folder / "model.onnx")

    held_out = digits.split()[1]
    order = held_out.images.sum(axis=1).argsort()
    dark, bright = int(order[0]), int(order[-1])
    label = models.open_session(models.ensure()["v4"]).run(["label"], {"image": held_out.images[dark : dark + 1]})[0]
    good, bad = infer([held_out.images[dark]], label.tolist()), infer([held_out.images[bright]], [])
    with served(replace(TRITON, write=write_v4, spec=BATCHING), tmp_path) as place:
        problems = asyncio.run(sent([bad if i % 5 == 0 else good for i in range(200)], place))
        assert mean_batch(place) > 1
    assert [problem for i, problem in enumerate(problems) if i % 5] == [""] * 160
    assert all(problem.startswith("500") for problem in problems[::5])


def test_twelve_megabytes_of_any_json_are_answered(tmp_path: Path) -> None:
    """Numbers; brackets, which the server reads by recursion; and chunks of 20 bytes, of which it keeps a list."""
    small, wanted = bodies.infer(1), {"numbers": 200, "text": 200, "brackets": 400, "chunks": 200}
    sent = {
        "numbers": bodies.infer(93_750),
        "text": bodies.infer(1, padding=12_000_000),
        "brackets": bodies.nested(6_000_000),
        "chunks": bodies.in_chunks(small, 600_000, 20),
    }
    with served(TRITON, tmp_path) as place:
        found = {name: (_status(place, body), _status(place, small)) for name, body in sent.items()}
    assert found == {name: (status, 200) for name, status in wanted.items()}


def _status(place: Place, body: str | Iterator[bytes]) -> int:
    connection = http.client.HTTPConnection(place.url.removeprefix("http://"), timeout=patience.HANG_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", f"/v2/models/{MODEL}/infer", body)
        return connection.getresponse().status


def _python_model(folder: Path, name: str, versions: dict[int, str]) -> None:
    for version, model in versions.items():
        target = folder / name / str(version)
        target.mkdir(parents=True)
        shutil.copy(models.ensure()[model], target / "model.onnx")
        shutil.copy(ROOT / "serving-runtime" / "triton" / "model.py", target / "model.py")
    (folder / name / "config.pbtxt").write_text(NET.format(name=name))


def test_an_ensemble_of_a_ready_repository_is_served_by_its_name(tmp_path: Path) -> None:
    def write(_: Files, folder: Path) -> None:
        _python_model(folder, "net", {1: "v1", 2: "v2"})
        (folder / "preprocess" / "1").mkdir(parents=True)
        (folder / "preprocess" / "1" / "model.py").write_text(PREPROCESS)
        config = PYTHON_MODEL.format(
            name="preprocess", input="percent", output="image", type="TYPE_FP32", dims="[-1, 64]"
        )
        (folder / "preprocess" / "config.pbtxt").write_text(config)
        (folder / MODEL / "1").mkdir(parents=True)
        (folder / MODEL / "1" / "empty").write_text("Triton wants a version folder, and stores keep no empty ones.")
        (folder / MODEL / "config.pbtxt").write_text(ENSEMBLE)

    with served(replace(TRITON, format="triton", write=write), tmp_path) as place:
        assert infer(np.asarray(IMAGES) / 0.16, LABELS, name="percent").problem(place) == ""


def test_version_folders_are_served_side_by_side(tmp_path: Path) -> None:
    def write(_: Files, folder: Path) -> None:
        _python_model(folder, MODEL, {1: "v1", 2: "v2"})

    images = digits.split()[1].images[:50]
    with served(replace(TRITON, format="triton", write=write), tmp_path) as place:
        for version, model in ((1, "v1"), (2, "v2")):
            expected = models.open_session(models.ensure()[model]).run(["label"], {"image": images})[0].tolist()
            assert infer(images, expected, version=f"/versions/{version}").problem(place) == ""
