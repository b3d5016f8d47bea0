"""Background processes that outlive the command that started them, and that are ended only by what was recorded.

A record holds the process id *and* the kernel's start time of it, so that a process id that the system gave to
somebody else meanwhile is never signalled.

    <state>/processes/<name>.json        <state>/logs/<name>.log
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

POLL_SECONDS: Final = 0.1


class LabError(RuntimeError):
    """Something that the caller can act on; the message says what, where and what to do."""


WITH_CALLER: Final = ("setpriv", "--pdeathsig=KILL", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')
"""A caller that has ended before the signal was asked for sends none: then the command does not begin."""


@dataclass(frozen=True, slots=True)
class Record:
    """A process that the lab started. started_ticks: field 22 of /proc/<pid>/stat, clock ticks since boot."""

    name: str
    pid: int
    started_ticks: int


@dataclass(frozen=True, slots=True)
class ProcessFolder:
    """The processes of one state folder, in the order in which they were started."""

    state: Path

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        dies_with_caller: bool = False,
    ) -> Record:
        """Start a command in a session of its own; nothing happens when the recorded one still runs."""
        running = self.find(name)
        if running and is_alive(running):
            return running
        prefix = [*WITH_CALLER, str(os.getpid())] if dies_with_caller else []  # becomes the command, same process id
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [*prefix, *(str(part) for part in command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        process.returncode = 0  # never waited for by this object: `is_alive` reaps it, and a later command may end it
        record = Record(name, process.pid, _started_ticks(process.pid) or 0)
        target = self._record_path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(asdict(record)))
        return record

    def find(self, name: str) -> Record | None:
        try:
            return Record(**json.loads(self._record_path(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def names(self) -> tuple[str, ...]:
        files = sorted((self.state / "processes").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return tuple(path.stem for path in files)

    def is_running(self, name: str) -> bool:
        record = self.find(name)
        return record is not None and is_alive(record)

    def stop(self, *names: str, grace_seconds: float = 5) -> None:
        """End the named processes together: SIGTERM, then SIGKILL for those that outlive the grace."""
        records = [record for name in names if (record := self.find(name))]
        end(records, grace_seconds=grace_seconds)
        for name in names:
            self._record_path(name).unlink(missing_ok=True)

    def require_running(self, name: str) -> None:
        """Raise with the end of the log when a process that should serve has ended."""
        if not self.is_running(name):
            raise LabError(f"{name} ended; the end of {self.log(name)}:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def _record_path(self, name: str) -> Path:
        return self.state / "processes" / f"{name}.json"


def end(records: Sequence[Record], *, grace_seconds: float) -> None:
    for record in records:
        _signal(record, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(is_alive(record) for record in records) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for record in records:
        _signal(record, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(is_alive(record) for record in records) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def is_alive(record: Record) -> bool:
    """Whether this very process still runs; a zombie does not count, and is reaped if it is our child."""
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(record.pid, os.WNOHANG)
    return _started_ticks(record.pid) == record.started_ticks


def record_of(name: str, pid: int) -> Record | None:
    """The record of a process found by other means, or None when it is gone."""
    ticks = _started_ticks(pid)
    return None if ticks is None else Record(name, pid, ticks)


def wait_until(condition: Callable[[], bool], *, what: str, timeout_seconds: float, hint: str = "") -> None:
    """Ask until the condition holds; raises LabError with `what` and `hint` after the time-out."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not after {timeout_seconds:.0f} s. {hint}".strip())
        time.sleep(POLL_SECONDS)


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    text: str | None = None,
    timeout_seconds: float = 600,
) -> str:
    """Run a command to its end and return its standard output; raises LabError with the end of its error output."""
    words = [str(part) for part in command]
    try:
        done = subprocess.run(
            words,
            input=text,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(
            f"{words[0]}: not found; `python3 -m lab setup` installs and builds what the lab needs"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)}: no end after {timeout_seconds:.0f} s") from error
    if done.returncode != 0:
        output = (done.stdout[-1500:] + done.stderr[-2500:]).strip()
        raise LabError(f"{' '.join(words)}: exit status {done.returncode}\n{output}")
    return done.stdout


def _signal(record: Record, number: signal.Signals) -> None:
    if is_alive(record):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)


def _started_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the command name before it may hold blanks and brackets
    return None if state in "ZX" else int(rest[18])
