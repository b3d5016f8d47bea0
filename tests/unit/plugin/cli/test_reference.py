"""`reference` from files to a ConfigMap."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import yaml
from pyarrow import csv, parquet

from kubectl_sluice.cli import app as cli
from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.evidence import reference
from kubectl_sluice.cli.options import OutputFormat
from kubectl_sluice.offline import reference as references
from kubectl_sluice.offline.reference import Reference


def rows(seed: int = 1, mean: float = 40, many: int = 3000) -> pyarrow.Table:
    rolls = random.Random(seed)
    return pyarrow.table(
        {
            "age": pyarrow.array(
                [None if n % 100 == 0 else rolls.gauss(mean, 9) for n in range(many)], pyarrow.float64()
            ),
            "land": [rolls.choice(["de", "de", "fr"]) for _ in range(many)],
            "member": [n % 3 == 0 for n in range(many)],
            "who": [f"user-{n}" for n in range(many)],
            "score": [rolls.random() for _ in range(many)],
        }
    )


def as_json_lines(table: pyarrow.Table) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist())


def written(folder: Path, form: str, table: pyarrow.Table) -> Path:
    match form:
        case "parquet":
            parquet.write_table(table, folder / "rows.parquet", row_group_size=700)
        case "csv":
            csv.write_csv(table, folder / "rows.csv")
        case "jsonl":
            (folder / "rows.jsonl").write_bytes(as_json_lines(table))
        case _:
            (folder / "rows.ndjson.gz").write_bytes(gzip.compress(as_json_lines(table)))
            return folder / "rows.ndjson.gz"
    return folder / f"rows.{form}"


async def shown(capsys: pytest.CaptureFixture[str], data: Path | str, **given: Any) -> tuple[Reference, str]:
    """(the reference, what was said)."""
    assert await reference.show(OutputFormat.YAML, data=str(data), name="digits", **given) == exits.OK
    out, err = capsys.readouterr()
    manifest = yaml.safe_load(out)
    assert (manifest["kind"], manifest["metadata"]["name"]) == ("ConfigMap", "digits")
    return references.parsed(manifest["data"][references.KEY]), err


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "gz"])
async def test_every_format_gives_the_same_bins(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, said = await shown(capsys, written(tmp_path, form, rows()))
    by_name = {feature.name: feature for feature in found.features}
    assert list(by_name) == ["age", "land", "member", "score"]
    assert found.rows == 3000
    assert len(by_name["age"].edges) == 9
    assert by_name["age"].counts["(missing)"] == 30
    assert set(by_name["land"].values) == {"de", "fr"}
    assert dict(by_name["member"].counts) == {"false": 2000, "true": 1000, "(other)": 0, "(missing)": 0}
    assert "who is left out: no value" in said


async def test_the_same_data_gives_the_same_reference_however_it_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = await shown(capsys, written(tmp_path, "parquet", rows()))
    second, _ = await shown(capsys, tmp_path / "rows.parquet")
    assert first == second


async def test_columns_of_one_tensor_and_of_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows().append_column(
        "vector", pyarrow.array([[n % 7, n % 5] for n in range(3000)], pyarrow.list_(pyarrow.int64()))
    )
    file = written(tmp_path, "parquet", table)
    found, _ = await shown(capsys, file, features="score,age,vector", tensor="x")
    assert [(each.name, each.input, each.index) for each in found.features] == [
        ("score", "x", 0), ("age", "x", 1), ("vector[0]", "x", 2), ("vector[1]", "x", 3),
    ]  # fmt: skip
    found, _ = await shown(capsys, file, features="vector")
    assert [(each.name, each.input, each.index) for each in found.features] == [
        ("vector[0]", "vector", 0), ("vector[1]", "vector", 1),
    ]  # fmt: skip


async def test_what_the_model_answers_stands_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = await shown(capsys, written(tmp_path, "csv", rows()), features="age", answers="land")
    assert ([each.name for each in found.features], [each.name for each in found.answers]) == (["age"], ["land"])


async def test_rows_that_cannot_be_read_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"a": {n % 50}}}\n' for n in range(500)) + '{"a": \n' * 3)
    found, said = await shown(capsys, file)
    assert found.rows == 500
    assert "3 rows cannot be read, and are not counted; 500 are" in said


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        pytest.param("rows.csv", {"features": "age,height"}, "no column 'height'", id="another schema"),
        pytest.param("rows.csv", {"answers": "verdict"}, "no column 'verdict'", id="no such answer"),
        pytest.param("none.csv", {}, "does not exist", id="no file"),
        pytest.param("rows.csv", {"form": "Avro"}, "'Avro' is not one of Parquet, CSV, JSONLines", id="format"),
        pytest.param("rows.csv", {"features": "who"}, "free text or an identifier", id="nothing left"),
        pytest.param("rows.txt", {}, "the name of the data does not tell", id="no format"),
        pytest.param("empty.csv", {}, "EmptyInput", id="empty"),
    ],
)
async def test_what_makes_no_reference(name: str, given: dict[str, str], why: str, tmp_path: Path) -> None:
    written(tmp_path, "csv", rows())
    (tmp_path / "rows.txt").write_text("x")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(console.Failure, match=why):
        await reference.show(OutputFormat.YAML, data=str(tmp_path / name), name="digits", **given)


async def test_a_column_that_cannot_be_a_feature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows().append_column("picture", pyarrow.array([[0.5] * 100] * 3000, pyarrow.list_(pyarrow.float32())))
    file = written(tmp_path, "parquet", table)
    _, said = await shown(capsys, file)
    assert "picture is left out: it has lists of 100 values, and 64 features are the most" in said
    with pytest.raises(console.Failure, match="column 'picture' cannot be a feature"):
        await reference.show(OutputFormat.YAML, data=str(file), name="digits", features="picture")


async def test_an_older_reference_shows_what_has_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await reference.show(OutputFormat.YAML, data=str(written(tmp_path, "csv", rows())), name="digits")
    old = tmp_path / "old.yaml"
    old.write_text(capsys.readouterr().out)
    newer = rows(2, mean=46).drop_columns(["land"])
    data = written(tmp_path, "csv", newer)
    await reference.show(OutputFormat.TEXT, data=str(data), name="digits", compare=str(old))
    out = capsys.readouterr().out
    lines: Sequence[str] = out[out.index("moved by") :].splitlines()
    moved = {line.split()[0]: line for line in lines if line.strip()}
    assert float(moved["age"].split()[1]) > 0.25
    assert float(moved["score"].split()[1]) < 0.05
    assert "the feature has vanished" in moved["land"]


@pytest.mark.parametrize("text", ["", "a: [", "kind: ConfigMap", "data: {reference.json: '{}'}"])
def test_what_is_no_older_reference(text: str, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(text)
    with pytest.raises(console.Failure, match=r"old\.yaml"):
        reference.read_reference(str(file))


def test_it_is_a_command() -> None:
    assert cli.Commands()["reference"].name == "reference"
