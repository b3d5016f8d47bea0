"""A whole run in a process of its own, as spark-submit starts it, in local mode."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from sluice_batch import __main__ as runner

MAIN = Path(__file__).parents[2] / "batch/sluice_batch/spark/__main__.py"


@dataclass(frozen=True)
class Run:
    """Where a run reads and writes, and what it said."""

    folder: Path

    def start(self, model: Path, *more: str, run: str = "digits-1") -> tuple[int, str]:
        """The exit status, and the termination message."""
        log = self.folder / "termination-log"
        log.write_text("")
        (self.folder / "scratch").mkdir(exist_ok=True)
        arguments = {
            "--run": run,
            "--shards": "2",
            "--shard": "0",
            "--input": f"file://{self.folder}/in",
            "--input-format": "Parquet",
            "--output": f"file://{self.folder}/out",
            "--model": str(model),
            "--scratch": str(self.folder / "scratch"),
            "--progress-port": "0",
            "--termination-log": str(log),
        }
        settings = ("spark.driver.bindAddress=127.0.0.1", "spark.driver.host=127.0.0.1", "spark.ui.enabled=false")
        command = [
            *(Path(sys.executable).parent / "spark-submit", "--master", "local[2,2]"),
            *(part for setting in settings for part in ("--conf", setting)),
            MAIN,
            *(part for pair in arguments.items() for part in pair),
            *more,
        ]
        environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert log.read_text(), ended.stderr
        return ended.returncode, log.read_text()

    def write(self, name: str, **columns: Any) -> None:
        """A file of the input, in row groups of 100 rows."""
        (self.folder / "in").mkdir(exist_ok=True)
        parquet.write_table(pyarrow.table(columns), self.folder / "in" / name, row_group_size=100)

    @property
    def answers(self) -> pyarrow.Table:
        return pyarrow.concat_tables(parquet.read_table(p) for p in sorted((self.folder / "out").glob("part-*")))

    @property
    def success(self) -> dict[str, Any]:
        return json.loads((self.folder / "out" / "_SUCCESS").read_text())


@pytest.fixture
def data(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_what_the_executors_write_is_what_engine_job_writes(
    data: Run, model: Path, images: np.ndarray, expected: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    many = np.tile(images, (4, 1))
    data.write("a.parquet", id=np.arange(len(many)), image=list(many))
    status, said = data.start(model)
    assert status == 0, said
    told = json.loads(said)
    assert (told["shard"], told["read"], told["written"], told["failed"]) == (0, len(many), len(many), 0)
    assert data.success == {"run": "digits-1", "read": len(many), "written": len(many), "failed": 0}
    np.testing.assert_array_equal(data.answers["id"].to_numpy(), np.arange(len(many)))
    np.testing.assert_array_equal(data.answers["label"].to_numpy(), np.tile(expected[0], 4))

    alone = [
        "--run",
        "job",
        "--shards",
        "1",
        "--shard",
        "0",
        "--input",
        f"file://{tmp_path}/in",
        "--input-format",
        "Parquet",
    ]
    alone += ["--output", f"file://{tmp_path}/job", "--model", str(model), "--scratch", str(tmp_path / "scratch")]
    alone += ["--progress-port", "0", "--termination-log", str(tmp_path / "log")]
    assert runner.main(alone) == 0
    parts = [parquet.read_table(path) for path in sorted((tmp_path / "job").glob("part-*"))]
    assert data.answers.equals(pyarrow.concat_tables(parts))


@pytest.mark.slow
def test_a_driver_that_is_started_again_does_only_what_is_missing(data: Run, model: Path, images: np.ndarray) -> None:
    many = np.tile(images, (4, 1))
    data.write("a.parquet", id=np.arange(len(many)), image=list(many))
    assert data.start(model)[0] == 0
    out = data.folder / "out"
    parts = sorted(out.glob("part-*"))
    assert len(parts) > 1
    (out / "_SUCCESS").unlink()
    (out / "_sluice/digits-1/done/00001.json").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in parts}
    status, said = data.start(model)
    assert status == 0, said
    assert json.loads(said)["written"] == data.success["written"] == len(many) == data.answers.num_rows
    changed = {path.name for path in parts if path.stat().st_mtime_ns != before[path.name]}
    assert changed == {"part-00001.parquet"}


@pytest.mark.slow
def test_failed_rows_are_listed_and_counted(data: Run, model: Path, images: np.ndarray) -> None:
    rows: list[list[float] | None] = [list(map(float, image)) for image in images[:200]]
    rows[150] = None
    data.write("a.parquet", id=range(200), image=rows)
    status, said = data.start(model, "--maximum-failed-rows-percent", "1")
    assert status == 0, said
    assert data.success == {"run": "digits-1", "read": 200, "written": 199, "failed": 1}
    lines = [
        json.loads(line) for path in (data.folder / "out/_failed").iterdir() for line in path.read_text().splitlines()
    ]
    assert [(line["row"], line["reason"], line["values"]["id"]) for line in lines] == [
        (150, "column 'image' is null", 150)
    ]


@pytest.mark.slow
def test_too_many_failed_rows_end_the_run_for_good(data: Run, model: Path, images: np.ndarray) -> None:
    rows: list[list[float] | None] = [list(map(float, image)) for image in images[:200]]
    rows[150] = None
    data.write("a.parquet", id=range(200), image=rows)
    status, said = data.start(model)
    assert (status, said.partition(":")[0]) == (42, "TooManyFailedRows"), said
    assert "1 of 200 rows failed" in said
    assert not (data.folder / "out/_SUCCESS").exists()


def test_missing_columns_end_the_run_before_spark_asks_for_executors(
    data: Run, model: Path, images: np.ndarray
) -> None:
    data.write("a.parquet", id=range(10), picture=list(images[:10]))
    status, said = data.start(model, "--columns", "image")
    assert (status, said) == (42, "BadColumns: the data has no column 'image'; it has 'id', 'picture'")


@pytest.mark.slow
def test_a_corrupt_file_is_told_from_the_executor(data: Run, model: Path, images: np.ndarray) -> None:
    many = np.tile(images, (4, 1))
    data.write("a.parquet", id=np.arange(len(many)), image=list(many))
    file = data.folder / "in/a.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    file.write_bytes(bytes(content))
    status, said = data.start(model)
    assert (status, said.partition(":")[0]) == (42, "CorruptInput"), said
    assert "in/a.parquet" in said


@pytest.mark.slow
def test_labels_belong_to_engine_job(data: Run, model: Path) -> None:
    status, said = data.start(model, "--output", "", "--labels", "label")
    assert (status, said.partition(":")[0]) == (42, "InvalidOption"), said
