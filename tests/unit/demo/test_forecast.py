"""The demo's first line, before anything is installed."""

import subprocess
import sys

import pytest

from demo import forecast, stories
from demo.cluster import ROOT, Kind
from lab import coldstart, machine


def test_each_scenario_has_its_minutes() -> None:
    assert set(forecast.STORY_MINUTES) == set(stories.STORIES)


@pytest.mark.parametrize(
    ("kind", "planned", "want"),
    [
        (Kind.LAB, 0.0, "about 8 minutes"),
        (Kind.LAB, 240.0, "about 16 minutes; 8 of them to build Kubernetes, only once"),
        (Kind.LAB, 3.0, "about 9 minutes; 1 of them to build Kubernetes, only once"),
        (Kind.KIND, 240.0, "about 8 minutes"),
    ],
    ids=["all cached", "nothing cached", "little to build", "no lab"],
)
def test_the_line(monkeypatch: pytest.MonkeyPatch, kind: Kind, planned: float, want: str) -> None:
    monkeypatch.setattr(coldstart, "planned_seconds", lambda: planned)
    monkeypatch.setattr(machine, "seconds", lambda seconds: 2 * seconds)
    assert forecast.line(kind, "default") == f"make demo: {want}"


def test_nothing_but_python_is_needed() -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import demo.forecast"]
    subprocess.run(command, check=True, cwd=ROOT)
