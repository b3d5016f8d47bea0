"""Stages of the tests side by side."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sidebyside
from tests.support import patience
from tests.support.live import kube


def test_each_output_is_whole_and_the_last_stage_is_printed_last(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    stages = ["slow=echo a1; sleep 0.5; echo a2", "quick=echo b"]
    assert sidebyside.main(["priority=nice", *stages]) == 0
    lines = capfdbinary.readouterr().out.decode().split("\n")
    named = [re.sub(r": \d+ s ---$", "", line) for line in lines[:-1]]
    assert named == ["--- priority", f"{os.nice(0)}", "--- slow", "a1", "a2", "--- quick", "b"]


def test_one_that_fails_fails_the_whole_and_the_others_run_to_their_end(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert sidebyside.main(["bad=exit 3", "good=sleep 0.5; echo done"]) == 1
    assert capfdbinary.readouterr().out.decode().endswith("done\nfailed: bad\n")


def test_how_far_each_is_is_said(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidebyside, "EVERY_SECONDS", 0.3)
    printed = "created: 2/2 workers\\n2 workers [9 items]\\n\\n..s.F [ 43%]\\n.."
    alone = "collected 5 items / 2 deselected / 3 selected\\n\\na/test_b.py .. [ 66%]\\n"
    single = "created: 1/1 worker\\n1 worker [4 items]\\n\\n..."
    outputs = {"unit": printed, "e2e": alone, "slow": single}
    stages = [f"{name}=printf '{text.replace('%]', '%%]')}'; sleep 2" for name, text in outputs.items()]
    assert sidebyside.main([*stages, "lint=true"]) == 0
    assert ": unit 7 of 9, e2e 2 of 3, slow 3 of 4, lint done\n" in capfdbinary.readouterr().out.decode()


@pytest.mark.parametrize("number", sidebyside.INTERRUPTS)
def test_a_signal_ends_what_the_stages_have_started(tmp_path: Path, number: signal.Signals) -> None:
    started = tmp_path / "started"
    stage = f"stage=sleep 600 & echo $! > {started}; wait"
    process = subprocess.Popen([sys.executable, "-m", "tests.sidebyside", stage])
    kube.wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
    process.send_signal(number)
    assert process.wait(patience.HANG_SECONDS) == 128 + number
    kube.wait_until(lambda: not _runs(int(started.read_text())))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "(sleep) Z" not in Path(f"/proc/{pid}/stat").read_text()
