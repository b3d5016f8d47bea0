"""A demo in a cluster that goes on living: what ended it is told, and what was made goes."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from demo import cluster as clusters
from demo import main, setup, stories
from demo.cluster import Kind
from demo.program import DemoError, Tools


class Bare:
    """Tools of a cluster that has nothing of Sluice: it does not know the kinds."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def kubectl(self, *words: str) -> str:
        self.calls.append(words)
        if any("sluice.dev" in word for word in words) and words[0] == "delete":
            raise DemoError("the server doesn't have a resource type")
        return ""

    def helm(self, *words: str) -> str:
        self.calls.append(words)
        return ""


def test_a_cluster_without_the_kinds_is_left_as_it_was() -> None:
    tools = Bare()
    setup.remove(cast("Tools", tools), "digits")
    assert tools.calls[-1][:2] == ("uninstall", setup.RELEASE)
    assert "--ignore-not-found" in tools.calls[-1]


def test_what_ended_the_demo_is_told_although_nothing_can_be_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(text: str) -> Any:
        def failing(*_: Any, **__: Any) -> Any:
            raise DemoError(text)

        return failing

    bare = SimpleNamespace(started_here=False, tools=Bare(), kind=Kind.CURRENT, registry="", gateway="http://gateway")
    monkeypatch.setattr(main, "FOLDER", tmp_path)
    untrained = dataclasses.replace(stories.STORIES["default"], models=dict)
    monkeypatch.setattr(stories, "STORIES", {"default": untrained})
    monkeypatch.setattr(clusters, "start", lambda *_: bare)
    monkeypatch.setattr(main, "_prepare", fail("no image can be built"))
    monkeypatch.setattr(setup, "remove", fail("nothing can be removed"))
    assert main.main(["--cluster", "current"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "no image can be built" in told
    assert "nothing can be removed" in told


def test_a_good_demo_that_cannot_be_removed_is_no_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise DemoError("nothing can be removed")

    bare = SimpleNamespace(started_here=False, tools=Bare(), kind=Kind.CURRENT, registry="", gateway="http://gateway")
    monkeypatch.setattr(main, "FOLDER", tmp_path)
    monkeypatch.setattr(clusters, "start", lambda *_: bare)
    monkeypatch.setattr(main, "_prepare", lambda *_: None)
    monkeypatch.setattr(main, "_release_all", lambda *_: True)
    monkeypatch.setattr(setup, "remove", fail)
    assert main.main(["--cluster", "current"]) == 1
