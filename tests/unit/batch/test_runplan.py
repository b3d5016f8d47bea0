"""Cutting a data set into splits, and splits into shards."""

import io
import itertools
import json
from collections.abc import Iterator

import numpy as np
import pyarrow
from hypothesis import given
from hypothesis import strategies as st

from sluice_batch import blocks, runplan
from sluice_batch.columns import Feature
from sluice_batch.runplan import RunPlan, Split
from sluice_batch.storage import File

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=60)


@given(st.lists(st.integers(0, 10**12), max_size=200), st.integers(1, 50))
def test_shards_have_every_split_once(sizes: list[int], shards: int) -> None:
    ranges = runplan.balanced(sizes, shards)
    assert len(ranges) == shards
    assert list(itertools.chain.from_iterable(ranges)) == list(range(len(sizes)))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=200), st.integers(1, 20))
def test_no_shard_has_much_more_than_its_part(sizes: list[int], shards: int) -> None:
    for splits in runplan.balanced(sizes, shards):
        assert sum(sizes[index] for index in splits) <= sum(sizes) / shards + max(sizes)


def line_end(text: bytes, at: int) -> int:
    found = text.find(b"\n", at - 1)
    return found + 1 if found >= 0 else len(text)


def blocks_of(text: bytes, start: int, stop: int, size: int) -> Iterator[tuple[int, bytes]]:
    file = io.BytesIO(text)
    blocks.skip(file, start)
    return blocks.blocks(file, start, stop, blocks.line_ends, size)


@given(LINES, st.booleans(), st.integers(1, 200), st.integers(1, 64))
def test_byte_ranges_have_every_line_once(lines: list[bytes], ended: bool, target: int, block: int) -> None:
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    ranges = list(runplan.byte_ranges(0, len(text), target, lambda at: line_end(text, at)))
    assert all(start < stop for start, stop in ranges)
    found = [part for start, stop in ranges for _, part in blocks_of(text, start, stop, block)]
    assert b"".join(found) == text
    assert all(part.endswith(b"\n") for part in found[:-1])  # so that no line is in two of them


@given(LINES, st.integers(1, 64))
def test_blocks_say_where_they_begin(lines: list[bytes], block: int) -> None:
    text = b"\n".join(lines)
    for begin, part in blocks_of(text, 0, len(text), block):
        assert text[begin : begin + len(part)] == part


@given(st.lists(st.sampled_from([b"", b" ", b"\r", b"\t", b"a", b" a", b"b,c"]), max_size=20), st.booleans())
def test_lines_that_are_not_blank_are_found(lines: list[bytes], ended: bool) -> None:
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    starts = [int(start) for start in blocks.row_starts(text, blocks.line_ends)]
    assert [text[start:].partition(b"\n")[0] for start in starts] == [line for line in lines if line.strip()]


@given(st.lists(st.integers(0, 100), max_size=50), st.integers(1, 300))
def test_row_groups_are_taken_together_up_to_a_size(sizes: list[int], target: int) -> None:
    found = list(runplan.runs(sizes, target))
    assert list(itertools.chain.from_iterable(range(*run) for run in found)) == list(range(len(sizes)))
    assert all(stop - start == 1 or sum(sizes[start:stop]) <= target for start, stop in found)


def test_splits_are_neither_tiny_nor_huge_nor_too_many() -> None:
    assert runplan.target_bytes(1000, 4) == runplan.SMALLEST_BYTES
    assert runplan.target_bytes(100 << 20, 5) == 5 << 20
    assert runplan.target_bytes(1 << 40, 1) == runplan.LARGEST_BYTES
    assert (1 << 50) / runplan.target_bytes(1 << 50, 1000) <= runplan.MOST_SPLITS + 1


def test_a_plan_survives_being_stored() -> None:
    made = RunPlan(
        shards=2,
        files=(File("a/b.parquet", 10, 1_700_000_000_123_456_789),),
        splits=(Split(0, 0, 2, 10, 0, 7), Split(0, 10, 20, 10)),
        features=(Feature("image", ("p0", "p1"), False, 2),),
        keep=("id",),
        schema=pyarrow.schema([("p0", pyarrow.float32()), ("id", pyarrow.list_(pyarrow.int64()))]),
    )
    again = runplan.loaded(json.loads(made.dumped()))
    assert again == made
    assert again.digest == made.digest


def test_numbers_of_a_plan_are_plain() -> None:
    """numpy's would not be written as JSON."""
    assert all(type(edge) is int for splits in runplan.balanced([int(n) for n in np.ones(5)], 2) for edge in splits)
