"""Subjects of commits, in repositories that a test makes."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests import commits

LONG: Final = "x" * (commits.MOST_CHARACTERS + 1)
BEFORE, AFTER = "2026-11-30T12:00:00Z", "2027-01-01T12:00:00Z"


def git(folder: Path, *arguments: str, moment: str = AFTER) -> None:
    of_nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_COMMITTER_DATE": moment}
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        cwd=folder,
        env=os.environ | of_nobody,
        check=True,
        capture_output=True,
    )


def commit(folder: Path, subject: str, moment: str = AFTER) -> None:
    git(folder, "commit", "--allow-empty", "--quiet", f"--message={subject}\n\n{LONG}", moment=moment)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def found(folder: Path) -> list[str]:
    """The subjects that are too long."""
    listed = commits.newest(folder)
    assert listed is not None
    return [complaint.rpartition(": ")[2] for complaint in commits.complaints(listed)]


@pytest.mark.parametrize(
    ("subject", "moment", "want"),
    [
        pytest.param("x" * commits.MOST_CHARACTERS, AFTER, [], id="as long as it may be"),
        pytest.param("ü" * commits.MOST_CHARACTERS, AFTER, [], id="characters, not bytes"),
        pytest.param(LONG, AFTER, [LONG], id="longer"),
        pytest.param(LONG, BEFORE, [], id="older than the rule"),
    ],
)
def test_a_subject_is_short(repository: Path, subject: str, moment: str, want: list[str]) -> None:
    commit(repository, subject, moment)
    assert found(repository) == want


def test_a_merge_is_named_by_git(repository: Path) -> None:
    commit(repository, "Begin")
    git(repository, "switch", "--quiet", "--create", "other")
    commit(repository, "Add something")
    git(repository, "switch", "--quiet", "main")
    git(repository, "merge", "--no-ff", f"--message={LONG}", "other")
    assert found(repository) == []


def test_what_was_published_long_ago_does_not_fail_for_ever(repository: Path) -> None:
    commit(repository, LONG)
    for number in range(commits.MOST_COMMITS):
        commit(repository, f"Change {number}")
    assert found(repository) == []


def test_a_shallow_clone_has_its_newest_commits(repository: Path, tmp_path: Path) -> None:
    for subject in ("Begin", LONG, "Go on"):
        commit(repository, subject)
    for depth, want in ((1, []), (2, [LONG])):
        clone = tmp_path / f"clone{depth}"
        git(tmp_path, "clone", "--quiet", f"--depth={depth}", repository.as_uri(), str(clone))
        assert found(clone) == want


def test_without_a_history_there_is_nothing_to_check(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, LONG)
    unpacked = repository / "unpacked"
    unpacked.mkdir()
    monkeypatch.setattr(commits, "ROOT", unpacked)
    assert commits.main() == 0
    assert "no history" in capsys.readouterr().out


def test_a_repository_without_commits_has_no_history(repository: Path) -> None:
    assert commits.newest(repository) is None


def test_a_failure_names_the_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repository, LONG)
    monkeypatch.setattr(commits, "ROOT", repository)
    assert commits.main() == 1
    assert f"has {len(LONG)} characters" in capsys.readouterr().err
