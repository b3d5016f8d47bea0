"""What is wrong with the data, the output or the credentials: one line, and the exit code that says whether to try again."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sluice_batch import lines, score, shard, storage
from sluice_batch.checkpoint import Checkpoint
from sluice_batch.failures import BatchError
from tests.unit.batch import network
from tests.unit.batch.conftest import Bucket
from tests.unit.batch.program import PIXELS, Output, Runner, encoded, table

Prepare = Callable[[Path], None]


def parquet_file(rows: pa.Table, name: str = "a.parquet") -> Prepare:
    return lambda data: (data / name).write_bytes(encoded(rows, "Parquet", group_rows=100)) and None


def together(*steps: Prepare) -> Prepare:
    return lambda data: [step(data) for step in steps] and None


def text_file(name: str, text: str) -> Prepare:
    return lambda data: (data / name).write_text(text) and None


def with_text(rows: pa.Table) -> pa.Table:
    return rows.set_column(rows.column_names.index("p2"), "p2", pa.array(["x"] * rows.num_rows))


def damaged_in_the_middle(data: Path) -> None:
    """The second of three files has its footer, and a page of zeros before it."""
    for index in range(3):
        parquet_file(table(5000, first=5000 * index), f"{index}.parquet")(data)
    path = data / "1.parquet"
    body = bytearray(path.read_bytes())
    body[len(body) // 2 : len(body) // 2 + 2000] = bytes(2000)
    path.write_bytes(body)


def cut_off(data: Path) -> None:
    parquet_file(table(1000))(data)
    body = (data / "a.parquet").read_bytes()
    (data / "b.parquet").write_bytes(body[: len(body) // 2])


WRONG: dict[str, tuple[Prepare, tuple[str, ...], str, str]] = {
    "a column is missing": (
        parquet_file(table(10)), ("--columns", "p0,p1,p2,q"), "Parquet",
        "BadColumns: the data has no column 'q'; it has 'id', 'note', 'p0', 'p1', 'p2', 'p3'",
    ),
    "a column is missing in the second file": (
        together(parquet_file(table(10)), parquet_file(table(10).drop_columns(["p3"]), "b.parquet")), PIXELS, "Parquet",
        "BadColumns: b.parquet has no column 'p3', which other files have",
    ),
    "a column to keep is missing": (
        parquet_file(table(10)), (*PIXELS, "--keep", "none"), "Parquet",
        "BadColumns: spec.output.columns: the data has no column 'none'",
    ),
    "a column to keep has an output's name": (
        parquet_file(table(10).rename_columns(["id", "total", "p0", "p1", "p2", "p3"])), PIXELS, "Parquet",
        "BadColumns: the data and the model's answer both have 'total'",
    ),
    "text for numbers": (
        parquet_file(with_text(table(10))), PIXELS, "Parquet",
        "BadColumns: column 'p2' is string, and the model's input 'image' takes float32",
    ),
    "text for numbers in the second file": (
        together(parquet_file(table(10)), parquet_file(with_text(table(10)), "b.parquet")), PIXELS, "Parquet",
        "BadColumns: b.parquet: column 'p2' is string, and cannot be read as float, as in the other files: ",
    ),
    "text for numbers in CSV": (
        text_file("a.csv", "id,p0,p1,p2,p3\n1,1,2,x,4\n"), PIXELS, "CSV",
        "TooManyFailedRows: 1 of 1 rows failed, and spec.maximumFailedRowsPercent allows 0%; the first: column 'p2': CSV "
        "conversion error to float: invalid value 'x'",
    ),
    "text for numbers in JSON Lines": (
        text_file("a.jsonl", '{"p0": 1, "p1": 2, "p2": "x", "p3": 4}\n'), PIXELS, "JSONLines",
        "BadColumns: column 'p2' is string, and the model's input 'image' takes float32",
    ),
    "too few columns": (
        parquet_file(table(10)), ("--columns", "p0,p1"), "Parquet",
        "BadColumns: the model's input 'image' takes 4 values per row, but 2 columns feed it: 'p0', 'p1'",
    ),
    "no header": (text_file("a.csv", "1,1,1\n"), (), "CSV", "BadColumns: the first line of a CSV file must name its columns"),
    "no files": (lambda data: None, PIXELS, "Parquet", "EmptyInput: file://{data} has no files, or only empty ones"),
    "empty files": (text_file("a.csv", ""), PIXELS, "CSV", "EmptyInput: file://{data} has no files, or only empty ones"),
    "no rows": (parquet_file(table(0)), PIXELS, "Parquet", "EmptyInput: file://{data} has no rows"),
    "only a header": (text_file("a.csv", "p0,p1,p2,p3\n"), PIXELS, "CSV", "EmptyInput: file://{data} has no rows"),
    "a header and blank lines": (text_file("a.csv", "p0,p1,p2,p3\n\n\n"), PIXELS, "CSV", ""),
    "a file that is none of the format": (
        together(parquet_file(table(10)), text_file("b.parquet", "no Parquet")), PIXELS, "Parquet",
        "CorruptInput: file://{data}/b.parquet: ",
    ),
    "a file that was cut off": (cut_off, PIXELS, "Parquet", "CorruptInput: file://{data}/b.parquet: "),
    "a file that is damaged in the middle": (damaged_in_the_middle, PIXELS, "Parquet", "CorruptInput: file://{data}/1.parquet: "),
    "text that is none": (text_file("a.jsonl", "this is\nno JSON\n"), PIXELS, "JSONLines", "CorruptInput: the first lines of a.jsonl cannot be read"),
    "packed text that is none": (text_file("a.csv.gz", "x"), PIXELS, "CSV", "CorruptInput: file://{data}/a.csv.gz: "),
    "no labels": (
        parquet_file(table(10)), (*PIXELS, "--labels", "truth"), "Parquet", "BadColumns: the data has no column 'truth' with the labels",
    ),
    "labels that are no numbers": (
        parquet_file(table(10)), (*PIXELS,
            "--labels", "note"), "Parquet", "BadColumns: column 'note' has a label that is not a number",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "more", "kind", "said"), WRONG.values(), ids=WRONG)
def test_data_that_cannot_be_used_is_never_tried_again(
    runner: Runner, data: Path, output: Output, prepare: Prepare, more: tuple[str, ...], kind: str, said: str
) -> None:
    prepare(data)
    target = {"output": ""} if "--labels" in more else {}
    outcome = runner.changed(*more, input_format=kind, **target)()
    assert outcome.message.startswith(said.format(data=data))
    assert outcome.message.startswith(("BadColumns", "TooMany", "EmptyInput", "CorruptInput", "UnsupportedInput"))
    assert outcome.status == 42
    assert "\n" not in outcome.message
    assert output.success() is None


def test_a_list_of_the_wrong_length_is_a_failed_row(runner: Runner, data: Path, output: Output) -> None:
    rows = pa.table({"id": [0, 1, 2], "image": [[0.0, 1, 2, 3], [1.0, 2], [2.0, 1, 2, 3]]})
    parquet_file(rows)(data)
    assert runner.changed("--maximum-failed-rows-percent", "40")().counts["failed"] == 1
    assert output.failed()[0]["reason"] == "column 'image' has 2 values, not 4"
    assert output.rows().column("id").to_pylist() == [0, 2]


def test_too_many_failed_rows_end_a_run_when_all_are_known(
    runner: Runner, data: Path, output: Output, brittle: Path
) -> None:
    """Of text it is known only at the end how many rows there are."""
    lines = ["id,p0,p1,p2,p3", *(f"{n},{network.FAILING_FROM if n % 2 else n},1,2,3" for n in range(100))]
    text_file("a.csv", "\n".join(lines))(data)
    run = runner.changed(*PIXELS, input_format="CSV", model=brittle)
    enough = run.changed("--maximum-failed-rows-percent", "50", output=f"{runner.output}-enough")
    assert enough().counts == {"shard": 0, "read": 100, "written": 50, "failed": 50}
    outcome = run.changed("--maximum-failed-rows-percent", "49.5")()
    assert outcome.status == 42
    assert outcome.message.startswith(
        "TooManyFailedRows: 50 of 100 rows failed, and spec.maximumFailedRowsPercent allows 49.5%"
    )
    assert output.success() is None


def test_an_output_that_exists_is_left_alone(runner: Runner, data: Path, output: Output) -> None:
    parquet_file(table(10))(data)
    assert runner.changed(*PIXELS)().status == 0
    before = output.names()
    outcome = runner.changed(*PIXELS, run="r2")()
    assert outcome.status == 42
    assert outcome.message.startswith(f"OutputExists: {runner.output} holds ")
    assert "set spec.output.mode to Overwrite" in outcome.message
    assert output.names() == before


def test_what_no_run_wrote_is_never_overwritten(runner: Runner, data: Path, output: Output) -> None:
    parquet_file(table(10))(data)
    for name in ("part-00000.parquet", "thesis.doc"):
        path = Path(output.path) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    outcome = runner.changed(*PIXELS, "--mode", "Overwrite")()
    assert outcome.status == 42
    assert outcome.message.startswith(
        f"OutputExists: {runner.output} holds 'thesis.doc', which no batch inference wrote"
    )
    assert output.names() == ["part-00000.parquet", "thesis.doc"]


def test_input_that_changes_after_the_plan_ends_the_run(runner: Runner, data: Path, output: Output) -> None:
    for index in range(2):
        parquet_file(table(1000, first=1000 * index), f"{index}.parquet")(data)
    run = runner.changed(*PIXELS, shards=2)
    assert run(0).status == 0
    parquet_file(table(1001, first=1000), "1.parquet")(data)
    outcome = run(1)
    assert outcome.status == 42
    assert outcome.message == f"InputChanged: {runner.input}/1.parquet was changed after the run began; begin a new run"
    (data / "1.parquet").unlink()
    assert "was removed after the run began" in run(1).message
    assert output.success() is None


def test_input_that_changes_while_it_is_read_is_not_committed(
    runner: Runner, data: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_file("a.csv", "id,p0,p1,p2,p3\n" + "1,1,1,1,1\n" * 1000)(data)
    parse = lines.csv_rows

    def meanwhile(*given: Any) -> Any:
        if given[2] is not None:
            (data / "a.csv").write_text("id,p0,p1,p2,p3\n" + "2,2,2,2,2\n" * 1001)
        return parse(*given)

    monkeypatch.setattr(lines, "csv_rows", meanwhile)
    outcome = runner.changed(*PIXELS, input_format="CSV")()
    assert (outcome.status, outcome.message.partition(":")[0]) == (42, "InputChanged")
    assert not [name for name in output.names() if "part-" in name or "done" in name]


STORE = {
    "wrong secret": ({
        "AWS_SECRET_ACCESS_KEY":
            "wrong"}, 42, "AccessDenied: ", "is not accessible; check the keys in the secret of spec."),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "nobody"}, 42, "AccessDenied: ", "is not accessible"),
    "store away": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 1, "StoreUnreachable: ", "no connection to the store of s3://"),
}  # fmt: skip


@pytest.mark.parametrize("side", ["INPUT", "OUTPUT"])
@pytest.mark.parametrize(("keys", "status", "reason", "said"), STORE.values(), ids=STORE)
def test_a_store_that_cannot_be_used(
    bucket: Bucket, tmp_path: Path, model: Path, side: str, keys: dict[str, str], status: int, reason: str, said: str
) -> None:
    bucket.put("data/a.parquet", encoded(table(10), "Parquet"))
    changed = {f"{side}_{name}": value for name, value in keys.items()}
    run = bucket.runner(tmp_path, model)
    outcome = run.changed(*PIXELS, environment={**run.environment, **changed})()
    assert outcome.status == status
    assert outcome.message.startswith(reason)
    assert said in outcome.message
    assert f"spec.{side.lower()}." in outcome.message
    assert "demo-secret" not in outcome.message


def test_a_bucket_that_does_not_exist(bucket: Bucket, tmp_path: Path, model: Path) -> None:
    bucket.put("data/a.parquet", encoded(table(10), "Parquet"))
    run = bucket.runner(tmp_path, model).changed(*PIXELS)
    assert run.changed(input="s3://nowhere/data")().message.startswith("EmptyInput: s3://nowhere/data has no files")
    outcome = run.changed(output="s3://nowhere/out")()
    assert (outcome.status, outcome.message.partition(";")[0]) == (
        42, "ObjectNotFound: s3://nowhere/out does not exist",
    )  # fmt: skip


def test_a_uri_that_names_no_data(runner: Runner) -> None:
    for uri in ("ftp://x/y", "s3://bucket", "file://host/path", "data"):
        outcome = runner.changed(input=uri)()
        assert (outcome.status, outcome.message.partition(":")[0]) == (42, "InvalidOption")


def test_no_permission_on_a_file_system(data: Path, tmp_path: Path) -> None:
    """Tests run as root, whom nothing is forbidden; what the system would say is turned into words the same way."""
    place = storage.opened(f"file://{tmp_path}", "OUTPUT_")
    with pytest.raises(BatchError) as error, place.explained():
        raise PermissionError(13, "Permission denied")
    assert str(error.value).startswith(f"AccessDenied: file://{tmp_path} is not accessible")


@pytest.mark.parametrize("kind", ["Parquet", "CSV", "JSONLines"])
def test_a_full_scratch_volume_may_be_tried_again_elsewhere(
    runner: Runner, data: Path, output: Output, kind: str
) -> None:
    """A limit on the size of files stands for the volume's end."""
    rows = table(60_000).append_column("noise", pa.array(np.random.default_rng(1).random(60_000)))
    parquet_file(rows)(data)
    process = runner.changed(*PIXELS, output_format=kind).spawned(0, "prlimit", "--fsize=100000")
    outcome = runner.outcome(process)
    assert outcome.status == 1
    assert outcome.message.startswith(f"VolumeTooSmall: a split does not fit on the volume at {runner.folder} (")
    assert "part-00000" not in "".join(output.names())
    assert not list(runner.folder.glob("split-*"))


MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "none": (lambda folder: folder, "there must be exactly one .onnx file in"),
    "two": (lambda f: network.summing(f / "a").parent if network.summing(f / "b") else f, "there is: model.onnx, model.onnx"),
    "garbage": (lambda f: ((f / "model.onnx").write_bytes(b"no model") and f) or f, "ONNX Runtime cannot load model.onnx: "),
    "a fixed number of rows": (lambda f: network.summing(f, rows=8), "the input 'image' takes exactly 8 rows"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "said"), MODELS.values(), ids=MODELS)
def test_a_model_that_cannot_be_used(
    runner: Runner, data: Path, tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    folder = tmp_path / "bad-model"
    folder.mkdir()
    parquet_file(table(10))(data)
    outcome = runner.changed(*PIXELS, model=make(folder))()
    assert outcome.status == 42
    assert outcome.message.startswith("UnsupportedModel: ")
    assert said in outcome.message


def test_a_run_has_one_number_of_shards(runner: Runner, data: Path) -> None:
    parquet_file(table(10))(data)
    assert runner.changed(*PIXELS, shards=2)(0).status == 0
    outcome = runner.changed(*PIXELS, shards=3)(1)
    assert outcome.message == "InvalidOption: this run was planned for 2 shards, not for 3; begin a new run"


def test_a_plan_that_was_replaced_is_noticed(
    runner: Runner, data: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first pods, and a file that came between their surveys: shards of different plans must not mix."""
    for index in range(2):
        parquet_file(table(1000, first=1000 * index), f"{index}.parquet")(data)
    run = runner.changed(*PIXELS, shards=2)
    assert run(0).status == 0
    plan = Path(output.path) / "_sluice" / "r1" / "plan.json"
    parquet_file(table(1000, first=2000), "2.parquet")(data)
    other = runner.changed(*PIXELS, shards=2, output=f"{runner.output}-other")
    assert other(0).status == 0
    new = (Path(f"{output.path}-other") / "_sluice" / "r1" / "plan.json").read_bytes()
    mark = Checkpoint.mark

    def replaced(*given: Any) -> None:
        mark(*given)
        plan.write_bytes(new)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "mark", replaced)
        outcome = run(1)
    assert (outcome.status, outcome.message.partition(":")[0]) == (1, "PlanReplaced")
    assert output.success() is None
    assert [run(0).status, run(1).status] == [0, 0]
    output.require_all(3000)


def test_nobody_waits_for_ever_for_a_plan(runner: Runner, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "PLAN_SECONDS", 0.0)
    monkeypatch.setattr(shard, "POLL_SECONDS", 0.01)
    outcome = runner.changed(*PIXELS, shards=2)(1)
    assert (outcome.status, outcome.message) == (1, "PlanMissing: shard 0 made no plan within 0 s; see its log")


def test_a_defect_is_told_and_may_be_tried_again(runner: Runner, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*given: Any) -> None:
        raise ZeroDivisionError("of\nthe program")

    monkeypatch.setattr(score.Scorer, "answered", defect)
    parquet_file(table(10))(data)
    outcome = runner.changed(*PIXELS)()
    assert (outcome.status, outcome.message) == (1, "BatchFailed: ZeroDivisionError: of the program")


def test_an_upload_that_breaks_off_leaves_nothing(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow completes an upload when its stream is closed, whatever was written."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    place = storage.opened(bucket.uri("out"), "OUTPUT_")

    def blocks() -> Any:
        yield b"x" * 20_000_000
        raise OSError("the scratch volume broke")

    stream = place.system.open_output_stream(place.below("half"))
    with pytest.raises(OSError, match="broke"):
        storage._fill(stream, blocks())
    del stream
    assert place.file("half") is None


def test_the_clock_of_a_store_is_fine_enough_to_tell_a_change(data: Path) -> None:
    place = storage.opened(f"file://{data}", "INPUT_")
    (data / "a").write_text("1")
    first = place.file("a")
    time.sleep(0.02)
    (data / "a").write_text("2")
    assert place.file("a") != first
