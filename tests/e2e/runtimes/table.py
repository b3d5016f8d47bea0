"""The table: each model server, a real model for it, requests with right answers, and models that must never serve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo import cluster as clusters
from demo import digits
from demo.cluster import Image
from tests.e2e.runtimes import modelfiles
from tests.e2e.runtimes.asking import Ask, GrpcAsk
from tests.e2e.runtimes.box import Files

Object = dict[str, Any]

MODEL: Final = "digits"
"""The served name."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A model that must never be ready: its files, and what must be said about it (a regular expression)."""

    files: Mapping[str, bytes]
    said: str
    by_downloader: bool = False
    """Whether it is refused before a server starts."""


@dataclass(frozen=True, slots=True)
class Case:
    """One model server with one format."""

    name: str
    runtime: str
    format: str
    image: Image
    write: Callable[[Files, Path], None]
    """Writes the model's files as a user keeps them in a bucket."""
    asks: tuple[Ask | GrpcAsk, ...]
    long_ask: Ask
    """A request that takes more than a second: what is in flight when the server is told to stop."""
    series: tuple[str, ...]
    """Beginnings of lines that the server's metrics have after a request."""
    broken: Mapping[str, Broken]
    spec: Object = field(default_factory=dict)
    """Further fields of the ModelDeployment."""
    smoke: bool = False
    """Whether it belongs to `make test`; the others are slow."""


def _examples(count: int) -> tuple[list[list[float]], list[int]]:
    held_out = digits.split()[1]
    return held_out.images[:count].tolist(), held_out.labels[:count].tolist()


IMAGES, LABELS = _examples(3)

FASTAPI: Final = Case(
    name="fastapi",
    runtime="fastapi",
    format="custom",
    image=clusters.SERVER_IMAGES["fastapi"],
    write=modelfiles.write_onnx,
    asks=(Ask("Native", "/predict", {"instances": IMAGES}, lambda answer: answer["predictions"] == LABELS),),
    long_ask=Ask(
        "Native", "/predict", {"instances": IMAGES * 1200}, lambda answer: answer["predictions"] == LABELS * 1200
    ),
    series=(
        f'predict_requests_total{{code="200",model="{MODEL}"}}',
        f'predict_seconds_bucket{{le="0.01",model="{MODEL}"}}',
    ),
    broken={
        "garbage": Broken({"model.onnx": b"this is no model"}, "ModelNotLoadable: ONNX Runtime cannot load model.onnx"),
        "none": Broken({"readme.txt": b"later"}, "ModelNotLoadable: 0 .onnx files"),
    },
    spec={"runtime": {"image": clusters.SERVER_IMAGES["fastapi"].tag}},
    smoke=True,
)

CASES: Final = (FASTAPI,)
