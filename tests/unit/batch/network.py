"""Small models whose answers can be told from the rows."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 4
FAILING_FROM = 1_000_000.0
"""A first value of so much, or more, makes `brittle` fail."""


def summing(path: Path, *, brittle: bool = False, rows: Any = "rows", width: Any = WIDTH) -> Path:
    """`image` FP32 [rows, width] -> `total` FP32 [rows], `scores` FP32 [rows, width]: the row itself."""
    nodes = [
        helper.make_node("ReduceSum", ["image", "axis"], ["sum"], keepdims=0),
        helper.make_node("Identity", ["image"], ["scores"]),
    ]
    weights = [numpy_helper.from_array(np.array([1], np.int64), "axis")]
    if brittle:
        weights += [
            numpy_helper.from_array(np.array([0], np.int64), "first"),
            numpy_helper.from_array(np.array(FAILING_FROM, np.float32), "limit"),
            numpy_helper.from_array(np.ones(1, np.float32), "table"),
        ]
        nodes += [
            helper.make_node("Gather", ["image", "first"], ["column"], axis=1),
            helper.make_node("Div", ["column", "limit"], ["share"]),
            helper.make_node("Cast", ["share"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["ones"]),  # out of bounds for an index of 1 or more
            helper.make_node("ReduceSum", ["ones", "axis"], ["one"], keepdims=0),
            helper.make_node("Mul", ["sum", "one"], ["total"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["sum"], ["total"]))
    return built(
        path,
        nodes,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [rows, width])],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, [rows]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [rows, width]),
        ],
        weights,
    )


def two_inputs(path: Path) -> Path:
    """`left` FP32 [rows], `right` INT64 [rows] -> `total` FP32 [rows]."""
    nodes = [
        helper.make_node("Cast", ["right"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["left", "number"], ["total"]),
    ]
    inputs = [
        helper.make_tensor_value_info("left", TensorProto.FLOAT, ["rows"]),
        helper.make_tensor_value_info("right", TensorProto.INT64, ["rows"]),
    ]
    return built(path, nodes, inputs, [helper.make_tensor_value_info("total", TensorProto.FLOAT, ["rows"])], [])


def built(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: list[Any]) -> Path:
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.mkdir(parents=True, exist_ok=True)
    (path / "model.onnx").write_bytes(model.SerializeToString())
    return path
