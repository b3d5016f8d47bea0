"""Columns of folders, of bytes and of tensors."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.batch import network
from tests.unit.batch.program import EXTENSIONS, PIXELS, Output, Runner, encoded, images, table


def put(data: Path, name: str, body: bytes) -> None:
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    (data / name).write_bytes(body)


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_folders_are_columns(runner: Runner, data: Path, output: Output, kind: str) -> None:
    for number, day in enumerate(("2026-11-26", "2026-11-27", "__HIVE_DEFAULT_PARTITION__")):
        name = f"date={day}/hour={number}/a%20b=x%2Fy/part-0.{EXTENSIONS[kind]}"
        put(data, name, encoded(table(10, first=10 * number), kind))
    run = runner.changed(*PIXELS, input_format=kind, shards=2)
    assert [outcome.status for outcome in run.all()] == [0, 0]
    output.require_all(30)
    found = output.rows()
    rows = {int(row["id"]): row for row in found.to_pylist()}
    assert [rows[number]["date"] for number in (0, 10, 20)] == ["2026-11-26", "2026-11-27", None]
    assert [str(rows[number]["hour"]) for number in (0, 10, 20)] == ["0", "1", "2"]
    assert {row["a b"] for row in rows.values()} == {"x/y"}


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_a_column_of_folders_may_feed_the_model(runner: Runner, data: Path, output: Output, kind: str) -> None:
    for first in (0, 1):
        rows = table(1, first=first).drop_columns(["p0"])
        put(data, f"p0={first}/a.{EXTENSIONS[kind]}", encoded(rows, kind))
    assert runner.changed(*PIXELS, input_format=kind)().status == 0
    output.require_all(2)


def test_a_folder_that_is_no_number_is_told(runner: Runner, data: Path) -> None:
    for value in ("1", "x"):
        put(data, f"p0={value}/a.csv", encoded(table(2).drop_columns(["p0"]), "CSV"))
    outcome = runner.changed(*PIXELS, input_format="CSV")()
    assert outcome.status == 42
    assert outcome.message.startswith("BadColumns: p0=x/a.csv: the folder's p0=x is not float")


def test_what_a_file_has_itself_and_what_not_all_have_is_no_column_of_folders(
    runner: Runner, data: Path, output: Output
) -> None:
    put(data, "note=other/day=1/a.parquet", encoded(table(5), "Parquet"))
    put(data, "note=other/a.parquet", encoded(table(5, first=5), "Parquet"))
    assert runner.changed(*PIXELS)().status == 0
    assert output.rows().column_names == ["id", "note", "total", "scores"]
    assert sorted(output.rows().column("note").to_pylist()) == [f"row {number}" for number in range(10)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(16)])
def test_bytes_are_a_rows_tensor(runner: Runner, data: Path, output: Output, kind: pa.DataType) -> None:
    pixels = [row.astype("<f4").tobytes() for row in images(np.arange(20))]
    rows = pa.table({"id": range(20), "image": pa.array(pixels, kind)})
    parquet.write_table(rows, data / "a.parquet")
    assert runner().status == 0
    output.require_all(20)


def test_bytes_of_another_size_fail_their_row(runner: Runner, data: Path, output: Output) -> None:
    good = images(np.arange(1))[0].astype("<f4").tobytes()
    parquet.write_table(pa.table({"id": [0, 1, 2], "image": [good, good[:-1], None]}), data / "a.parquet")
    assert runner.changed("--maximum-failed-rows-percent", "70")().counts["failed"] == 2
    assert [row["reason"] for row in output.failed()] == [
        "column 'image' has 15 bytes, not 16",
        "column 'image' is null",
    ]


def test_bytes_for_an_open_size_are_refused(runner: Runner, data: Path, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"image": [b"1234"]}), data / "a.parquet")
    outcome = runner.changed(model=network.summing(tmp_path / "open", width="width"))()
    assert (outcome.status, outcome.message.partition(",")[0]) == (42, "BadColumns: column 'image' has bytes")


@pytest.mark.parametrize("kind", EXTENSIONS)
def test_bytes_are_passed_through(runner: Runner, data: Path, output: Output, kind: str) -> None:
    rows = table(2).append_column("key", pa.array([b"\xff\x00", None], pa.binary()))
    parquet.write_table(rows, data / "a.parquet")
    assert runner.changed(*PIXELS, output_format=kind)().status == 0
    if kind == "JSONLines":
        assert [json.loads(line)["key"] for line in output.read("part-00000.jsonl").splitlines()] == ["/wA=", None]
    elif kind == "CSV":
        assert output.rows("CSV").column("key").to_pylist() == ["/wA=", ""]
    else:
        assert output.rows().column("key").to_pylist() == [b"\xff\x00", None]


def test_tensors_are_lists_of_one_length(runner: Runner, data: Path, output: Output) -> None:
    flat = pa.array(images(np.arange(10)).astype(np.float32).ravel())
    kind = pa.fixed_shape_tensor(pa.float32(), [2, 2])
    tensors = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, 4))
    parquet.write_table(pa.table({"id": range(10), "image": tensors, "copy": tensors}), data / "a.parquet")
    assert runner.changed(shards=2).all()[1].status == 0
    output.require_all(10)
    assert output.rows().column("copy").to_pylist() == images(np.arange(10)).tolist()


def test_tensors_that_lie_otherwise_are_refused(runner: Runner, data: Path) -> None:
    flat = pa.array(np.arange(4, dtype=np.float32))
    kind = pa.fixed_shape_tensor(pa.float32(), [2, 2], permutation=[1, 0])
    tensors = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, 4))
    parquet.write_table(pa.table({"image": tensors}), data / "a.parquet")
    outcome = runner()
    assert outcome.status == 42
    assert outcome.message.startswith(
        "BadColumns: column 'image' has tensors whose dimensions are stored in the order [1, 0]"
    )
