"""Which columns feed the model, and what it gets of each row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_batch import columns
from sluice_batch.columns import Feature, Tensor
from sluice_batch.failures import BatchError

F32, I64, U8, TEXT = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.uint8), np.dtype(np.object_)
IMAGE = Tensor("image", F32, (3,))
OPEN = Tensor("image", F32, (None,))
LEFT, RIGHT = Tensor("left", F32, ()), Tensor("right", I64, ())
FLAT = pa.schema([("id", pa.string()), ("a", pa.float64()), ("b", pa.int32()), ("c", pa.float32())])
LISTS = pa.schema([("image", pa.list_(pa.float32())), ("id", pa.int64())])
PAIR = pa.schema([("right", pa.int64()), ("left", pa.float32()), ("id", pa.int64())])
LENGTH = 7


def resolved(
    inputs: Sequence[Tensor], schema: pa.Schema, requested: Sequence[str] | None = None, ignored: str = ""
) -> tuple[Feature, ...]:
    return columns.resolved(inputs, schema, requested, lambda name: LENGTH, ignored)


FITTING: dict[str, tuple[Any, Any, Any, list[Feature]]] = {
    "scalars side by side, in the order asked for": (
        [IMAGE], FLAT, ["c", "a", "b"], [Feature("image", ("c", "a", "b"), False, 3)],
    ),
    "all numeric columns": ([IMAGE], FLAT, None, [Feature("image", ("a", "b", "c"), False, 3)]),
    "the column with the input's name": ([IMAGE], LISTS, None, [Feature("image", ("image",), True, 3)]),
    "a list by another name": ([IMAGE], pa.schema([("x", pa.list_(pa.int64()))]), ["x"], [Feature("image", ("x",), True, 3)]),
    "lists in lists": (
        [Tensor("image", F32, (2, 2))], pa.schema([("image", pa.list_(pa.list_(pa.float64())))]), None,
        [Feature("image", ("image",), True, 4)],
    ),
    "an open size is what the data has": ([OPEN], LISTS, None, [Feature("image", ("image",), True, LENGTH)]),
    "one scalar": ([LEFT], FLAT, ["b"], [Feature("left", ("b",), False, 1)]),
    "several inputs by name": (
        [LEFT, RIGHT], PAIR, None, [Feature("left", ("left",), False, 1), Feature("right", ("right",), False, 1)],
    ),
    "several inputs, asked for": (
        [LEFT, RIGHT], PAIR, ["right", "left"],
        [Feature("left", ("left",), False, 1), Feature("right", ("right",), False, 1)],
    ),
    "text": ([Tensor("t", TEXT, ())], pa.schema([("t", pa.string())]), None, [Feature("t", ("t",), False, 1)]),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "schema", "requested", "wanted"), FITTING.values(), ids=FITTING)
def test_columns_find_their_inputs(inputs: Any, schema: Any, requested: Any, wanted: list[Feature]) -> None:
    assert list(resolved(inputs, schema, requested)) == wanted


def test_labels_do_not_feed_the_model_by_themselves() -> None:
    schema = pa.schema([("a", pa.float32()), ("truth", pa.int64()), ("b", pa.float32()), ("c", pa.float32())])
    assert resolved([IMAGE], schema, ignored="truth")[0].columns == ("a", "b", "c")


WRONG: dict[str, tuple[Any, Any, Any, str]] = {
    "no such column": ([IMAGE], FLAT, ["a", "x"], "BadColumns: the data has no column 'x'; it has 'id', 'a', 'b', 'c'"),
    "too many": (
        [IMAGE], PAIR.append(pa.field("x", pa.int8())), None,
        "BadColumns: the model's input 'image' takes 3 values per row, but 4 columns feed it: 'right', 'left', "
        "'id', 'x'",
    ),
    "text for numbers": ([IMAGE], FLAT, ["id", "a", "b"], "BadColumns: column 'id' is string, and the model's input 'image' takes float32"),
    "a time for numbers": ([LEFT], pa.schema([("left", pa.timestamp("s"))]), None, "BadColumns: column 'left' is timestamp[s]"),
    "numbers for text": ([Tensor("t", TEXT, ())], FLAT, ["a"], "BadColumns: column 'a' is double, and the model's input 't' takes text"),
    "a list beside others": ([IMAGE], LISTS, [
        "image", "id"], "BadColumns: column 'image' has lists, so it must be the only column"),
    "nothing numeric": ([IMAGE], pa.schema([(
        "id", pa.string())]), None, "BadColumns: no column has the name of the model's input 'image'"),
    "several inputs, not all there": ([LEFT, RIGHT], FLAT, None, "BadColumns: the model has the inputs 'left', 'right'"),
    "several inputs, too many asked for": ([LEFT, RIGHT], PAIR, ["left", "right", "id"], "BadColumns: the model has the inputs"),
    "two open sizes": ([Tensor("image", F32, (None, None))], LISTS, None, "UnsupportedModel: the input 'image' has the shape"),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "schema", "requested", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_said(inputs: Any, schema: Any, requested: Any, said: str) -> None:
    with pytest.raises(BatchError) as error:
        resolved(inputs, schema, requested)
    assert str(error.value).startswith(said)
    assert error.value.exit_code == 42


def fed(table: pa.Table, feature: Feature, tensor: Tensor) -> columns.Fed:
    return columns.fed(table, [feature], [tensor])


ROWS = st.lists(st.none() | st.lists(st.none() | st.integers(-1000, 1000), max_size=5), max_size=30)


@given(ROWS, st.sampled_from([pa.list_(pa.int64()), pa.large_list(pa.float64()), pa.list_(pa.float32())]))
def test_a_row_of_lists_is_fed_or_failed(rows: list[list[int | None] | None], kind: pa.DataType) -> None:
    table = pa.table({"n": range(len(rows)), "x": pa.array(rows, kind)})
    found = fed(table, Feature("image", ("x",), True, 3), IMAGE)
    good = [n for n, row in enumerate(rows) if row is not None and len(row) == 3 and None not in row]
    assert found.numbers.tolist() == good
    assert found.rows.column("n").to_pylist() == good
    assert sorted(found.failed) == [n for n in range(len(rows)) if n not in good]
    if good:
        assert found.arrays["image"].tolist() == [rows[n] for n in good]
        assert found.arrays["image"].dtype == F32


@given(st.lists(st.tuples(*[st.none() | st.integers(-5, 300)] * 2), max_size=30))
def test_a_row_of_scalars_is_fed_or_failed(rows: list[tuple[int | None, int | None]]) -> None:
    """uint8 takes 0 … 255 only."""
    table = pa.table({name: pa.array([row[i] for row in rows], pa.int64()) for i, name in enumerate("ab")})
    found = fed(table, Feature("image", ("a", "b"), False, 2), Tensor("image", U8, (2,)))
    good = [n for n, row in enumerate(rows) if all(value is not None and 0 <= value <= 255 for value in row)]
    assert found.numbers.tolist() == good
    assert sorted(found.failed) == [n for n in range(len(rows)) if n not in good]
    if good:
        assert found.arrays["image"].tolist() == [list(rows[n]) for n in good]


REASONS: dict[str, tuple[list[Any], str]] = {
    "null": ([None], "column 'x' is null"),
    "length": ([[1.0, 2.0]], "column 'x' has 2 values, not 3"),
    "null within": ([[1.0, None, 2.0]], "column 'x' has a null in its list"),
}


@pytest.mark.parametrize(("rows", "reason"), REASONS.values(), ids=REASONS)
def test_why_a_row_fails(rows: list[Any], reason: str) -> None:
    table = pa.table({"x": pa.array(rows, pa.list_(pa.float64()))})
    assert fed(table, Feature("image", ("x",), True, 3), IMAGE).failed == {0: reason}


def test_fractions_are_not_cut_off() -> None:
    found = fed(pa.table({"x": [1.0, 1.5]}), Feature("right", ("x",), False, 1), RIGHT)
    assert found.arrays["right"].tolist() == [1]
    assert "1.5" in found.failed[1]


@pytest.mark.parametrize(
    ("column", "tensor", "wanted"),
    [
        (pa.array([1, 2], pa.decimal128(5, 1)), LEFT, [1.0, 2.0]),
        (pa.array([True, False]), LEFT, [1.0, 0.0]),
        (pa.array([2**53 + 1, 3]), LEFT, [float(2**53), 3.0]),
        (pa.array(["a", "b"]), Tensor("t", TEXT, ()), ["a", "b"]),
        (pa.array([0.5, 2]), Tensor("h", np.dtype(np.float16), ()), [0.5, 2.0]),
    ],
)
def test_types_that_fit_are_converted(column: pa.Array, tensor: Tensor, wanted: list[Any]) -> None:
    found = fed(pa.table({"x": column}), Feature(tensor.name, ("x",), False, 1), tensor)
    assert found.arrays[tensor.name].tolist() == wanted
    assert found.arrays[tensor.name].dtype == tensor.dtype
    assert not found.failed


def test_a_shape_is_filled_row_by_row() -> None:
    table = pa.table({"x": pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])})
    tensor = Tensor("x", F32, (None, 2))
    assert fed(table, Feature("x", ("x",), True, 4), tensor).arrays["x"].tolist() == table.column("x").to_pylist()
