"""Processes are ended only by what was recorded about them."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import paths, processes

SLEEP = ["sleep", "60"]


@pytest.fixture
def folder(tmp_path: Path) -> processes.ProcessFolder:
    return processes.ProcessFolder(tmp_path)


def test_what_was_started_runs_until_it_is_stopped(folder: processes.ProcessFolder) -> None:
    record = folder.start("sleeper", SLEEP)
    assert folder.is_running("sleeper")
    folder.stop("sleeper")
    assert not processes.is_alive(record)
    assert folder.names() == ()


def test_a_second_start_finds_the_running_process(folder: processes.ProcessFolder) -> None:
    first = folder.start("sleeper", SLEEP)
    assert folder.start("sleeper", SLEEP) == first
    folder.stop("sleeper")


def test_a_process_that_ignores_the_polite_signal_is_killed(folder: processes.ProcessFolder) -> None:
    record = folder.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    processes.wait_until(lambda: "ready" in folder.tail("stubborn"), what="trap", timeout_seconds=5)
    folder.stop("stubborn", grace_seconds=0.2)
    assert not processes.is_alive(record)


def test_a_reused_process_id_is_never_signalled(folder: processes.ProcessFolder, tmp_path: Path) -> None:
    record = folder.start("sleeper", SLEEP)
    other = dataclasses.replace(record, started_ticks=record.started_ticks - 1)
    record_file = tmp_path / "processes" / "sleeper.json"
    record_file.write_text(json.dumps(dataclasses.asdict(other)))
    folder.stop("sleeper")
    assert processes.is_alive(record)
    processes.end([record], grace_seconds=1)


@pytest.mark.parametrize("content", ["", "not json", '{"pid": 1}', "[]"])
def test_a_damaged_record_counts_as_none(folder: processes.ProcessFolder, tmp_path: Path, content: str) -> None:
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "x.json").write_text(content)
    assert folder.find("x") is None
    folder.stop("x")
    assert folder.names() == ()


def test_a_process_that_ended_is_reported_with_the_end_of_its_log(folder: processes.ProcessFolder) -> None:
    folder.start("broken", ["sh", "-c", "echo port in use; exit 3"])
    processes.wait_until(lambda: not folder.is_running("broken"), what="end", timeout_seconds=5)
    with pytest.raises(processes.LabError, match=r"(?s)broken ended.*port in use"):
        folder.require_running("broken")


def test_a_process_may_end_with_its_caller(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from lab import processes;"
        f"print(processes.ProcessFolder(Path({str(tmp_path)!r})).start('s', {SLEEP}, dies_with_caller=True).pid)"
    )
    environment = {**os.environ, "PYTHONPATH": str(paths.REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    folder = processes.ProcessFolder(tmp_path)
    processes.wait_until(lambda: not folder.is_running("s"), what="end with the caller", timeout_seconds=5)


@pytest.mark.parametrize(("caller", "begins"), [(os.getpid, True), (os.getppid, False)])
def test_it_does_not_begin_once_its_caller_has_ended(caller: Callable[[], int], begins: bool, tmp_path: Path) -> None:
    """The signal is asked for by the new process: a caller that ended before would send none, and it would stay."""
    mark = tmp_path / "begun"
    done = subprocess.run([*processes.WITH_CALLER, str(caller()), "touch", str(mark)], check=False)
    assert (mark.exists(), done.returncode == 0) == (begins, begins)


def test_waiting_says_what_for_and_where_to_look() -> None:
    with pytest.raises(processes.LabError, match=r"kubelet: not after 0 s\. See its log\."):
        processes.wait_until(lambda: False, what="kubelet", timeout_seconds=0, hint="See its log.")


@pytest.mark.parametrize(
    ("command", "want"),
    [
        (["sh", "-c", "echo why >&2; exit 4"], "(?s)exit status 4.*why"),
        (["no-such-program-here"], "no-such-program-here: not found"),
    ],
)
def test_a_command_that_fails_says_why(command: list[str], want: str) -> None:
    with pytest.raises(processes.LabError, match=want):
        processes.run(command)
