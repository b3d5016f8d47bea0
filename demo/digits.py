"""The data: 1,797 scanned digits of 8 x 8 pixels with the right answer for each (scikit-learn's copy of a UCI data set)."""

import functools
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED: Final = 7
HELD_OUT_SHARE: Final = 0.35
PIXELS: Final = 64  # 8 x 8, row by row
PIXEL_MAXIMUM: Final = 16  # raw values are integers 0..16
CLASSES: Final = 10
STUCK_PIXEL: Final = 20
EIGHT_BIT_MAXIMUM: Final = 255


@dataclass(frozen=True, slots=True)
class Digits:
    """Images as float32 of shape [n, 64] with raw pixel values 0..16, and labels as int64 of shape [n]."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


@functools.cache
def split() -> tuple[Digits, Digits]:
    """Training part and held-out part; the same split in every process. Traffic uses held-out images only."""
    images, labels = load_digits(return_X_y=True)
    train_images, held_out_images, train_labels, held_out_labels = train_test_split(
        images.astype(np.float32), labels.astype(np.int64), test_size=HELD_OUT_SHARE, random_state=SEED, stratify=labels
    )
    return Digits(train_images, train_labels), Digits(held_out_images, held_out_labels)


def with_stuck_pixel(images: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """How many of the images come from a scanner with one pixel that is always black."""
    changed = images.copy()
    changed[_some(len(images), share), STUCK_PIXEL] = PIXEL_MAXIMUM
    return changed


def with_eight_bits(images: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """How many of the images come from a scanner with 256 grey levels."""
    changed = images.copy()
    changed[_some(len(images), share)] *= EIGHT_BIT_MAXIMUM / PIXEL_MAXIMUM
    return changed


def _some(count: int, share: float) -> npt.NDArray[np.int64]:
    return np.random.default_rng(SEED).choice(count, round(count * share), replace=False)


def infer_request(image: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Body of an Open Inference Protocol V2 request for one image of shape [64]."""
    return {
        "inputs": [{"name": "image", "shape": [1, PIXELS], "datatype": "FP32", "data": [float(p) for p in image]}],
        "outputs": [{"name": "label"}],
    }


def infer_bodies(digits: Digits) -> tuple[bytes, ...]:
    """One encoded request body an image, in the order of `digits`."""
    return tuple(json.dumps(infer_request(image), separators=(",", ":")).encode() for image in digits.images)


def predicted_label(answer: bytes) -> int | None:
    """Label in a V2 answer, or None where the body is not one."""
    try:
        outputs = json.loads(answer)["outputs"]
        return int(next(output["data"][0] for output in outputs if output["name"] == "label"))
    except (ValueError, KeyError, IndexError, TypeError, StopIteration):
        return None
