"""A user with a page of the docs and a cluster that a demo left, and nothing else, who types the page's commands."""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo import cluster as clusters
from demo import kept
from demo.cluster import Cluster

PYTHON: Final = sys.executable
KEPT: Final = kept.FOLDER.relative_to(clusters.ROOT)
STATUS: Final = re.compile(r"# exit status (\d+)")
HANG_SECONDS: Final = 900.0
"""Some commands wait for a whole release."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """Runs commands until it is closed."""

    process: subprocess.Popen[str]
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    def end(self) -> str:
        """Ends it, unless it has ended. Returns its output."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return self.said

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Pauses it for the block."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)


@dataclass(slots=True)
class Newcomer:
    """A person at terminals in one folder."""

    folder: Path
    environment: dict[str, str]
    terminals: contextlib.ExitStack
    typed: list[str] = field(default_factory=list)
    said: str = ""
    """The output of the last block of commands."""
    seconds: list[float] = field(default_factory=list)
    """How long each of them took."""

    def python(self, code: str) -> None:
        self._run([PYTHON, "-c", code], 0)

    def shell(self, code: str) -> str:
        """Runs each command of the block; its expected exit status is in its comment, otherwise 0."""
        self.said, self.seconds = "", []
        for command in code.replace("\\\n", " ").splitlines():
            self.typed.append(command)
            wanted = STATUS.search(command)
            began = time.monotonic()
            self.said += self._run(["bash", "-uo", "pipefail", "-c", command], int(wanted[1]) if wanted else 0)
            self.seconds.append(time.monotonic() - began)
        return self.said

    def terminal(self, *command: str) -> Terminal:
        """Another terminal, with the same environment."""
        self.typed.append(command[-1])
        output = self.folder / f"terminal-{len(self.typed)}"
        with output.open("w") as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        opened = Terminal(process, output)
        self.terminals.callback(opened.end)
        return opened

    def source(self, code: str) -> None:
        """Keeps the block's exports from now on."""
        self.typed.append(code)
        found = self._run(["bash", "-euo", "pipefail", "-c", f"{code}env -0"], 0)
        self.environment = dict(each.split("=", 1) for each in found.split("\0") if each)

    def _run(self, command: list[str], status: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert done.returncode == status, f"{command[-1]}\nexit status {done.returncode}, not {status}\n{done.stdout}"
        return done.stdout


@contextlib.contextmanager
def arrives(cluster: Cluster, folder: Path, plugin: Path) -> Iterator[Newcomer]:
    """After `make demo KEEP=1`, into its checkout. All terminals are closed at the end."""
    tools = dataclasses.replace(cluster.tools, plugin_path=str(plugin))
    kept.leave(dataclasses.replace(cluster, tools=tools), folder / KEPT)
    bare = {key: text for key, text in os.environ.items() if not key.startswith(("AWS_", "SLUICE_", "KUBE"))}
    with contextlib.ExitStack() as terminals:
        yield Newcomer(folder, bare, terminals)
