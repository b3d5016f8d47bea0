"""Memory does not grow with the input: the largest resident size of a process of its own."""

import os
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from tests.unit.batch.program import EXTENSIONS, PIXELS, Output, Runner, table

ROWS = 150_000
MOST = 1.2


def filled(data: Path, kind: str, rows: int) -> None:
    """One file, written a part at a time."""
    path, schema = data / f"a.{EXTENSIONS[kind]}", table(1).schema
    with parquet.ParquetWriter(path, schema) if kind == "Parquet" else csv.CSVWriter(path, schema) as writer:
        for first in range(0, rows, 50_000):
            writer.write_table(table(50_000, first=first))


def peak_bytes(runner: Runner) -> int:
    process = runner.spawned()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, runner.outcome(process).message
    return usage.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Parquet", "CSV"])
def test_ten_times_the_rows_take_the_same_memory(tmp_path: Path, model: Path, kind: str) -> None:
    peaks = {}
    for rows in (ROWS, 10 * ROWS):
        folder = tmp_path / str(rows)
        (folder / "data").mkdir(parents=True)
        filled(folder / "data", kind, rows)
        run = Runner(folder, model, f"file://{folder}/data", f"file://{folder}/out", kind, kind)
        peaks[rows] = peak_bytes(run.changed(*PIXELS))
        written = Output(pa.fs.LocalFileSystem(), f"{folder}/out").success()
        assert written is not None
        assert written["written"] == rows
        subprocess.run(["rm", "-r", str(folder)], check=True)
    print({rows: f"{peak / 2**20:.0f} MiB" for rows, peak in peaks.items()})
    assert peaks[10 * ROWS] <= MOST * peaks[ROWS]
