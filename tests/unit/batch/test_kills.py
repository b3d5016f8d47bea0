"""Pods that are killed at any moment, and two pods of one shard at once: no row is lost, none is there twice."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_batch.checkpoint import Checkpoint
from sluice_batch.options import Mode
from sluice_batch.runplan import RunPlan
from tests.support import patience
from tests.unit.batch.conftest import Bucket
from tests.unit.batch.program import PIXELS, Output, Runner, encoded, table

SHARDS = 3


def killed(runner: Runner, shard: int, after_seconds: float) -> bool:
    """Whether the process was killed before it was done."""
    process = runner.spawned(shard)
    try:
        time.sleep(after_seconds)  # the moment is what is varied
        process.kill()
    finally:
        status = process.wait(patience.HANG_SECONDS)
    return status != 0


def filled(bucket: Bucket, rows: int, files: int) -> None:
    for index in range(files):
        each = rows // files
        bucket.put(
            f"data/{index:03d}.parquet", encoded(table(each, first=index * each), "Parquet", group_rows=each // 5)
        )


def killed_at_any_moment(runner: Runner, kills: int, longest_seconds: float, seed: int) -> Iterator[int]:
    """Each shard in turn, killed again and again until it is done or there were enough kills; the number so far."""
    moments, done, count = random.Random(seed), set[int](), 0
    while len(done) < runner.shards and count < kills:
        for shard in set(range(runner.shards)) - done:
            if killed(runner, shard, moments.uniform(0, longest_seconds)):
                count += 1
            else:
                done.add(shard)
            yield count


def test_each_shard_is_killed_and_nothing_is_lost(bucket: Bucket, tmp_path: Path, model: Path) -> None:
    rows = 60_000
    filled(bucket, rows, 6)
    run = bucket.runner(tmp_path, model).changed(*PIXELS, shards=SHARDS)
    moments = random.Random(5)
    for shard in range(SHARDS):
        while not killed(run, shard, moments.uniform(0, 1.5)):
            run = run.changed(run=f"{run.run}x", output=f"{run.output}x")  # it was done before: once more, elsewhere
    assert [run.outcome(process, shard).status for shard, process in enumerate(map(run.spawned, range(SHARDS)))] == [
        0
    ] * 3
    output = Output(bucket.output.system, run.output.removeprefix("s3://"))
    output.require_all(rows)
    success = output.success()
    assert success is not None
    assert (success["read"], success["written"], success["failed"]) == (rows, rows, 0)


def test_two_pods_of_each_shard_do_no_harm(bucket: Bucket, tmp_path: Path, model: Path) -> None:
    rows = 60_000
    filled(bucket, rows, 6)
    runs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        runs.append(bucket.runner(folder, model).changed(*PIXELS, "--mode", "Overwrite", shards=2))
    pods = [(run, shard, run.spawned(shard)) for run in runs for shard in range(2)]
    outcomes = [run.outcome(process, shard) for run, shard, process in pods]
    assert [outcome.status for outcome in outcomes] == [0] * 4
    assert outcomes[0].counts == outcomes[2].counts
    bucket.output.require_all(rows)


def test_two_pods_on_a_file_system_do_no_harm(runner: Runner, data: Path, output: Output) -> None:
    for index in range(4):
        (data / f"{index}.csv").write_bytes(encoded(table(5000, first=index * 5000), "CSV"))
    run = runner.changed(*PIXELS, input_format="CSV", output_format="CSV")
    pods = [run.spawned() for _ in range(3)]
    assert [process.wait(patience.HANG_SECONDS) for process in pods] == [0, 0, 0]
    output.require_all(20_000, "CSV")


def test_a_pod_that_found_no_plan_goes_on_with_that_of_a_quicker_one(
    runner: Runner, data: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "0.csv").write_bytes(encoded(table(5000), "CSV"))
    run, begin = runner.changed(*PIXELS, input_format="CSV", output_format="CSV"), Checkpoint.begin

    def late(self: Checkpoint, made: RunPlan, mode: Mode) -> RunPlan:
        assert run.spawned().wait(patience.HANG_SECONDS) == 0
        return begin(self, made, mode)

    monkeypatch.setattr(Checkpoint, "begin", late)
    assert run().status == 0
    output.require_all(5000, "CSV")


def test_a_pod_that_is_told_to_end_does_so_at_once(bucket: Bucket, tmp_path: Path, model: Path) -> None:
    filled(bucket, 60_000, 6)
    run = bucket.runner(tmp_path, model).changed(*PIXELS)
    process = run.spawned()
    deadline = time.monotonic() + patience.HANG_SECONDS
    while not bucket.output.names() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(patience.HANG_SECONDS) in (143, 0)  # 0: it was faster
    assert run().status == 0
    bucket.output.require_all(60_000)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_hundred_kills_lose_no_row_of_a_million(bucket: Bucket, tmp_path: Path, model: Path) -> None:
    """As many runs as it takes; each is brought to its end and counted."""
    rows, kills, runs = 1_000_000, 0, 0
    filled(bucket, rows, 50)
    while kills < 100:
        runs += 1
        run = bucket.runner(tmp_path, model).changed(*PIXELS, run=f"r{runs}", output=bucket.uri(f"out{runs}"), shards=4)
        before = kills
        for count in killed_at_any_moment(run, 100 - before, 2.5, seed=runs):
            kills = before + count
        assert [outcome.status for outcome in run.all()] == [0] * 4
        Output(bucket.output.system, run.output.removeprefix("s3://")).require_all(rows)
    print(f"{kills} kills in {runs} runs of {rows} rows")
