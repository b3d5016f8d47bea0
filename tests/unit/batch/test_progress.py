"""What a shard tells while it is at work."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluice_batch import progress
from sluice_batch.checkpoint import SplitCounts
from sluice_batch.progress import ProgressCounts
from tests.support import patience
from tests.unit.batch.program import PIXELS, Runner, encoded, table


def told() -> ProgressCounts:
    found = ProgressCounts(2)
    found.begin(splits=4, rows_total=400, splits_done=1, done=SplitCounts(100, 99, 1))
    found.add(SplitCounts(50, 48, 2))
    for reason in ("a", "a", "b", "c", "d", "e", "f"):
        found.note(reason)
    return found


def test_rows_of_the_split_at_work_count() -> None:
    assert told().as_json() == {
        "shard": 2,
        "splits": 4,
        "splitsDone": 1,
        "rowsTotal": 400,
        "read": 150,
        "written": 147,
        "failed": 3,
        "reasons": ["a", "b", "c", "d", "e"],
    }


def test_rows_of_a_split_count_once_when_it_is_done() -> None:
    found = told()
    found.split_done(SplitCounts(50, 48, 2))
    assert (found.as_json()["read"], found.as_json()["splitsDone"]) == (150, 2)
    assert found.done == SplitCounts(150, 147, 3)


def test_both_are_served_and_nothing_else() -> None:
    with progress.served(told(), 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=patience.HANG_SECONDS) as answer:
            assert json.load(answer) == told().as_json()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=patience.HANG_SECONDS) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        with pytest.raises(urllib.error.HTTPError, match="404") as error:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=patience.HANG_SECONDS)
        error.value.close()
    samples = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert samples[("sluice_batch_rows_total", "written")] == 147
    assert samples[("sluice_batch_rows_total", "failed")] == 3
    assert samples[("sluice_batch_splits_done",)] == 1


def test_the_rows_to_come_are_known_of_parquet_only(
    runner: Runner, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = []
    begin = ProgressCounts.begin

    def noted(self: ProgressCounts, splits: int, rows_total: int | None, *rest: object) -> None:
        totals.append((splits, rows_total))
        begin(self, splits, rows_total, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ProgressCounts, "begin", noted)
    for kind in ("Parquet", "CSV"):
        (data / "a").write_bytes(encoded(table(10), kind))
        runner.changed(*PIXELS, input_format=kind, output=f"{runner.output}-{kind}")()
    assert totals == [(1, 10), (1, None)]
