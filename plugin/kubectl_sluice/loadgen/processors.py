"""Processor time of the server and of its node, as Linux counts it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def processor_seconds(root: int, proc: Path = Path("/proc")) -> dict[int, float]:
    """Processor time of a process and its descendants so far; 0: of all that are visible, except this one.

    In a pod that shares its process namespace, only the server's processes are visible. Empty where /proc does not
    help.
    """
    used, parents = {}, {}
    for entry in proc.glob("[0-9]*"):
        try:
            # The name, in parentheses, may contain anything.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")
    return {
        pid: seconds
        for pid, seconds in used.items()
        if pid != os.getpid() and (root == 0 or root in _ancestry(pid, parents))
    }


def used_between(before: Mapping[int, float], after: Mapping[int, float]) -> float | None:
    """Processor time between two looks; a process that has ended in between is no longer counted."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items()) if after else None


def busy_seconds(stat: Path = Path("/proc/stat")) -> float | None:
    """Processor time of the whole node; None where it is not reported."""
    try:
        user, nice, system, _idle, _waits, *others = (
            int(ticks) for ticks in stat.read_text().split("\n")[0].split()[1:9]
        )
    except (OSError, ValueError):
        return None
    return sum((user, nice, system, *others)) / os.sysconf("SC_CLK_TCK")


def cores(used: float | None, seconds: float) -> float | None:
    return None if used is None else round(used / seconds, 3)


def _ancestry(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    seen: set[int] = set()
    while pid and pid not in seen:
        yield pid
        seen.add(pid)
        pid = parents.get(pid, 0)
