"""Sizes and cold starts of the model servers' images: `python -m tests.benchmarks.runtimes [NAME …]` prints the table.

A cold start is from the start of the container's process to its model's readiness, with the image and the model on this machine
already: the median of five. Needs root and Debian, as tests/e2e/runtimes/test_local.py.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import processes
from tests.benchmarks.images import compressed_megabytes
from tests.support.runtimes.local import LocalHost
from tests.support.runtimes.table import CASES, Case

STARTS: Final = 5


def main(names: Sequence[str]) -> None:
    print("| server | image | compressed | start to ready |\n|---|---|---|---|")
    for case in CASES:
        if not names or case.name in names:
            print(row(case), flush=True)


def row(case: Case) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        host = LocalHost(case, Path(scratch))
        try:
            seconds = statistics.median(_start(host) for _ in range(STARTS))
            megabytes = processes.run(["du", "-sx", "--block-size=1000000", str(host.root)]).split()[0]
        finally:
            host.close()
    return f"| {case.name} | {megabytes} MB | {compressed_megabytes(case.image.tag):.0f} MB | {seconds:.1f} s |"


def _start(host: LocalHost) -> float:
    with host.start() as server:
        return server.wait_ready(host.case.seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
