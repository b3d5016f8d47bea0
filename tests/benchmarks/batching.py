"""The gain of Triton's dynamic batching: `python -m tests.benchmarks.batching` prints the table.

The demo's v5, a network of about 100 ms for one image on one thread, with 16 concurrent callers that send one image
each: on a server without batching and one with batches of at most 16 and 2 ms of delay, alternating. Needs root and
Debian, as tests/e2e/runtimes/test_local.py.
"""

import shutil
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from demo import digits, models
from tests.support.runtimes import joining
from tests.support.runtimes.box import Files
from tests.support.runtimes.joining import Joined
from tests.support.runtimes.table import TRITON

PAIRS: Final = 5
REQUESTS: Final = 160
NETWORK: Final = "v5"


def main() -> None:
    print("| | one by one, requests/s | batched, requests/s | requests a run | ratio |\n|---|--:|--:|--:|--:|")
    ratios = []
    for pair in range(1, PAIRS + 1):
        alone, batched = _measured({}), _measured(joining.BATCHING)
        ratios.append(batched.rate / alone.rate)
        print(
            f"| {pair} | {alone.rate:.1f} | {batched.rate:.1f} | {batched.mean_batch:.1f} | {ratios[-1]:.2f} |",
            flush=True,
        )
    print(f"| median | | | | {statistics.median(ratios):.2f} |")


def _measured(spec: dict[str, Any]) -> Joined:
    images = digits.split()[1].images[:REQUESTS]
    labels = models.open_session(models.ensure()[NETWORK]).run(["label"], {"image": images})[0]
    asks = [joining.infer([image], [int(label)]) for image, label in zip(images, labels, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        case = replace(TRITON, write=_write_network, spec=spec)
        with joining.served(case, Path(folder)) as place:
            joining.joined(asks[: joining.CALLERS], place)  # the first requests are slower
            return joining.joined(asks, place)


def _write_network(_: Files, folder: Path) -> None:
    shutil.copy(models.ensure()[NETWORK], folder / "model.onnx")


if __name__ == "__main__":
    main()
