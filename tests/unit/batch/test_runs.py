"""Whole runs: every format, every store, every layout of a data set."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import fs, parquet

from sluice_batch.options import Format
from tests.support import patience
from tests.support.stores import gcs
from tests.unit.batch import network, program
from tests.unit.batch.conftest import Bucket
from tests.unit.batch.program import PIXELS, Output, Runner, encoded, table

FORMATS = [kind.value for kind in Format]
ROWS = 3000


def fill(data: Path, kind: str, rows: int = ROWS, files: int = 3, **options: Any) -> None:
    """The rows 0 … rows-1 in several files, one of them in a folder below."""
    (data / "below").mkdir(exist_ok=True)
    each = rows // files
    for index in range(files):
        name = f"{'below/' if index == 1 else ''}{index}.{program.EXTENSIONS[kind]}"
        (data / name).write_bytes(encoded(table(each, first=index * each, **options), kind))
    (data / "_SUCCESS").write_bytes(b"not data")
    (data / ".hidden").write_bytes(b"nor this")
    (data / "empty").write_bytes(b"")


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("input_format", FORMATS)
def test_every_format_becomes_every_other(
    runner: Runner, data: Path, output: Output, input_format: str, output_format: str
) -> None:
    fill(data, input_format)
    run = runner.changed(*PIXELS, input_format=input_format, output_format=output_format, shards=2)
    outcomes = [outcome.counts for outcome in run.all()]
    output.require_all(ROWS, output_format)
    assert [counts["shard"] for counts in outcomes] == [0, 1]
    assert sum(counts["read"] for counts in outcomes) == sum(counts["written"] for counts in outcomes) == ROWS
    assert output.success() == {"run": "r1", "read": ROWS, "written": ROWS, "failed": 0}
    assert output.rows(output_format).column_names == ["id", "note", "total", "scores"]
    assert output.failed() == []


@pytest.mark.parametrize("kind", ["Parquet", "JSONLines"])
def test_a_column_of_lists_feeds_the_input_of_its_name(runner: Runner, data: Path, output: Output, kind: str) -> None:
    fill(data, kind, lists=True)
    assert runner.changed(input_format=kind)().status == 0
    output.require_all(ROWS)
    found = output.rows()
    assert found.column("scores").to_pylist() == program.images(found.column("id").to_numpy()).tolist()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_object_store_holds_input_and_output(bucket: Bucket, tmp_path: Path, model: Path, kind: str) -> None:
    bucket.put(f"data/a.{program.EXTENSIONS[kind]}", encoded(table(ROWS), kind))
    bucket.put(f"data/b.{program.EXTENSIONS[kind]}", encoded(table(ROWS, first=ROWS), kind))
    run = bucket.runner(tmp_path, model).changed(*PIXELS, input_format=kind, output_format=kind, shards=3)
    assert [outcome.status for outcome in run.all()] == [0, 0, 0]
    bucket.output.require_all(2 * ROWS, kind)


def test_one_object_is_a_data_set(bucket: Bucket, tmp_path: Path, model: Path) -> None:
    bucket.put("data/a.parquet", encoded(table(10), "Parquet"))
    run = bucket.runner(tmp_path, model).changed(*PIXELS, input=bucket.uri("data/a.parquet"))
    assert run().counts["written"] == 10
    bucket.output.require_all(10)


def test_google_cloud_storage(tmp_path: Path, model: Path) -> None:
    with gcs.running(tmp_path, {"data/a.csv": encoded(table(100), "CSV")}) as address:
        environment = {f"{side}_STORAGE_EMULATOR_HOST": address for side in ("INPUT", "OUTPUT")}
        run = Runner(tmp_path, model, "gs://models/data", "gs://models/out", "CSV", environment=environment)
        assert run.changed(*PIXELS)().counts["written"] == 100
        host = address.removeprefix("http://")
        Output(fs.GcsFileSystem(anonymous=True, endpoint_override=host, scheme="http"), "models/out").require_all(100)


def test_more_shards_than_splits_leave_some_with_nothing(runner: Runner, data: Path, output: Output) -> None:
    (data / "a.parquet").write_bytes(encoded(table(10), "Parquet"))
    counts = [outcome.counts["read"] for outcome in runner.changed(*PIXELS, shards=4).all()]
    assert sorted(counts) == [0, 0, 0, 10]
    output.require_all(10)


def test_the_last_shard_to_end_marks_the_output(runner: Runner, data: Path, output: Output) -> None:
    fill(data, "Parquet")
    run = runner.changed(*PIXELS, shards=3)
    run(0)
    run(2)
    assert output.success() is None
    run(1)
    assert output.success() is not None


def test_the_first_shard_plans_and_the_others_wait(runner: Runner, data: Path, output: Output) -> None:
    fill(data, "Parquet")
    run = runner.changed(*PIXELS, shards=2)
    second = threading.Thread(target=run, args=(1,))
    second.start()
    assert output.names() == []
    run(0)
    second.join(patience.HANG_SECONDS)
    output.require_all(ROWS)


@pytest.mark.parametrize("batch_size", ["1", "7", "4096"])
def test_the_size_of_batches_changes_nothing(runner: Runner, data: Path, output: Output, batch_size: str) -> None:
    (data / "a.parquet").write_bytes(encoded(table(100), "Parquet", group_rows=30))
    assert runner.changed(*PIXELS, "--batch-size", batch_size)().status == 0
    output.require_all(100)


def test_a_model_of_one_row_gets_one_row(runner: Runner, data: Path, output: Output, tmp_path: Path) -> None:
    (data / "a.parquet").write_bytes(encoded(table(20), "Parquet"))
    assert runner.changed(*PIXELS, model=network.summing(tmp_path / "one", rows=1))().status == 0
    output.require_all(20)


def test_several_inputs_are_fed_by_the_columns_of_their_names(
    runner: Runner, data: Path, output: Output, tmp_path: Path
) -> None:
    rows = pa.table({"right": [1, 2, None], "id": [7, 8, 9], "left": pa.array([0.5, 1.5, 2.5], pa.float32())})
    (data / "a.parquet").write_bytes(encoded(rows, "Parquet"))
    run = runner.changed("--maximum-failed-rows-percent", "50", model=network.two_inputs(tmp_path / "two"))
    assert run().counts == {"shard": 0, "read": 3, "written": 2, "failed": 1}
    assert output.rows().to_pylist() == [{"id": 7, "total": 1.5}, {"id": 8, "total": 3.5}]


def test_files_may_differ_in_the_order_and_width_of_columns(runner: Runner, data: Path, output: Output) -> None:
    first, second = table(5), table(5, first=5)
    narrow = second.set_column(0, "id", second.column("id").cast(pa.int32())).select(second.column_names[::-1])
    (data / "a.parquet").write_bytes(encoded(first, "Parquet"))
    (data / "b.parquet").write_bytes(encoded(narrow, "Parquet"))
    assert runner.changed(*PIXELS)().status == 0
    output.require_all(10)


def test_dictionaries_are_read_as_their_values(runner: Runner, data: Path, output: Output) -> None:
    rows = table(5)
    rows = rows.set_column(1, "note", rows.column("note").dictionary_encode())
    parquet.write_table(rows, data / "a.parquet")
    assert runner.changed(*PIXELS)().status == 0
    assert output.rows().column("note").to_pylist() == rows.column("note").to_pylist()


def test_text_that_is_passed_through_csv_stays_as_it_is(runner: Runner, data: Path, output: Output) -> None:
    (data / "a.csv").write_text('id,code,p0,p1,p2,p3\r\n0,007,0,1,2,3\r\n\r\n1,"a,b",1,1,2,3')
    run = runner.changed(*PIXELS, input_format="CSV", output_format="JSONLines")
    assert run().status == 0
    assert [json.loads(line)["code"] for line in output.read("part-00000.jsonl").splitlines()] == ["007", "a,b"]


def test_columns_are_kept_when_asked_for(runner: Runner, data: Path, output: Output) -> None:
    (data / "a.parquet").write_bytes(encoded(table(5), "Parquet"))
    assert runner.changed(*PIXELS, "--keep", "p1,id")().status == 0
    assert output.rows().column_names == ["p1", "id", "total", "scores"]


def test_a_second_attempt_does_nothing_again(runner: Runner, data: Path, output: Output) -> None:
    fill(data, "Parquet")
    run = runner.changed(*PIXELS)
    first = run().counts
    before = {name: (Path(output.path) / name).stat().st_mtime_ns for name in output.names() if "part-" in name}
    assert run().counts == first
    assert {name: (Path(output.path) / name).stat().st_mtime_ns for name in before} == before


def test_a_part_that_somebody_removed_is_made_again(runner: Runner, data: Path, output: Output) -> None:
    fill(data, "Parquet")
    run = runner.changed(*PIXELS, shards=2)
    run(0)
    (Path(output.path) / "part-00000.parquet").unlink()
    outcome = run(1)
    assert outcome.status == 1
    assert outcome.message.startswith("BatchFailed: part-00000.parquet was removed")
    assert output.success() is None
    assert [run(0).status, run(1).status] == [0, 0]
    output.require_all(ROWS)


def test_overwriting_leaves_nothing_of_earlier_runs(runner: Runner, data: Path, output: Output, brittle: Path) -> None:
    fill(data, "Parquet", files=3)
    assert runner.changed(*PIXELS, run="old", output_format="JSONLines")().status == 0
    (Path(output.path) / "_failed").mkdir()
    (Path(output.path) / "_failed" / "part-00000.jsonl").write_text("{}")
    (Path(output.path) / ".sluice-0123").write_text("a pod that was killed left this")
    for index in (0, 2):
        (data / f"{index}.parquet").unlink()
    new = runner.changed(*PIXELS, "--mode", "Overwrite", run="new")
    assert new().status == 0
    found = [name for name in output.names() if not name.startswith("_sluice/new/")]
    assert found == ["_SUCCESS", "part-00000.parquet"]
    assert sorted(output.rows().column("id").to_pylist()) == list(range(ROWS // 3, 2 * ROWS // 3))


FIRST_BAD = network.FAILING_FROM


@pytest.mark.parametrize("kind", FORMATS)
def test_failed_rows_are_told_with_their_place_and_reason(
    runner: Runner, data: Path, output: Output, brittle: Path, kind: str
) -> None:
    """A null, and a row that makes the model fail, in batches of good ones."""
    rows = table(1000)
    first = rows.column("p0").to_pylist()
    first[3], first[700] = None, FIRST_BAD
    rows = rows.set_column(rows.column_names.index("p0"), "p0", pa.array(first, pa.float32()))
    body = encoded(rows, kind, group_rows=100)
    (data / "a").write_bytes(body)
    run = runner.changed(*PIXELS, "--maximum-failed-rows-percent", "0.2", model=brittle, input_format=kind)
    assert run().counts == {"shard": 0, "read": 1000, "written": 998, "failed": 2}
    assert sorted(output.rows().column("id").cast(pa.int64()).to_pylist()) == [
        n for n in range(1000) if n not in (3, 700)
    ]
    null, rejected = output.failed()
    assert null["file"] == rejected["file"] == f"{runner.input}/a"
    assert null["reason"] == "column 'p0' is null"
    assert "out of data bounds" in rejected["reason"]
    assert int(null["values"]["id"]) == 3
    assert rejected["values"]["p0"] == FIRST_BAD
    if kind == "Parquet":
        assert (null["row"], rejected["row"]) == (3, 700)
    else:
        lines = body.splitlines()[1 if kind == "CSV" else 0 :]
        assert [body[failed["byte"] :].splitlines()[0] for failed in (null, rejected)] == [lines[3], lines[700]]


BROKEN_LINES = {
    "CSV": ("5,note,x,1,2,3", "column 'p0': CSV conversion error to float: invalid value 'x'"),
    "CSV, too few": ("5,note", "CSV parse error: Expected 6 columns, got 2: 5,note"),
    "JSONLines": ('{"id": 5, "p0": ', "JSON parse error"),
    "JSONLines, no object": ("[1, 2]", "JSON parse error"),
    "JSONLines, another type": ('{"id": 5, "p0": "x", "p1": 1, "p2": 2, "p3": 3}', "JSON parse error"),
}


@pytest.mark.parametrize(("case", "line", "reason"), [(case, *told) for case, told in BROKEN_LINES.items()])
def test_a_line_that_is_no_row_fails_alone(
    runner: Runner, data: Path, output: Output, case: str, line: str, reason: str
) -> None:
    kind = case.partition(",")[0]
    lines = encoded(table(1000), kind).splitlines(keepends=True)
    at = len(lines) // 2
    lines.insert(at, line.encode() + b"\n")
    body = b"".join(lines)
    (data / "a").write_bytes(body)
    run = runner.changed(*PIXELS, "--maximum-failed-rows-percent", "1", input_format=kind)
    assert run().counts == {"shard": 0, "read": 1001, "written": 1000, "failed": 1}
    output.require_all(1000)
    (failed,) = output.failed()
    assert reason in failed["reason"]
    assert failed["values"] == {"line": line}
    assert body[failed["byte"] :].startswith(line.encode())


@pytest.fixture
def labelled(data: Path) -> pa.Table:
    """The right answer for all rows but each tenth; two have none."""
    rows = table(100)
    truth = [float(total) + (number % 10 == 0) for number, total in enumerate(program.totals(np.arange(100)))]
    rows = rows.append_column("truth", pa.array([None if number in (3, 10) else t for number, t in enumerate(truth)]))
    (data / "a.parquet").write_bytes(encoded(rows, "Parquet", group_rows=30))
    return rows


def test_answers_are_compared_with_labels(runner: Runner, labelled: pa.Table, output: Output) -> None:
    run = runner.changed(*PIXELS, "--labels", "truth", "--maximum-failed-rows-percent", "2%", output="", shards=2)
    found = [outcome.counts for outcome in run.all()]
    sums = {key: sum(counts[key] for counts in found) for key in ("read", "written", "failed", "wrong")}
    assert sums == {"read": 100, "written": 0, "failed": 2, "wrong": 9}
    assert output.names() == []


def test_a_label_that_is_missing_is_a_failed_row(runner: Runner, labelled: pa.Table) -> None:
    outcome = runner.changed(*PIXELS, "--labels", "truth", output="")()
    assert outcome.status == 42
    assert outcome.message == (
        "TooManyFailedRows: 2 of 100 rows failed, and spec.maximumFailedRowsPercent allows 0%; the first: column "
        "'truth', the label, is null"
    )
