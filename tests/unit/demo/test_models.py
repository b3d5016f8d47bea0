"""The six models are what the demo says they are, measured with ONNX Runtime on the held-out images."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as states

from demo import digits, models

SLOW_SAMPLE = 60


@dataclass(frozen=True)
class Score:
    right: float  # share of the images that were answered
    failed: float  # share of all images


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return models.export_all(tmp_path_factory.mktemp("models"))


@functools.cache
def score(path: Path, images: int, eight_bits: float = 0.0) -> Score:
    """eight_bits: the share of the images that a scanner with 256 grey levels has made."""
    _, held_out = digits.split()
    session = models.open_session(path)
    sent = digits.with_eight_bits(held_out.images, eight_bits)
    answers = [_answer(session, image) for image in sent[:images]]
    pairs = list(zip(answers, held_out.labels, strict=False))
    answered = [int(answer == label) for answer, label in pairs if answer is not None]
    return Score(right=sum(answered) / len(answered), failed=1 - len(answered) / len(pairs))


def _answer(session: onnxruntime.InferenceSession, image: np.ndarray) -> int | None:
    try:
        return int(session.run(["label"], {"image": image[None, :]})[0][0])
    except states.InvalidArgument:
        return None


RIGHT = {
    "v1": (0.93, 0.97),
    "v2": (0.975, 1.0),
    "v3": (0.0, 0.5),
    "v4": (0.97, 1.0),
    "v5": (0.95, 1.0),
    "v6": (0.975, 1.0),
}


@pytest.mark.parametrize(("name", "limits"), RIGHT.items(), ids=RIGHT.keys())
def test_share_of_right_answers(paths: dict[str, Path], name: str, limits: tuple[float, float]) -> None:
    lowest, highest = limits
    assert lowest <= score(paths[name], SLOW_SAMPLE if name == "v5" else 10_000).right <= highest


FAILED = {"v1": (0, 0), "v2": (0, 0), "v3": (0, 0), "v4": (0.08, 0.12), "v6": (0, 0)}


@pytest.mark.parametrize(("name", "limits"), FAILED.items(), ids=FAILED.keys())
def test_share_of_images_that_make_the_graph_fail(
    paths: dict[str, Path], name: str, limits: tuple[float, float]
) -> None:
    lowest, highest = limits
    assert lowest <= score(paths[name], 10_000).failed <= highest


def test_v6_fails_on_the_images_of_another_scanner_and_on_no_others(paths: dict[str, Path]) -> None:
    assert score(paths["v6"], 10_000, 0.2).failed == pytest.approx(0.2, abs=0.002)
    assert score(paths["v2"], 10_000, 0.2).failed == 0


@pytest.mark.parametrize("name", models.NAMES)
def test_all_models_have_the_same_inputs_and_outputs(paths: dict[str, Path], name: str) -> None:
    session = models.open_session(paths[name])
    values = [(value.name, value.type, value.shape[1:]) for value in session.get_inputs() + session.get_outputs()]
    assert values == [
        ("image", "tensor(float)", [64]),
        ("label", "tensor(int64)", []),
        ("probabilities", "tensor(float)", [10]),
    ]


@pytest.mark.parametrize("name", models.NAMES)
def test_a_batch_is_answered_row_by_row_and_probabilities_sum_to_one(paths: dict[str, Path], name: str) -> None:
    dark = digits.split()[1].images[:40]
    dark = dark[dark.sum(axis=1) < 300][:3]
    label, probabilities = models.open_session(paths[name]).run(None, {"image": dark})
    assert label.shape == (3,)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    assert (probabilities.argmax(axis=1) == label).all()


def test_only_v5_is_slow(paths: dict[str, Path]) -> None:
    millis = {name: models.cpu_millis(models.open_session(path)) for name, path in paths.items()}
    assert millis.pop("v5") >= 40 * max(millis.values())


def test_a_right_answer_is_read_from_a_v2_body_and_anything_else_is_no_answer() -> None:
    assert digits.predicted_label(b'{"outputs":[{"name":"label","datatype":"INT64","shape":[1],"data":[7]}]}') == 7
    for body in (b"", b"[]", b"{}", b'{"outputs":[]}', b'{"outputs":[{"name":"label","data":[]}]}', b'{"outputs":3}'):
        assert digits.predicted_label(body) is None
