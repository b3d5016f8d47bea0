"""Line breaks in quoted values of CSV: a row is never cut, whichever split or block its bytes are in."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_batch import blocks, borders, quotes, runplan
from tests.unit.batch.program import PIXELS, Output, Runner

ROWS = 400
HEADER = "id,note,p0,p1,p2,p3"


def note(number: int) -> str:
    """Text of several lines that look like rows, with quotes, and of any length."""
    return f"row {number}\n" + "7,8,9,1,2,3\n" * (number % 7) + 'say "yes", then'


def row(number: int, end: str = "\n") -> str:
    quoted = note(number).replace('"', '""')
    return f'{number},"{quoted}",{number % 1000},1,2,3{end}'


@pytest.fixture
def small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runplan, "SMALLEST_BYTES", 512)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_quoted_line_break_does_not_end_a_row(
    runner: Runner, data: Path, output: Output, small_splits: None, end: str
) -> None:
    text = HEADER + end + "".join(row(number, end) for number in range(ROWS))
    (data / "a.csv").write_bytes(text.encode())
    run = runner.changed(*PIXELS, input_format="CSV", shards=3)
    counts = [outcome.counts for outcome in run.all()]
    assert sum(each["read"] for each in counts) == ROWS
    output.require_all(ROWS)
    found = output.rows().sort_by([("id", "ascending")])
    by_number = dict(zip(found.column("id").to_pylist(), found.column("note").to_pylist(), strict=True))
    assert by_number == {str(number): note(number) for number in range(ROWS)}
    assert len([name for name in output.names() if name.startswith("part-")]) > 10
    assert output.failed() == []


def test_a_header_may_have_a_line_break(runner: Runner, data: Path, output: Output) -> None:
    (data / "a.csv").write_text('\ufeff"id","a\nnote",p0,p1,p2,p3\n' + row(0) + row(1))
    assert runner.changed(*PIXELS, input_format="CSV")().status == 0
    output.require_all(2)
    assert output.rows().column_names[:2] == ["id", "a\nnote"]


def test_a_quote_within_a_value_is_a_character(runner: Runner, data: Path, output: Output, small_splits: None) -> None:
    lines = [f'{number},5" pipe "x{number},{number},1,2,3' for number in range(ROWS)]
    (data / "a.csv").write_text("\n".join([HEADER, *lines]))
    assert runner.changed(*PIXELS, input_format="CSV")().status == 0
    output.require_all(ROWS)
    assert set(output.rows().column("note").to_pylist()) == {f'5" pipe "x{number}' for number in range(ROWS)}


@pytest.mark.parametrize("tail", ["", "\n", "\n\n"])
def test_a_quote_that_is_never_closed_fails_each_of_its_lines(
    runner: Runner, data: Path, output: Output, tail: str
) -> None:
    begin = HEADER + "\n" + "".join(row(number) for number in range(8))
    (data / "a.csv").write_text(begin + '8,"never,8,1,2,3\n9,closed,9,1,2,3' + tail)
    run = runner.changed(*PIXELS, "--maximum-failed-rows-percent", "20", input_format="CSV")
    assert run().counts == {"shard": 0, "read": 10, "written": 8, "failed": 2}
    output.require_all(8)
    first, second = output.failed()
    assert [first["byte"], second["byte"]] == [len(begin), len(begin) + len('8,"never,8,1,2,3\n')]
    assert first["reason"].startswith(
        "a quote is opened here that is not closed before the end of the file; by its quotes, 2"
    )
    assert first["values"] == {"line": '8,"never,8,1,2,3'}
    assert second["values"] == {"line": "9,closed,9,1,2,3"}


def test_a_row_that_swallows_others_fails_with_all_of_their_lines(runner: Runner, data: Path, output: Output) -> None:
    """The quote of line 2 is closed by the one that is meant to open the value of line 4."""
    lines = ["0,a,0,1,2,3", '1,"b,1,1,2,3', "2,c,2,1,2,3", '3,"d",3,1,2,3', "4,e,4,1,2,3"]
    (data / "a.csv").write_text("\n".join([HEADER, *lines]))
    run = runner.changed(*PIXELS, "--maximum-failed-rows-percent", "80", input_format="CSV")
    assert run().counts == {"shard": 0, "read": 5, "written": 2, "failed": 3}
    assert output.rows().column("id").to_pylist() == ["0", "4"]
    assert [failed["values"]["line"] for failed in output.failed()] == lines[1:4]
    assert "so a quote before it is not closed; by its quotes, 3 lines are one row" in output.failed()[0]["reason"]


def test_a_border_within_a_quoted_value_is_refused_where_it_is_met(
    runner: Runner, data: Path, output: Output, small_splits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How borders are found may err; what is read proves them."""
    monkeypatch.setattr(borders, "row_end", borders.line_end)
    (data / "a.csv").write_text(HEADER + "\n" + "".join(row(number) for number in range(ROWS)))
    outcome = runner.changed(*PIXELS, input_format="CSV")()
    assert (outcome.status, outcome.message.partition(":")[0]) == (42, "UnsupportedInput")
    assert "a.csv: the quoted value in the row at byte" in outcome.message
    assert "store the file as Parquet" in outcome.message
    assert output.success() is None


