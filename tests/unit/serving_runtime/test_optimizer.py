"""The maker of variants, once as its image runs it: a real network from a real store, quantized, compared, stored beside."""

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "optimizer"))

from sluice_optimize import __main__ as program

from tests.support import patience, programs
from tests.support.stores.downloader import ON_THIS_MACHINE
from tests.unit.serving_runtime import test_downloader as stores
from tests.unit.serving_runtime.test_downloader import KEYS, ROOT, endpoint

__all__ = ["endpoint"]

WIDTH, CLASSES, ROWS = 64, 10, 300


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    programs.needed("uv", install="make setup")
    stage = tmp_path_factory.mktemp("stage")
    script = ROOT / "serving-runtime" / "stage.sh"
    subprocess.run([script, "optimizer"], env=os.environ | {"SLUICE_STAGE": str(stage)}, check=True, timeout=300)
    return stage / "optimizer" / "site"


@pytest.fixture(scope="module")
def store(endpoint: str) -> Any:
    client = stores.connected(endpoint)
    random = np.random.default_rng(7)
    for key, body in {
        "net/1/model.onnx": network(random),
        "plain/1/model.onnx": nothing_to_quantize(),
        "garbage/1/model.onnx": b"this was never a model",
        "net/rows.npz": packed(image=random.standard_normal((ROWS, WIDTH)).astype(np.float32)),
        "net/wrong.npz": packed(picture=np.zeros((2, WIDTH), np.float32)),
    }.items():
        client.put_object(Bucket="models", Key=key, Body=body)
    return client


def network(random: np.random.Generator) -> bytes:
    """Three layers, large enough that weights and not the graph make its size."""
    sizes = (WIDTH, 256, 256, CLASSES)
    weights = [
        numpy_helper.from_array((random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32), f"w{index}")
        for index, shape in enumerate(itertools.pairwise(sizes))
    ]
    nodes, last = [], "image"
    for index in range(len(weights)):
        nodes.append(helper.make_node("MatMul", [last, f"w{index}"], [f"m{index}"]))
        last = f"m{index}"
        if index < len(weights) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"r{index}"]))
            last = f"r{index}"
    return built(nodes, last, CLASSES, weights)


def nothing_to_quantize() -> bytes:
    return built([helper.make_node("Relu", ["image"], ["out"])], "out", WIDTH, [])


def built(nodes: list[Any], output: str, columns: int, weights: list[Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["rows", columns])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Optimizer:
    """In this process."""

    def __init__(self, site: Path, endpoint: str, folder: Path) -> None:
        self.site, self.endpoint, self.folder = site, endpoint, folder

    def run(self, uri: str, target: str, *more: str) -> tuple[int, str]:
        """(exit status, what the kubelet would read)."""
        log = self.folder / "termination-log"
        log.write_text("")
        arguments = ["--uri", uri, "--target", target, *more, *ON_THIS_MACHINE, "--termination-log", str(log)]
        environment = {"PYTHONPATH": str(self.site), "HOME": str(self.folder), "AWS_ENDPOINT_URL": self.endpoint}
        return self._status(arguments, environment | {"AWS_EC2_METADATA_DISABLED": "true"} | KEYS), log.read_text()

    def _status(self, arguments: list[str], environment: dict[str, str]) -> int:
        with mock.patch.dict(os.environ, environment, clear=True):
            return program.main(arguments)


class StagedOptimizer(Optimizer):
    """As its image runs it."""

    def _status(self, arguments: list[str], environment: dict[str, str]) -> int:
        command = [sys.executable, "-m", "sluice_optimize", *arguments]
        return subprocess.run(command, env=environment, timeout=patience.HANG_SECONDS, check=False).returncode


@pytest.fixture
def optimizer(endpoint: str, store: Any, tmp_path: Path) -> Optimizer:
    return Optimizer(Path(), endpoint, tmp_path)


@pytest.fixture
def staged(site: Path, endpoint: str, store: Any, tmp_path: Path) -> Optimizer:
    return StagedOptimizer(site, endpoint, tmp_path)


@pytest.mark.parametrize(
    ("how", "by", "more"),
    [
        ("Int8Dynamic", "optimizer", ()),
        ("Int8Static", "staged", ("--calibration-uri", "s3://models/net/rows.npz")),
    ],
)
def test_a_variant_is_small_agrees_and_is_stored_with_its_report(
    request: pytest.FixtureRequest, store: Any, how: str, by: str, more: tuple[str, ...]
) -> None:
    optimizer: Optimizer = request.getfixturevalue(by)
    target = f"s3://models/net/1.{how.lower()}"
    status, told = optimizer.run("s3://models/net/1", target, "--quantization", how, *more)
    assert status == 0, told
    report = json.loads(told)
    assert report["sizeBytes"] <= 0.35 * report["originalSizeBytes"]
    assert report["agreement"] >= 0.9
    assert (report["rows"], report["calibrated"]) == ((ROWS, True) if more else (256, False))
    key = target.removeprefix("s3://models/")
    stored = store.get_object(Bucket="models", Key=f"{key}/model.onnx")["Body"].read()
    assert len(stored) == report["sizeBytes"]
    assert json.loads(store.get_object(Bucket="models", Key=f"{key}/report.json")["Body"].read()) == report


def test_what_is_there_is_not_made_again(optimizer: Optimizer, store: Any) -> None:
    store.put_object(Bucket="models", Key="made/report.json", Body=b'{"sizeBytes": 1}')
    assert optimizer.run("s3://models/nowhere", "s3://models/made", "--quantization", "Int8Dynamic") == (
        0,
        '{"sizeBytes": 1}',
    )


@pytest.mark.parametrize(
    ("uri", "more", "said"),
    [
        ("s3://models/plain/1", (), "UnsupportedModel: there is nothing to quantize"),
        ("s3://models/garbage/1", (), "UnsupportedModel: the file is not an ONNX model"),
        ("s3://models/net/9", (), "ObjectNotFound: s3://models/net/9 does not exist"),
        (
            "s3://models/net/1",
            ("--calibration-uri", "s3://models/net/none.npz"),
            "ObjectNotFound: s3://models/net/none.npz",
        ),
        (
            "s3://models/net/1",
            ("--calibration-uri", "s3://models/net/wrong.npz"),
            "UnsupportedModel: optimize.calibrationUri must have an array with the same number of rows for each of "
            "image; it has",
        ),
    ],
)
def test_why_it_cannot_be_made(optimizer: Optimizer, uri: str, more: tuple[str, ...], said: str) -> None:
    status, told = optimizer.run(uri, "s3://models/failed", "--quantization", "Int8Dynamic", *more)
    assert status == 1
    assert told.startswith(said)
