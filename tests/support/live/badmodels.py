"""Models that must not be released, beside the demo's own v3, v4 and v5."""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from demo import digits, languagemodels, models

GARBAGE: Final = b"this was never a model\n" * 64


def write_always_failing(path: Path) -> Path:
    """Accepts every image and fails on it: the index is made from the input, and lies past the table's end."""
    one = numpy_helper.from_array(np.ones(1, np.float32), "table")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    offset = numpy_helper.from_array(np.array(7.0, np.float32), "offset")
    nodes = [
        helper.make_node("ReduceSum", ["image", "axes"], ["brightness"], keepdims=0),
        helper.make_node("Add", ["brightness", "offset"], ["shifted"]),
        helper.make_node("Cast", ["shifted"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["gain"], axis=0),
        helper.make_node("Cast", ["gain"], ["label"], to=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "always-failing",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, digits.PIXELS])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, [None])],
        [one, axes, offset],
    )
    opset = helper.make_opsetid("", models.OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=models.IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def write_garbage(path: Path) -> Path:
    """A file with only the name of a model."""
    path.write_bytes(GARBAGE)
    return path


def zipmapped() -> bytes:
    """A model whose output is a list of dictionaries, as skl2onnx exports a classifier by itself."""
    scores = helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, 2])
    probability = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    output = helper.make_value_info("probabilities", helper.make_sequence_type_proto(probability))
    node = helper.make_node("ZipMap", ["image"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    graph = helper.make_graph([node], "zipmapped", [scores], [output])
    opsets = [helper.make_opsetid("", models.OPSET), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=models.IR_VERSION).SerializeToString()


def cut_gguf() -> bytes:
    """A language model whose upload broke off in the middle of its weights."""
    whole = gguf()
    return whole[: len(whole) // 2]


def gguf(*, tokenizer: bool = True) -> bytes:
    """A language model's file, which cannot be used without its tokenizer."""
    with tempfile.TemporaryDirectory() as scratch:
        return languagemodels.write(Path(scratch) / "model.gguf", tokenizer=tokenizer).read_bytes()
