"""Processor time, from a /proc that is made up."""

import os
from pathlib import Path

from kubectl_sluice.loadgen import processors


def write_process(proc: Path, pid: int, parent: int, ticks: int) -> None:
    (proc / str(pid)).mkdir(parents=True, exist_ok=True)
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", "7777", "7777"]
    (proc / str(pid) / "stat").write_text(f"{pid} (a (strange) name) {' '.join(fields)}\n")


def test_processor_time_of_a_tree_of_processes(tmp_path: Path) -> None:
    second = os.sysconf("SC_CLK_TCK")
    for pid, parent in ((2_000_001, 1), (2_000_002, 2_000_001), (2_000_003, 1)):
        write_process(tmp_path, pid, parent, 3 * second)
    assert processors.processor_seconds(2_000_001, tmp_path) == {2_000_001: 3, 2_000_002: 3}
    before = processors.processor_seconds(0, tmp_path)
    assert len(before) == 3
    write_process(tmp_path, 2_000_003, 1, 5 * second)
    write_process(tmp_path, 2_000_004, 1, second)
    (tmp_path / "2000002" / "stat").unlink()
    after = processors.processor_seconds(0, tmp_path)
    assert processors.used_between(before, after) == 3
    assert processors.used_between(before, {}) is None


def test_processor_time_of_the_node(tmp_path: Path) -> None:
    second = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu  {second} {second} {second} 99999 99999 {second} 0 {second} 5 5\ncpu0 1\n")
    assert processors.busy_seconds(tmp_path / "stat") == 5
    assert processors.busy_seconds(tmp_path / "nothing") is None
