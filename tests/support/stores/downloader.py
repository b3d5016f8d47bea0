"""Runs the downloader; its volume stays as the previous run left it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sluice_storage import __main__ as program

from tests.support import patience

ON_THIS_MACHINE = ("--allow-addresses", "127.0.0.0/8", "--allow-addresses", "::1/128")
"""The addresses of test servers, which no model's store may have."""


@dataclass(frozen=True)
class Outcome:
    status: int
    message: str
    """What the kubelet would read."""
    files: dict[str, bytes]
    """The server's view, without files kept for the next attempt."""
    log: str


class Downloader:
    """In this process, where tests may change it."""

    on_this_machine = True

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.volume = folder / "models"
        self._termination_log = folder / "termination-log"
        self._capture = capture

    def run(self, uri: str, *more: str, layout: str = "Plain") -> Outcome:
        self._termination_log.write_text("")
        arguments = ["--uri", uri, "--layout", layout, "--model-name", "digits", "--destination", str(self.volume)]
        arguments += ON_THIS_MACHINE if self.on_this_machine else ()
        status = program.main([*arguments, "--termination-log", str(self._termination_log), *more])
        return Outcome(status, self._termination_log.read_text(), laid_out(self.volume), self._capture.readouterr().out)


@dataclass(frozen=True)
class StagedDownloader:
    """As in its image: a separate process, with the packages of requirements.txt."""

    site: Path
    folder: Path
    environment: dict[str, str]

    def run(
        self,
        uri: str,
        layout: str = "TritonPythonOnnx",
        *,
        sha256: str = "",
        more: tuple[str, ...] = (),
        **changes: str,
    ) -> Outcome:
        log, models = self.folder / "termination-log", self.folder / "models"
        log.write_text("")
        command = [sys.executable, "-m", "sluice_storage", "--uri", uri, "--layout", layout, "--model-name", "digits"]
        command += [
            "--destination",
            str(models),
            "--termination-log",
            str(log),
            "--sha256",
            sha256,
            *ON_THIS_MACHINE,
            *more,
        ]
        environment = {"PYTHONPATH": str(self.site), "HOME": str(self.folder)} | self.environment | changes
        done = subprocess.run(
            command, env=environment, timeout=patience.HANG_SECONDS, check=False, capture_output=True, text=True
        )
        print(done.stdout, done.stderr)
        return Outcome(done.returncode, log.read_text(), laid_out(models), done.stdout + done.stderr)


def laid_out(volume: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(volume)): path.read_bytes() for path in volume.rglob("*") if path.is_file()}
    return {name: body for name, body in files.items() if not name.startswith(".download")}
