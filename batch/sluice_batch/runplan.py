"""Cuts a data set into splits and assigns them to shards: arithmetic, and the plan's JSON."""

import base64
import hashlib
import itertools
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow

from sluice_batch.columns import Feature
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.storage import File

SPLITS_PER_SHARD: Final = 4
"""So that a restarted shard does not repeat all of its work."""
SMALLEST_BYTES: Final = 64 << 10
LARGEST_BYTES: Final = 64 << 20
MOST_SPLITS: Final = 50_000
"""Beyond this, splits become larger: each is an object of the output, and one line of the plan."""


@dataclass(frozen=True, slots=True)
class Split:
    """A unit of work: row groups (Parquet) or bytes (rows of text) start … stop-1 of one file.

    For compressed text, all from byte `start` of the text.

    size: bytes as stored. first_row, rows: known for Parquet only.
    """

    file: int
    start: int
    stop: int
    size: int
    first_row: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan shared by all shards of a run. schema: of the input columns that are read, as they are read.

    folders: those of them that folder names have, not the files.
    """

    shards: int
    files: tuple[File, ...]
    splits: tuple[Split, ...]
    features: tuple[Feature, ...]
    keep: tuple[str, ...]
    schema: Any
    folders: tuple[str, ...] = ()

    def shard(self, index: int) -> range:
        """The numbers of a shard's splits."""
        return balanced([split.size for split in self.splits], self.shards)[index]

    @property
    def stored(self) -> Any:
        """The schema of the columns read from the files."""
        return pyarrow.schema([field for field in self.schema if field.name not in self.folders])

    @property
    def digest(self) -> str:
        """Identifies a plan: equal for equal plans only."""
        return hashlib.sha256(self.dumped()).hexdigest()[:12]

    def as_loaded(self) -> "RunPlan":
        """As every other pod has it: a stored schema lacks some of a file's details, such as names in maps."""
        return loaded(json.loads(self.dumped()))

    def dumped(self) -> bytes:
        return json.dumps(
            {
                "shards": self.shards,
                "files": [[file.name, file.size, file.mtime] for file in self.files],
                "splits": [[s.file, s.start, s.stop, s.size, s.first_row, s.rows] for s in self.splits],
                "features": [_dumped(feature) for feature in self.features],
                "keep": self.keep,
                "schema": base64.b64encode(self.schema.serialize()).decode(),
                **({"folders": self.folders} if self.folders else {}),
            }
        ).encode()


def _dumped(feature: Feature) -> list[Any]:
    return [feature.input, list(feature.columns), feature.listed, feature.width, *([True] if feature.raw else [])]


def loaded(stored: Any) -> RunPlan:
    """The plan written by `dumped`."""
    return RunPlan(
        shards=stored["shards"],
        files=tuple(File(*entry) for entry in stored["files"]),
        splits=tuple(Split(*entry) for entry in stored["splits"]),
        features=tuple(Feature(name, tuple(columns), *rest) for name, columns, *rest in stored["features"]),
        keep=tuple(stored["keep"]),
        schema=pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(stored["schema"]))),
        folders=tuple(stored.get("folders", ())),
    )


def target_bytes(total: int, shards: int) -> int:
    """The target size of splits."""
    wanted = total // (shards * SPLITS_PER_SHARD)
    return max(min(max(wanted, SMALLEST_BYTES), LARGEST_BYTES), total // MOST_SPLITS)


def balanced(sizes: Sequence[int], shards: int) -> list[range]:
    """Consecutive ranges of splits, one for each shard, of about equal bytes; a range may be empty.

    A split belongs to the shard whose part of all bytes contains its middle.
    """
    ends = list(itertools.accumulate(sizes))
    total = ends[-1] if ends else 0
    middles = [2 * end - size for end, size in zip(ends, sizes, strict=True)]
    cuts = [bisect_left([middle * shards for middle in middles], 2 * total * shard) for shard in range(shards)]
    return [range(cut, stop) for cut, stop in zip(cuts, [*cuts[1:], len(sizes)], strict=True)]


def byte_ranges(first: int, size: int, target: int, line_end: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Ranges (start, stop) of whole lines that cover the bytes first … size-1, of about `target` bytes or one line.

    line_end(at): the smallest offset >= at where a line is complete; `size` where none is.
    """
    start = first
    while start < size:
        stop = line_end(start + target) if start + target < size else size
        yield start, stop
        start = stop


def runs(sizes: Sequence[int], target: int) -> Iterator[tuple[int, int]]:
    """Ranges (start, stop) of consecutive row groups, each of at least one, and otherwise of at most `target` bytes."""
    start, total = 0, 0
    for index, size in enumerate(sizes):
        if index > start and total + size > target:
            yield start, index
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def require_shards(plan: RunPlan, shards: int) -> None:
    if plan.shards != shards:
        raise BatchError(
            FailureReason.INVALID_OPTION,
            f"this run was planned for {plan.shards} shards, not for {shards}; begin a new run",
        )