@pytest.mark.parametrize(("kind", "said"), [("CSV", "; is a quote in it not closed?"), ("JSONLines", "")])
def test_a_row_without_an_end_is_not_gathered_in_memory(
    runner: Runner, data: Path, monkeypatch: pytest.MonkeyPatch, kind: str, said: str
) -> None:
    monkeypatch.setattr(blocks, "ROW_BYTES", 1 << 20)
    (data / "a").write_text(HEADER + '\n0,"' + "x,1,1,1\n" * 600_000 if kind == "CSV" else '{"id": "' + "x" * 5_000_000)
    outcome = runner.changed(*PIXELS, input_format=kind)()
    assert outcome.status == 42
    assert outcome.message.startswith("CorruptInput: ")
    assert said in outcome.message


FIELDS = st.text(st.sampled_from('a,"\n\r '), max_size=6)


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=3), max_size=8))
def test_rows_end_where_a_csv_writer_ends_them(table: list[list[str]]) -> None:
    sink, ends = io.StringIO(newline=""), []
    for fields in table:
        csv.writer(sink, lineterminator="\n").writerow(fields)
        ends.append(len(sink.getvalue()))
    text = sink.getvalue().encode()
    assert quotes.row_ends(text).tolist() == ends
    assert not quotes.is_open(text)


@given(st.binary(max_size=40).map(lambda raw: bytes(b'a,"\n\r"'[byte % 6] for byte in raw)), st.integers(1, 9))
def test_text_of_any_kind_is_cut_the_same_way_in_blocks(text: bytes, size: int) -> None:
    """Also with stray quotes: as a parser has it that knows a quote as one only where a value begins."""
    inside, fresh, wanted = False, True, []
    at = 0
    while at < len(text):
        byte = text[at : at + 1]
        if inside and byte == b'"' and text[at + 1 : at + 2] == b'"':
            at += 1
        elif byte == b'"' and (inside or fresh):
            inside = not inside
        elif byte == b"\n" and not inside:
            wanted.append(at + 1)
        fresh = byte in b",\r\n"
        at += 1
    assert quotes.row_ends(text).tolist() == wanted
    assert quotes.is_open(text) is inside
    found = list(blocks.blocks(io.BytesIO(text), 0, len(text), quotes.row_ends, size))
    assert b"".join(part for _, part in found) == text
    assert all(begin == 0 or begin in wanted for begin, _ in found)


def test_positions_are_plain_where_nothing_is_quoted() -> None:
    assert np.array_equal(quotes.row_ends(b"a\nb\n"), [2, 4])
