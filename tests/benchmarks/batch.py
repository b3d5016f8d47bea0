"""One shard of a batch inference: its throughput against a plain ONNX Runtime loop, and its memory.

Both run in separate processes, on this machine and without a cluster, over the same Parquet file of digits.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow
from pyarrow import parquet

from demo import cluster as clusters
from demo import digits, setup
from demo.progress import step
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "batch"
BATCH_SIZE: Final = 256
GROUP_ROWS: Final = 50_000
ROUNDS: Final = 5
LEAST_RATIO: Final = 0.8
MOST_MEMORY_RATIO: Final = 1.2
MODEL: Final = "v2"
METHOD: Final = f"""\
`sluice_batch` scores the [demo's](../README.md) held-out digits, repeated, with model {MODEL} in its own process:
Parquet in, Parquet out, one shard, batches of {BATCH_SIZE}, from disk to disk. *The plain loop* reads the same columns
of the same file with pyarrow in batches of {BATCH_SIZE}, makes the tensor and calls ONNX Runtime; it checks nothing,
and keeps and writes nothing. Both have the same threads. The time is that of the work, without the start of Python,
whose modules are compiled beforehand as they are in the image. Figures are medians of {ROUNDS} rounds, in alternating
order. *Memory* is the largest resident size of the whole process."""
LAYOUTS: Final = {"lists": "one column of lists", "columns": f"{digits.PIXELS} columns"}

PLAIN_LOOP: Final = """\
import json, sys, time
import numpy as np, onnxruntime, pyarrow
from pyarrow import parquet
path, model, size, threads, *names = sys.argv[1:]
pyarrow.set_cpu_count(int(threads))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
began, rows = time.monotonic(), 0
for batch in parquet.ParquetFile(path).iter_batches(batch_size=int(size), columns=names):
    if len(names) == 1:
        image = batch.column(0).flatten().to_numpy().reshape(batch.num_rows, -1)
    else:
        image = np.stack([column.to_numpy() for column in batch.columns], axis=1)
    session.run(None, {"image": image})
    rows += batch.num_rows
print(json.dumps({"rows": rows, "seconds": time.monotonic() - began}))
"""


@dataclass(frozen=True, slots=True)
class Options:
    rows: int


@dataclass(frozen=True, slots=True)
class Run:
    rows: int
    seconds: float
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True, slots=True)
class Found:
    """For one layout of the data: rounds of the loop, of the shard, and of a shard with ten times the rows."""

    loop: Sequence[Run]
    shard: Sequence[Run]
    large: Run

    @property
    def ratio(self) -> float:
        return _median(self.shard) / _median(self.loop)

    @property
    def memory_ratio(self) -> float:
        return self.large.peak_bytes / max(run.peak_bytes for run in self.shard)


def measure(options: Options) -> Section:
    machine = report.host()
    return section(measured(options), options, machine)


def measured(options: Options) -> dict[str, Found]:
    model = setup.prepared_models()[MODEL]
    found = {}
    for layout in LAYOUTS:
        with step(f"batch: {LAYOUTS[layout]}"), tempfile.TemporaryDirectory(dir=clusters.ROOT / "build") as name:
            folder = Path(name)
            small, large = (_data(folder / str(factor), layout, factor * options.rows) for factor in (1, 10))
            _shard(small, model, layout)  # compiles its imports
            rounds = [(_plain_loop(small, model, layout), _shard(small, model, layout)) for _ in range(ROUNDS)]
            loops, shards = zip(*rounds, strict=True)
            found[layout] = Found(loops, shards, _shard(large, model, layout))
    return found


def section(found: dict[str, Found], options: Options, machine: Sequence[str]) -> Section:
    ratio = min(each.ratio for each in found.values())
    memory = max(each.memory_ratio for each in found.values())
    rows = [
        (
            LAYOUTS[layout],
            f"{_median(each.loop):,.0f}",
            f"{_median(each.shard):,.0f}",
            f"{each.ratio:.2f}",
            f"{max(run.peak_bytes for run in each.shard) / 2**20:.0f} MiB",
            f"{each.large.peak_bytes / 2**20:.0f} MiB",
            f"{each.memory_ratio:.2f}",
        )
        for layout, each in found.items()
    ]
    columns = (
        "the image is",
        "plain loop, rows/s",
        "shard, rows/s",
        "ratio",
        "memory",
        "memory, 10 × the rows",
        "ratio of memory",
    )
    return Section(
        key=KEY,
        title="Batch inference: one shard",
        method=METHOD,
        figures=(
            Figure("throughput over the plain loop's", f"{ratio:.2f}", f"≥ {LEAST_RATIO}", ratio >= LEAST_RATIO),
            Figure("memory with 10 times the rows", f"{memory:.2f} ×", f"≤ {MOST_MEMORY_RATIO} ×", memory <= MOST_MEMORY_RATIO),
        ),
        tables=(Table(columns, rows),),
        notes=(f"{options.rows:,} rows; 10 × the rows: {10 * options.rows:,}.",),
        machine=machine,
    )  # fmt: skip


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(run.rows_per_second for run in runs)


def _data(folder: Path, layout: str, rows: int) -> Path:
    folder.mkdir()
    path = folder / "digits.parquet"
    with parquet.ParquetWriter(path, _rows(layout, 0, 1).schema) as writer:
        for first in range(0, rows, GROUP_ROWS):
            writer.write_table(_rows(layout, first, min(GROUP_ROWS, rows - first)))
    return path


def _rows(layout: str, first: int, count: int) -> pyarrow.Table:
    _, held_out = digits.split()
    numbers = np.arange(first, first + count)
    images = held_out.images[numbers % len(held_out.images)]
    columns = {"id": pyarrow.array(numbers)}
    if layout == "lists":
        lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(images.ravel()), digits.PIXELS)
        columns["image"] = lists.cast(pyarrow.list_(pyarrow.float32()))
    else:
        columns |= {f"p{pixel}": pyarrow.array(images[:, pixel]) for pixel in range(digits.PIXELS)}
    return pyarrow.table(columns)


def _names(layout: str) -> list[str]:
    return ["image"] if layout == "lists" else [f"p{pixel}" for pixel in range(digits.PIXELS)]


def _plain_loop(data: Path, model: Path, layout: str) -> Run:
    return _run(["-c", PLAIN_LOOP, str(data), str(model), str(BATCH_SIZE), str(os.cpu_count()), *_names(layout)])


def _shard(data: Path, model: Path, layout: str) -> Run:
    with tempfile.TemporaryDirectory(dir=data.parent) as output:
        where = ["--scratch", output, "--progress-port", "0", "--termination-log", os.devnull]
        what = ["--run", "bench", "--shard", "0", "--shards", "1", "--batch-size", str(BATCH_SIZE)]
        source = ["--input", f"file://{data}", "--input-format", "Parquet", "--columns", ",".join(_names(layout))]
        target = ["--output", f"file://{output}/out", "--model", str(model)]
        return _run(["-m", "sluice_batch", *what, *source, *target, *where])


def _run(arguments: list[str]) -> Run:
    """A separate Python process, which prints its rows and seconds as JSON."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(clusters.ROOT / "build" / "bytecode")}
    environment = os.environ | compiled | {"PYTHONPATH": str(clusters.ROOT / "batch"), "MALLOC_ARENA_MAX": "2"}
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Run(told.get("rows", told.get("read")), told["seconds"], usage.ru_maxrss * 1024)
