"""How a data set is cut into splits, and which of them a shard has: arithmetic, and the plan's JSON."""

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
"""So that a shard that is started again has not all of its work to do again."""
SMALLEST_BYTES: Final = 64 << 10
LARGEST_BYTES: Final = 64 << 20
MOST_SPLITS: Final = 50_000
"""Beyond, splits become larger: each is an object of the output, and one line of the plan."""


@dataclass(frozen=True, slots=True)
class Split:
    """What is done whole or again: row groups (Parquet) or bytes (rows of text) start … stop-1 of one file.

    Of compressed text, all from byte `start` of the text.

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
    """What all shards of a run agree on. schema: of the input columns that are read, as they are read.

    folders: those of them that the names of folders have, not the files.
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
        """The schema of what is read from the files."""
        return pyarrow.schema([field for field in self.schema if field.name not in self.folders])

    @property
    def digest(self) -> str:
        """Tells plans apart: equal for equal plans only."""
        return hashlib.sha256(self.dumped()).hexdigest()[:12]

    def as_loaded(self) -> "RunPlan":
        """As every other pod has it: what is stored of a schema is not all that a file says, such as names in maps."""
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
    """The plan that `dumped` wrote."""
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
    """How large splits shall be."""
    wanted = total // (shards * SPLITS_PER_SHARD)
    return max(min(max(wanted, SMALLEST_BYTES), LARGEST_BYTES), total // MOST_SPLITS)


def balanced(sizes: Sequence[int], shards: int) -> list[range]:
    """Consecutive ranges of splits, one for each shard, with about as many bytes each; a range may be empty.

    A split belongs to the shard in whose part of all bytes its middle lies.
    """
    ends = list(itertools.accumulate(sizes))
    total = ends[-1] if ends else 0
    middles = [2 * end - size for end, size in zip(ends, sizes, strict=True)]
    cuts = [bisect_left([middle * shards for middle in middles], 2 * total * shard) for shard in range(shards)]
    return [range(cut, stop) for cut, stop in zip(cuts, [*cuts[1:], len(sizes)], strict=True)]


def byte_ranges(first: int, size: int, target: int, line_end: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Ranges (start, stop) of whole lines that cover the bytes first … size-1, of about `target` bytes or one line.

    line_end(at): the smallest number of bytes >= at after which a line is complete; `size` where none is.
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
