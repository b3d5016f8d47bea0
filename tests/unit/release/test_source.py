"""What is released is a commit, with the version where its readers look for it."""

import tomllib
from pathlib import Path

import pytest
import yaml

from lab.processes import LabError
from release import source, version
from release.source import ROOT


def versions(folder: Path) -> list[str]:
    """Of all distributions of the workspace."""
    files = [project / "pyproject.toml" for project in source.distributions(folder)]
    assert len(files) > 1
    return [tomllib.loads(file.read_text())["project"]["version"] for file in files]


def test_a_commits_files_have_its_time_and_the_version(tmp_path: Path) -> None:
    found = source.exported(tmp_path / "source", version.parsed("9.8.7-rc.6"))
    assert set(versions(found.folder)) == {"9.8.7rc6"}
    chart = yaml.safe_load((found.folder / "charts/sluice/Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == ("9.8.7-rc.6", "9.8.7-rc.6")
    times = {path.lstat().st_mtime for path in found.folder.rglob("*")}
    assert times == {found.epoch}
    assert not (found.folder / ".git").exists()
    assert found.environment["SOURCE_DATE_EPOCH"] == str(found.epoch)


def test_what_is_in_no_commit_is_not_released(tmp_path: Path) -> None:
    found = source.exported(tmp_path / "source", version.parsed("1.0.0"))
    assert not (found.folder / "build").exists()
    assert not (found.folder / ".venv").exists()


def test_a_file_without_a_place_for_the_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('name = "a"\n')
    with pytest.raises(LabError, match=r"pyproject.toml: .* is in 0 lines, and must be in one"):
        source.stamp(tmp_path, version.parsed("1.0.0"))


def test_the_repository_itself_has_one_version() -> None:
    """A chart and the distributions of a checkout are of one version, whichever it is."""
    chart = yaml.safe_load((ROOT / "charts/sluice/Chart.yaml").read_text())
    assert {chart["version"], chart["appVersion"], *versions(ROOT)} == {chart["version"]}
