"""Real models for the table, as a user keeps them in a bucket."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from demo import models
from tests.e2e.runtimes.box import Files

WIDTH = 1024
ROUNDS = 16


def write_onnx(_: Files, folder: Path) -> None:
    """The demo's v2 behind some work that does not change the answer: a millisecond or two for one image.

    So a request of some thousand images is in flight for a second or more, and its body is still small.
    """
    model = onnx.load_model_from_string(models.ensure()["v2"].read_bytes())
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["worked" if each == name else each for each in node.input]
    square = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))[0].astype(np.float32)
    constants = {"wide": square[:64], "square": square, "nothing": np.zeros((WIDTH, 64), np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    chain = [("MatMul", [name, "wide"], "round0")]
    chain += [("MatMul", [f"round{i}", "square"], f"round{i + 1}") for i in range(ROUNDS)]
    chain += [("MatMul", [f"round{ROUNDS}", "nothing"], "zeros"), ("Add", [name, "zeros"], "worked")]
    work = [helper.make_node(operator, inputs, [output]) for operator, inputs, output in chain]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*work, *rest])
    onnx.checker.check_model(model)
    onnx.save_model(model, str(folder / "model.onnx"))
