"""Small models of the digits for ONNX Runtime, made without training: least squares on the images themselves."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from demo import digits

OPSET = 17
IR_VERSION = 8
ENTRIES = 3
"""The first pixel of an image must be below this in the model that refuses others."""


def classifier(path: Path) -> Path:
    """`image` float32 [-1, 64] to `label` int64 [-1] and `probabilities` float32 [-1, 10]."""
    return _written(path, _nodes(), digits.PIXELS)


def picky(path: Path) -> Path:
    """The same; it refuses a batch with an image whose first pixel is ENTRIES or more."""
    look_up = [
        helper.make_node("Slice", ["image", "zero", "one", "axis"], ["first"]),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["gain"]),
        helper.make_node("Mul", ["image", "gain"], ["seen"]),
    ]
    return _written(path, [*look_up, *_nodes("seen")], digits.PIXELS)


def open_width(path: Path) -> Path:
    """The same as `classifier`, but its input says [-1, -1]."""
    return _written(path, _nodes(), None)


def _nodes(source: str = "image") -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", [source, "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]


def _written(path: Path, nodes: list[onnx.NodeProto], width: int | None) -> Path:
    train, _ = digits.split()
    images = np.hstack([train.images, np.ones((len(train.images), 1), np.float32)])
    solution = np.linalg.lstsq(images, np.eye(digits.CLASSES)[train.labels], rcond=None)[0].astype(np.float32)
    constants = {
        "weights": solution[:-1],
        "bias": solution[-1],
        "table": np.ones(ENTRIES, np.float32),
        "zero": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "axis": np.array([1], np.int64),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, width])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, digits.CLASSES]),
        ],
        [numpy_helper.from_array(value, key) for key, value in constants.items() if key in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path.parent
