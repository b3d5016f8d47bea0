"""What earlier builds left is dropped, unless somebody else builds on it."""

import pytest

from lab import images, processes
from lab.processes import LabError


def failing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def run(words: list[str], **_: object) -> str:
        raise LabError(f"{' '.join(words)}: exit status 125\n{text}")

    monkeypatch.setattr(processes, "run", run)


def test_what_another_build_stands_on_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "image used by 48986e56: image is in use by a container: consider listing external containers")
    images.drop_unused()


def test_any_other_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "no space left on device")
    with pytest.raises(LabError, match="no space left"):
        images.drop_unused()
