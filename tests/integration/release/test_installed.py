"""What a distribution brings where nothing else is: it is installed from its wheel into an empty environment.

The wanted ones are in `installed`, a name a line. After a change that is meant, write there what the test has found.
"""

import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from release import version, wheels
from release.source import ROOT, Source
from tests.support import patience, programs

INSTALLED: Final = Path(__file__).with_name("installed")
ALONE: Final = (
    *("sluice", "sluice-core", "sluice-judge", "kubectl-sluice"),
    *("sluice-batch", "sluice-batch[airflow]", "sluice-batch[spark]"),
)
OLD: Final = {
    "sluice/cli/start.py": "def main(): print('old')\n",
    "sluice-0.0.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: sluice\nVersion: 0.0.1\nProvides-Extra: cli\n",
    "sluice-0.0.1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "sluice-0.0.1.dist-info/entry_points.txt": "[console_scripts]\nkubectl-sluice = sluice.cli.start:main\n",
    "sluice-0.0.1.dist-info/RECORD": "sluice/cli/start.py,,\nsluice-0.0.1.dist-info/RECORD,,\n",
}
"""The files of a wheel of before."""
LOCKED: Final = "constraints.txt"
OF_EXTRAS: Final = ("sluice_batch.airflow", "sluice_batch.spark")
LIST: Final = """
import importlib.metadata as metadata
print(*sorted({each.name.lower().replace("_", "-") for each in metadata.distributions()}), sep="\\n")
"""
IMPORT: Final = """
import importlib, pkgutil, sys
package, *left_out = sys.argv[1:]
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
    if not module.name.startswith(tuple(left_out)):
        importlib.import_module(module.name)
        print(module.name)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheels of this checkout, and the versions in its lock: a newer one may ask for more."""
    programs.needed("uv", install="make setup")
    folder = tmp_path_factory.mktemp("wheels")
    wheels.built(Source(ROOT, "", 1_700_000_000, version.parsed("0.1.0")), folder)
    what = ("--all-packages", "--all-extras", "--no-default-groups", "--no-emit-workspace", "--no-hashes")
    run(ROOT, "uv", "export", "--frozen", "--quiet", *what, f"--output-file={folder / LOCKED}")
    return folder


def run(folder: Path, *command: object) -> str:
    """What a command prints. In the checkout its settings count, too."""
    words = list(map(str, command))
    done = subprocess.run(words, cwd=folder, check=False, capture_output=True, text=True, timeout=patience.HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(folder: Path, built: Path, requirement: str) -> Path:
    """The Python of an environment that has it and nothing else, made away from the checkout."""
    python = folder / "venv" / "bin" / "python"
    name, bracket, extra = requirement.partition("[")
    (wheel,) = (each for each in built.glob("*.whl") if wheels.distribution(each) == name)
    run(folder, "uv", "venv", "--quiet", "--python=3.11", folder / "venv")
    where = (f"--python={python}", f"--find-links={built}", f"--constraint={built / LOCKED}")
    run(folder, "uv", "pip", "install", "--quiet", *where, f"{wheel}{bracket}{extra}")
    return python


def imported(folder: Path, python: Path, package: str, left_out: Sequence[str]) -> list[str]:
    return run(folder, python, "-c", IMPORT, package, *left_out).splitlines()


def listed(requirement: str) -> list[str]:
    return (INSTALLED / f"{requirement.replace('[', '-').rstrip(']')}.txt").read_text().splitlines()


def test_kopf_is_the_operators_alone() -> None:
    assert [each for each in ALONE if "kopf" in listed(each)] == ["sluice"]


@pytest.mark.parametrize("requirement", ALONE)
def test_it_brings_what_it_says(requirement: str, built: Path, tmp_path: Path) -> None:
    python = environment(tmp_path, built, requirement)
    assert run(tmp_path, python, "-c", LIST).splitlines() == listed(requirement)


def test_the_batch_runner_runs_alone(built: Path, tmp_path: Path) -> None:
    python = environment(tmp_path, built, "sluice-batch")
    assert "sluice_batch.__main__" in imported(tmp_path, python, "sluice_batch", OF_EXTRAS)
    assert "--input-format" in run(tmp_path, python, "-m", "sluice_batch", "--help")


def test_the_judge_runs_alone(built: Path, tmp_path: Path) -> None:
    python = environment(tmp_path, built, "sluice-judge")
    assert "sluice_judge.replay.replay" in imported(tmp_path, python, "sluice_judge", ())


def test_the_plugin_runs_alone(built: Path, tmp_path: Path) -> None:
    """`kubectl sluice reference` apart, which reads data with what scores them."""
    python = environment(tmp_path, built, "kubectl-sluice")
    names = imported(tmp_path, python, "kubectl_sluice", ("kubectl_sluice.loadgen.__main__",))
    assert {"kubectl_sluice.cli.app", "kubectl_sluice.dashboard.server"} <= set(names)
    assert "Usage" in run(tmp_path, python.with_name("kubectl-sluice"), "--help")


def test_the_operator_runs_alone(built: Path, tmp_path: Path) -> None:
    python = environment(tmp_path, built, "sluice")
    assert "sluice.shell.app" in imported(tmp_path, python, "sluice", ())
    assert "--lease-seconds" in run(tmp_path, python.with_name("sluice-operator"), "--help")


def test_who_had_the_plugin_from_the_operators_wheel_has_it_still(built: Path, tmp_path: Path) -> None:
    """Before the plugin had a distribution of its own, `sluice[cli]` brought it."""
    old = tmp_path / "sluice-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(old, "w") as archive:
        for name, text in OLD.items():
            archive.writestr(name, text)
    run(tmp_path, "uv", "venv", "--quiet", "--python=3.11", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(tmp_path, "uv", "pip", "install", "--quiet", f"--python={python}", old)
    assert run(tmp_path, python.with_name("kubectl-sluice")) == "old\n"
    where = (f"--python={python}", f"--find-links={built}", f"--constraint={built / LOCKED}")
    (new,) = (each for each in built.glob("*.whl") if wheels.distribution(each) == "sluice")
    run(tmp_path, "uv", "pip", "install", "--quiet", "--upgrade", *where, f"{new}[cli]")
    assert "Usage" in run(tmp_path, python.with_name("kubectl-sluice"), "--help")
    assert not list((tmp_path / "venv").rglob("site-packages/sluice/cli"))
