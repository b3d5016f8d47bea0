"""Runs stages of the tests side by side, and says every ten seconds how far they are: `python -m tests.sidebyside`.

    python -m tests.sidebyside "unit=make unit" "e2e=make e2e"

    ──> unit  ────────────────────┐
    ──> e2e   ──────────────────────────────────┤──> what each printed, in order; 1 where one of them failed
        └── 120 s: unit 430 of 3300, e2e 12 of 69 ── every ten seconds

A stage is NAME=COMMAND for a shell. What it prints is kept, so that lines of several stages do not mix. All have the
same priority: whatever has a limit of its own must not starve.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EVERY_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.2
"""Between two looks at whether a stage has ended: there is no waiting for any of several processes."""
GRACE_SECONDS: Final = 60.0
"""For a stage to clean up after Ctrl-C."""
INTERRUPTS: Final = {signal.SIGINT, signal.SIGTERM}
FOUND: Final = re.compile(r"(?:collected |workers? \[)(?:\d+ items / \d+ deselected / )?(\d+) (?:items|selected)")
RUN: Final = re.compile(r"^(?:\S+\.py )?([.sxXFE,u-]+)(?: +\[ *\d+%\])?$", re.MULTILINE)
"""Pytest's letters of tests, with or without the name of their file."""
OF_SUBTESTS: Final = re.compile("[,u-]")


@dataclass(frozen=True, slots=True)
class Stage:
    """One command that runs."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def words(self) -> str:
        """Its name, and how many tests it has run of those that it has found so far."""
        if self.process.poll() is not None:
            return f"{self.name} {'done' if self.process.returncode == 0 else 'failed'}"
        printed = self.output.read_text(errors="replace")
        found = sum(map(int, FOUND.findall(printed)))
        run = len(OF_SUBTESTS.sub("", "".join(RUN.findall(printed))))
        return f"{self.name} {run} of {found}" if found else self.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where all stages succeeded."""
    parser = argparse.ArgumentParser("python -m tests.sidebyside", description="Run stages of the tests side by side.")
    parser.add_argument("stages", nargs="+", metavar="NAME=COMMAND")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _running(options.stages, Path(folder)) as stages:
        said, took = began, dict[str, float]()
        while len(took) < len(stages):
            time.sleep(LOOK_SECONDS)
            for stage in stages:
                if stage.process.poll() is not None:
                    took.setdefault(stage.name, time.monotonic() - began)
            if time.monotonic() - said >= EVERY_SECONDS:
                said = time.monotonic()
                print(f"{said - began:5.0f} s: {', '.join(stage.words for stage in stages)}", flush=True)
        for stage in stages:
            print(f"--- {stage.name}: {took[stage.name]:.0f} s ---", flush=True)
            sys.stdout.buffer.write(stage.output.read_bytes())
            sys.stdout.flush()
        failed = [stage.name for stage in stages if stage.process.returncode]
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


@contextlib.contextmanager
def _running(arguments: Sequence[str], folder: Path) -> Iterator[list[Stage]]:
    """The stages, each in a session of its own; whoever leaves early ends them."""
    stages: list[Stage] = []
    try:
        for argument in arguments:
            name, _, command = argument.partition("=")
            output = folder / name
            signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)  # what has been started is known before it is ended
            with output.open("wb") as opened:
                process = subprocess.Popen(  # noqa: S602 - what the Makefile says
                    command,
                    shell=True,
                    stdin=subprocess.DEVNULL,
                    stdout=opened,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS),
                )
            stages.append(Stage(name, process, output))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
        yield stages
    finally:
        for stage in stages:
            _end(stage.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C for all that the stage has started, if it runs; what is left of it then is killed."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    for each in INTERRUPTS:  # a shell's background job ignores SIGINT
        signal.signal(each, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
