"""Train and export the six models of the demo: `python -m demo.models [FOLDER]`.

    v1  logistic regression                                 about 95 % right
    v2  a small neural network                              about 98 % right: the better release
    v3  v2's network behind wrong preprocessing             fast, but wrong
    v4  v2 with a table that is one entry too short         about 10 % of the images make its Gather fail
    v5  a wide network that averages many noisy copies      as right as v2, but about 100 ms an image on one thread
    v6  v2 with a table of the 17 grey levels of today      as right as v2, until a scanner has 256

All take `image` FP32 [-1, 64] (raw pixel values 0..16) and answer `label` INT64 [-1] and `probabilities` FP32 [-1, 10],
so that a release changes nothing for the client.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import threadpoolctl  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from demo import digits

NAMES: Final = ("v1", "v2", "v3", "v4", "v5", "v6")
FOLDER: Final = Path("build/demo/models")
OPSET: Final = 17
IR_VERSION: Final = 8  # read by every ONNX Runtime since 1.12

# The right scale for the networks' input, and the one that v3 was built with: that of 8-bit images.
TRAINED_SCALE: Final = float(digits.PIXEL_MAXIMUM)
WRONG_SCALE: Final = 255.0

# v4 looks its gain up by brightness (sum of the pixels), in classes of this width. The brightest tenth of the images
# falls into a class that the table does not have.
FAILING_SHARE: Final = 0.10
BRIGHTNESS_CLASSES: Final = 8

# v5's number of copies is chosen by measurement, so that one image takes this long here, whatever the machine.
SLOW_MILLIS: Final = 100.0
SLOW_WIDTH: Final = 1024
COPIES_LIMITS: Final = (64, 16384)

Weights = list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


def export_all(folder: Path = FOLDER) -> dict[str, Path]:
    """Write `<folder>/<name>/model.onnx` for each model and return the paths."""
    # One thread: the same sums in the same order everywhere, and no spinning where other programs need the cores.
    with warnings.catch_warnings(), threadpoolctl.threadpool_limits(1):
        # scikit-learn warns where training could go on; what counts here, the accuracy, is asserted in a test.
        warnings.simplefilter("ignore")
        small, wide = _small_network(), _wide_network()
        models = {
            "v1": _logistic_regression(),
            "v2": _network(small, scale=TRAINED_SCALE),
            "v3": _network(small, scale=WRONG_SCALE),
            "v4": _network_with_short_table(small),
            "v5": _slow_network(wide),
            "v6": _network_with_grey_levels(small),
        }
    return {name: _write(model, folder / name / "model.onnx") for name, model in models.items()}


def ensure(folder: Path = FOLDER) -> dict[str, Path]:
    """As `export_all`, but models that are there already are kept."""
    paths = {name: folder / name / "model.onnx" for name in NAMES}
    return paths if all(path.exists() for path in paths.values()) else export_all(folder)


def open_session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session with one thread, as the model server of the demo uses it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def cpu_millis(session: onnxruntime.InferenceSession, runs: int = 5) -> float:
    """Milliseconds of one image on one thread: CPU time, best of `runs`, so that a busy machine does not blur it."""
    image = digits.split()[1].images[:1]
    session.run(None, {"image": image})
    return min(_timed(lambda: session.run(None, {"image": image})) for _ in range(runs))


def _timed(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1000


def _logistic_regression() -> onnx.ModelProto:
    train, _ = digits.split()
    classifier = LogisticRegression(max_iter=2000).fit(train.images, train.labels)
    model: onnx.ModelProto = convert_sklearn(
        classifier,
        initial_types=[("image", FloatTensorType([None, digits.PIXELS]))],
        final_types=[("label", Int64TensorType([None])), ("probabilities", FloatTensorType([None, digits.CLASSES]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    return model


def _small_network() -> Weights:
    return _weights(MLPClassifier((128, 64), alpha=0.01, random_state=digits.SEED, max_iter=400))


def _wide_network() -> Weights:
    return _weights(MLPClassifier((SLOW_WIDTH, SLOW_WIDTH), random_state=digits.SEED, max_iter=25, batch_size=128))


def _weights(classifier: MLPClassifier) -> Weights:
    """Train, and return (matrix, bias) of each layer."""
    train, _ = digits.split()
    classifier.fit(train.images / TRAINED_SCALE, train.labels)
    layers = zip(classifier.coefs_, classifier.intercepts_, strict=True)
    return [(matrix.astype(np.float32), bias.astype(np.float32)) for matrix, bias in layers]


class _Graph:
    """Nodes and constants of a graph under construction; `add` returns the name of the new value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def scaled(self, value: str, divisor: float) -> str:
        return self.add("Div", value, self.constant(np.array([divisor], np.float32)))

    def logits(self, value: str, weights: Weights) -> str:
        for layer, (matrix, bias) in enumerate(weights):
            if layer:
                value = self.add("Relu", value)
            product = self.add("MatMul", value, self.constant(matrix))
            value = self.add("Add", product, self.constant(bias))
        return value

    def model(self) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [None, digits.PIXELS])
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, digits.CLASSES]),
        ]
        graph = helper.make_graph(self.nodes, "digits", [image], outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def finish(self, probabilities: str) -> onnx.ModelProto:
        self.add("Identity", probabilities, output="probabilities")
        self.add("ArgMax", probabilities, axis=1, keepdims=0, output="label")
        return self.model()


def _network(weights: Weights, *, scale: float) -> onnx.ModelProto:
    graph = _Graph()
    return graph.finish(graph.add("Softmax", graph.logits(graph.scaled("image", scale), weights), axis=1))


def _network_with_short_table(weights: Weights) -> onnx.ModelProto:
    """v2, its input multiplied by a gain from a table indexed by the image's brightness.

    All gains are 1, so that answers are those of v2. The classes are cut so that the brightest images get index
    BRIGHTNESS_CLASSES, one past the end, where ONNX Runtime's Gather fails: the kind of defect that a test set without
    bright images lets through.
    """
    _, held_out = digits.split()
    limit = float(np.quantile(held_out.images.sum(axis=1), 1 - FAILING_SHARE))
    graph = _Graph()
    axes = graph.constant(np.array([1], dtype=np.int64))
    brightness = graph.add("ReduceSum", "image", axes, keepdims=1)
    class_index = graph.add("Cast", graph.scaled(brightness, limit / BRIGHTNESS_CLASSES), to=TensorProto.INT64)
    gain = graph.add("Gather", graph.constant(np.ones(BRIGHTNESS_CLASSES, dtype=np.float32)), class_index, axis=0)
    scaled = graph.scaled(graph.add("Mul", "image", gain), TRAINED_SCALE)
    return graph.finish(graph.add("Softmax", graph.logits(scaled, weights), axis=1))


def _network_with_grey_levels(weights: Weights) -> onnx.ModelProto:
    """v2 with a gain for each grey level, looked up by the image's brightest pixel.

    All gains are 1. Images of today have values up to 16, and the table has no more: one with values up to 255, as other
    scanners make them, gets an index past its end. No test with images of today finds that, and no release.
    """
    graph = _Graph()
    level = graph.add("Cast", graph.add("ReduceMax", "image", axes=[1], keepdims=1), to=TensorProto.INT64)
    gain = graph.add("Gather", graph.constant(np.ones(digits.PIXEL_MAXIMUM + 1, dtype=np.float32)), level, axis=0)
    scaled = graph.scaled(graph.add("Mul", "image", gain), TRAINED_SCALE)
    return graph.finish(graph.add("Softmax", graph.logits(scaled, weights), axis=1))


def _averaging_network(weights: Weights, copies: int) -> onnx.ModelProto:
    """Mean of the probabilities over `copies` of the image with fixed noise (test-time augmentation)."""
    noise = np.random.default_rng(digits.SEED).normal(0, 0.02, (copies, digits.PIXELS)).astype(np.float32)
    graph = _Graph()
    second_axis = graph.constant(np.array([1], np.int64))
    one_more_axis = graph.add("Unsqueeze", graph.scaled("image", TRAINED_SCALE), second_axis)
    noisy = graph.add("Add", one_more_axis, graph.constant(noise))
    per_copy = graph.add("Softmax", graph.logits(noisy, weights), axis=2)
    return graph.finish(graph.add("ReduceMean", per_copy, axes=[1], keepdims=0))


def _slow_network(weights: Weights) -> onnx.ModelProto:
    """Choose the number of copies in three rounds: time is not proportional to it where caches overflow."""
    copies = 512
    for _ in range(3):
        millis = cpu_millis(open_session(_averaging_network(weights, copies).SerializeToString()))
        copies = int(np.clip(round(copies * SLOW_MILLIS / millis), *COPIES_LIMITS))
    return _averaging_network(weights, copies)


def _write(model: onnx.ModelProto, path: Path) -> Path:
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(model.SerializeToString())
    return unfinished.rename(path)  # at once, so that another process never reads half a model


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, path in export_all(folder).items():
        millis = cpu_millis(open_session(path))
        print(f"{name}  {path}  {path.stat().st_size / 1e6:.2f} MB  {millis:.2f} ms an image on one thread")


if __name__ == "__main__":
    main()
