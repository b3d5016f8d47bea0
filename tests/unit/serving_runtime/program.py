"""Runs the downloader in this process; the volume stays as an earlier run left it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from sluice_storage import __main__ as program


@dataclass(frozen=True)
class Outcome:
    status: int
    message: str
    """What the kubelet would read."""
    files: dict[str, bytes]
    """What the server would see, without what is kept for the next attempt."""
    log: str


class Downloader:
    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.volume = folder / "models"
        self._termination_log = folder / "termination-log"
        self._capture = capture

    def run(self, uri: str, *more: str, layout: str = "Plain") -> Outcome:
        self._termination_log.write_text("")
        arguments = ["--uri", uri, "--layout", layout, "--model-name", "digits", "--destination", str(self.volume)]
        status = program.main([*arguments, "--termination-log", str(self._termination_log), *more])
        found = {str(p.relative_to(self.volume)): p.read_bytes() for p in self.volume.rglob("*") if p.is_file()}
        shown = {name: body for name, body in found.items() if not name.startswith(".download")}
        out, _ = self._capture.readouterr()
        return Outcome(status, self._termination_log.read_text(), shown, out)
