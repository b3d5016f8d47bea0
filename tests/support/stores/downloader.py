"""Runs the downloader; its volume stays as the previous run left it."""

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from sluice_storage import __main__ as program
from sluice_storage import delivery
from sluice_storage.stores import gs, transfer

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
        arguments = ["--uri", uri, "--layout", layout, "--model-name", "digits", "--sha256", sha256]
        arguments += ["--destination", str(models), "--termination-log", str(log), *ON_THIS_MACHINE, *more]
        environment = {"PYTHONPATH": str(self.site), "HOME": str(self.folder)} | self.environment | changes
        status, said = self._ended(arguments, environment)
        return Outcome(status, log.read_text(), laid_out(models), said)

    def _ended(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """Its status, and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "sluice_storage", *arguments],
            env=environment,
            timeout=patience.HANG_SECONDS,
            check=False,
            capture_output=True,
            text=True,
        )
        print(done.stdout, done.stderr)
        return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class InsideDownloader(StagedDownloader):
    """The same in this process, which takes a tenth of the time: with the image's packages where we have none."""

    capture: pytest.CaptureFixture[str]

    def _ended(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        environment |= {"PATH": os.environ["PATH"]}
        with (
            pytest.MonkeyPatch.context() as patch,
            mock.patch.dict(os.environ, environment, clear=True),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of other people's packages, as where Python starts
            patch.setattr(sys, "path", [*sys.path, str(self.site)])
            patch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
            patch.setattr(gs, "PATIENCE_SECONDS", 0.0)
            patch.setattr(delivery, "SERVER_CODE", self.site / "sluice_storage" / delivery.SERVER_CODE.name)
            status = program.main(arguments)
        said = self.capture.readouterr()
        return status, said.out + said.err


def laid_out(volume: Path) -> dict[str, bytes]:
    files = {str(path.relative_to(volume)): path.read_bytes() for path in volume.rglob("*") if path.is_file()}
    return {name: body for name, body in files.items() if not name.startswith(".download")}
