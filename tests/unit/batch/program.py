"""Runs the batch runner, in this process or in one of its own, over rows whose answers are known."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import csv, fs, parquet
from pyarrow import json as arrow_json

from sluice_batch import __main__ as program
from tests.support import patience
from tests.unit.batch.network import WIDTH

ROOT = Path(__file__).parents[3]
EXTENSIONS = {"Parquet": "parquet", "CSV": "csv", "JSONLines": "jsonl"}


@dataclass(frozen=True)
class Outcome:
    status: int
    message: str
    """What the kubelet would read."""

    @property
    def counts(self) -> dict[str, int]:
        assert self.status == 0, self.message
        told = json.loads(self.message)
        del told["seconds"]
        return dict(told)


@dataclass(frozen=True)
class Runner:
    """One run. folder: for what a pod has of its own."""

    folder: Path
    model: Path
    input: str
    output: str
    input_format: str = "Parquet"
    output_format: str = "Parquet"
    run: str = "r1"
    shards: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()

    def changed(self, *more: str, **changes: Any) -> "Runner":
        return replace(self, more=(*self.more, *more), **changes)

    def arguments(self, shard: int) -> list[str]:
        model = ("--model", str(self.model)) if "--endpoint" not in self.more else ()
        output = ("--output", self.output, "--output-format", self.output_format) if self.output else ()
        where = ("--progress-port", "0", "--scratch", str(self.folder), "--termination-log", str(self._log(shard)))
        what = ("--run", self.run, "--shards", str(self.shards), "--shard", str(shard))
        return [*what, "--input", self.input, "--input-format", self.input_format, *output, *model, *where, *self.more]

    def __call__(self, shard: int = 0) -> Outcome:
        """In this process."""
        self._log(shard).write_text("")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            status = program.main(self.arguments(shard))
        return Outcome(status, self._log(shard).read_text())

    def all(self) -> list[Outcome]:
        """One shard after the other."""
        return [self(shard) for shard in range(self.shards)]

    def spawned(self, shard: int = 0, *prefix: str) -> subprocess.Popen[bytes]:
        """In a process of its own. prefix: a command that starts it."""
        self._log(shard).write_text("")
        environment = os.environ | {"PYTHONPATH": str(ROOT / "batch")} | dict(self.environment)
        command = [*prefix, sys.executable, "-m", "sluice_batch", *self.arguments(shard)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def outcome(self, process: subprocess.Popen[bytes], shard: int = 0) -> Outcome:
        return Outcome(process.wait(patience.HANG_SECONDS), self._log(shard).read_text())

    def _log(self, shard: int) -> Path:
        return self.folder / f"termination-log-{shard}"


@dataclass(frozen=True)
class Output:
    """What a run left at its output."""

    system: fs.FileSystem
    path: str

    def names(self, folder: str = "") -> list[str]:
        selector = fs.FileSelector(f"{self.path}/{folder}".rstrip("/"), recursive=True, allow_not_found=True)
        found = [info.path for info in self.system.get_file_info(selector) if info.type is fs.FileType.File]
        return sorted(path.removeprefix(f"{self.path}/") for path in found)

    def read(self, name: str) -> bytes:
        with self.system.open_input_file(f"{self.path}/{name}") as file:
            return bytes(file.read())

    def rows(self, kind: str = "Parquet") -> pyarrow.Table:
        """Of all parts, in the order of their names."""
        parts = [name for name in self.names() if name.startswith("part-") and name.endswith(EXTENSIONS[kind])]
        return pyarrow.concat_tables([_read(kind, self.read(name)) for name in parts], promote_options="permissive")

    def failed(self) -> list[dict[str, Any]]:
        names = [name for name in self.names("_failed") if name.startswith("_failed/")]
        return [json.loads(line) for name in names for line in self.read(name).splitlines()]

    def success(self) -> dict[str, Any] | None:
        return json.loads(self.read("_SUCCESS")) if "_SUCCESS" in self.names() else None

    def require_all(self, rows: int, kind: str = "Parquet") -> None:
        """Every row once, with the right answer."""
        found = self.rows(kind)
        numbers = found.column("id").cast(pyarrow.int64()).to_numpy()
        assert len(numbers) == rows
        assert np.array_equal(np.sort(numbers), np.arange(rows))
        assert np.array_equal(found.column("total").cast(pyarrow.float64()).to_numpy(), totals(numbers))
        assert self.success() is not None


def _read(kind: str, body: bytes) -> pyarrow.Table:
    match kind:
        case "Parquet":
            return parquet.read_table(pyarrow.BufferReader(body))
        case "CSV":
            return csv.read_csv(pyarrow.BufferReader(body))
        case _:
            return arrow_json.read_json(pyarrow.BufferReader(body))


def images(numbers: Any) -> Any:
    """The row with a number: [number % 1000, 1, 2, 3], which float32 adds up exactly."""
    first = np.asarray(numbers) % 1000
    return np.stack([first, np.full_like(first, 1), np.full_like(first, 2), np.full_like(first, 3)], axis=1)


def totals(numbers: Any) -> Any:
    return images(numbers).sum(axis=1)


def table(rows: int, *, lists: bool = False, first: int = 0) -> pyarrow.Table:
    """Columns id, note, and the model's input as `image`, or as p0 … p3."""
    numbers = np.arange(first, first + rows)
    pixels = images(numbers).astype(np.float32)
    columns: dict[str, Any] = {"id": numbers, "note": [f"row {number}" for number in numbers]}
    if lists:
        flat = pyarrow.array(pixels.ravel())
        columns["image"] = pyarrow.FixedSizeListArray.from_arrays(flat, WIDTH).cast(pyarrow.list_(pyarrow.float32()))
    else:
        columns |= {f"p{index}": pixels[:, index] for index in range(WIDTH)}
    return pyarrow.table(columns)


PIXELS = ("--columns", ",".join(f"p{index}" for index in range(WIDTH)))


def encoded(rows: pyarrow.Table, kind: str, group_rows: int = 1000) -> bytes:
    sink = pyarrow.BufferOutputStream()
    if kind == "Parquet":
        parquet.write_table(rows, sink, row_group_size=group_rows)
    elif kind == "CSV":
        csv.write_csv(rows, sink)
    else:
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows.to_pylist())
    return bytes(sink.getvalue())


def chain(parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
    return (item for part in parts for item in part)
