"""Outputs as columns, as answers, and as text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from sluice_batch import answers, write
from sluice_batch.failures import BatchError
from sluice_batch.options import Format


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([1, 2], np.int64), pa.int64()),
        (np.array([[1], [2]], np.float32), pa.float32()),
        (np.array([[1, 2], [3, 4]], np.float32), pa.list_(pa.float32())),
        (np.arange(12, dtype=np.int8).reshape(2, 3, 2), pa.list_(pa.list_(pa.int8()))),
        (np.zeros((2, 0), np.float32), pa.list_(pa.float32())),
        (np.array(["a", "b"], np.object_), pa.string()),
    ],
)
def test_an_output_becomes_a_column(array: Any, kind: pa.DataType) -> None:
    column = answers.column(array)
    assert column.type == kind
    wanted = array.reshape(-1) if array.shape[1:] == (1,) else array
    assert column.to_pylist() == wanted.tolist()


def test_an_output_may_not_take_the_place_of_a_column() -> None:
    with pytest.raises(BatchError, match="BadColumns: the data and the model's answer both have 'label'"):
        answers.table_of(pa.table({"label": [1]}), {"label": np.array([1])})


@pytest.mark.parametrize(
    ("outputs", "wanted"),
    [
        ({"scores": np.eye(3), "label": np.array([7, 8, 9])}, [7, 8, 9]),
        ({"label": np.array([["a"], ["b"]], np.object_)}, ["a", "b"]),
        ({"scores": np.eye(3)[::-1]}, [2, 1, 0]),
    ],
)
def test_the_answer_is_the_value_or_the_place_of_the_largest(outputs: Any, wanted: list[Any]) -> None:
    assert answers.predicted(outputs).tolist() == wanted


@pytest.mark.parametrize(
    ("given", "labels", "wanted"),
    [
        (np.array([1, 2]), pa.array([1.0, 3.0]), [False, True]),
        (np.array([1, 2]), pa.array(["1", "2"]), [False, False]),
        (np.array(["a", "b"], np.object_), pa.array(["a", "x"]), [False, True]),
        (np.array([True, False]), pa.array([True, True]), [False, True]),
    ],
)
def test_wrong_answers_are_told(given: Any, labels: pa.Array, wanted: list[bool]) -> None:
    assert answers.is_wrong(given, pa.chunked_array([labels])).tolist() == wanted


def test_outputs_that_are_not_by_row_are_refused() -> None:
    with pytest.raises(BatchError, match=r"UnsupportedModel: the output 'x' has the shape \[3\] for 2 rows"):
        answers.require_rows({"x": np.zeros(3)}, 2)


def test_json_has_no_infinity() -> None:
    rows = [{"a": float("nan"), "b": [1.0, float("inf")], "c": {"d": float("-inf")}}, {"a": 1.5}]
    assert [json.loads(line) for line in write.json_lines(rows).splitlines()] == [
        {"a": None, "b": [1.0, None], "c": {"d": None}},
        {"a": 1.5},
    ]


def test_csv_holds_lists_as_json(tmp_path: Path) -> None:
    columns = {
        "scores": pa.array([[0.5, 1], None, []], pa.list_(pa.float32())),
        "names": pa.array([['a "quoted", one', "ü"], ["b"], []]),
        "deep": pa.array([[[1, 2], [3]], [], [None]], pa.list_(pa.list_(pa.int64()))),
        "holes": pa.array([[1, None], [], [2]]),
    }
    table = pa.table(columns)
    sink = write.opened(Format.CSV, tmp_path / "x.csv", table.schema)
    sink.write(table)
    sink.close()
    strings = csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True)
    found = csv.read_csv(tmp_path / "x.csv", convert_options=strings)
    for name, column in columns.items():
        told = [json.loads(text) if text else None for text in found.column(name).to_pylist()]
        assert told == column.to_pylist()
