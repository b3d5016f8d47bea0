"""The images of the operator and of the web page have what these import, and nothing else."""

import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp
import httpx
import pytest

from release.source import ROOT
from tests.support import patience, programs

INSTALLED: Final = Path(__file__).with_name("installed")
PACKAGES: Final = ("sluice", "kubectl_sluice", "sluice_core", "sluice_judge")


@dataclass(frozen=True, slots=True)
class Program:
    """What an image runs. packages: the list of what is installed; foreign: top-level modules that only others need."""

    image: str
    packages: str
    module: str
    own: frozenset[str]
    foreign: frozenset[str]


PROGRAMS: Final = (
    Program(
        "operator",
        "sluice",
        "sluice.shell.app",
        frozenset({"sluice", "sluice_core", "sluice_judge"}),
        frozenset({"kubectl_sluice", "starlette", "jinja2", "typer", "rich", "numpy", "pyarrow", "onnxruntime"}),
    ),
    Program(
        "dashboard",
        "sluice-dashboard",
        "kubectl_sluice.dashboard.server",
        frozenset({"kubectl_sluice", "sluice_core", "sluice_judge"}),
        frozenset({"sluice", "kopf", "typer", "rich", "tritonclient", "celpy", "numpy", "pyarrow"}),
    ),
)
REQUIRED_ONLY: Final = {
    "operator": {"anyio", "dateparser", "httpcore", "pytz", "regex", "tzdata", "tzlocal"},
    "dashboard": {"cronsim", "dateparser", "httpcore", "httpx", "pytz", "regex", "tzdata", "tzlocal"},
}
"""What no import brings: tzdata is data; httpx begins to import at its first request; prometheus-api-client reads dates in
words by dateparser, which nobody asks it for; the page sees neither schedules nor notifications of sluice-core."""
IMPORTS: Final = """
import importlib, json, sys
sys.path.append(sys.argv[1])
for name in json.load(sys.stdin):
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
PAGE: Final = """
import asyncio, sys
sys.path.append(sys.argv[1])
from kubectl_sluice.adapters.bearer import ApiServer
from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from sluice_core.api.config import OperatorConfig
sockets = [server.listening(0), server.listening(0)]
print(sockets[0].getsockname()[1], flush=True)
settings = DashboardSettings(DashboardConfig(), OperatorConfig())
asyncio.run(server.serve(ApiServer("http://127.0.0.1:9", None), settings, *sockets))
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both build contexts."""
    programs.needed("uv", install="make setup")
    folder = tmp_path_factory.mktemp("stage")
    for program in PROGRAMS:
        command = (ROOT / "operator" / "stage.sh", program.image)
        subprocess.run(
            command, env=os.environ | {"SLUICE_STAGE": str(folder)}, check=True, timeout=patience.seconds(60)
        )
    return folder


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Imports of this repository's packages, also those within functions."""
    return grimp.build_graph(*PACKAGES, include_external_packages=True, exclude_type_checking_imports=True)


def reached(graph: grimp.ImportGraph, program: Program) -> set[str]:
    return graph.find_upstream_modules(program.module) | {program.module}


def alone(code: str, site: Path) -> list[str]:
    """Python with the standard library and this folder."""
    return [sys.executable, "-I", "-S", "-B", "-c", code, str(site)]


def top_level(site: Path) -> set[str]:
    return {path.name.removesuffix(".py") for path in site.iterdir() if not path.name.endswith(".dist-info")}


every_program = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.image)


@every_program
def test_an_image_has_the_packages_of_its_list(program: Program, stage: Path) -> None:
    """Every cluster downloads them, with their faults. For the operator it is the list of what its wheel brings."""
    found = importlib.metadata.distributions(path=[str(stage / program.image / "site")])
    names = {each.name.lower().replace("_", "-") for each in found}
    own = {name.replace("_", "-") for name in program.own}
    assert names == set((INSTALLED / f"{program.packages}.txt").read_text().split()) - own


@every_program
def test_an_image_has_nothing_of_other_programs(program: Program, stage: Path) -> None:
    found = top_level(stage / program.image / "site")
    assert {name for name in found if "sluice" in name} == program.own
    assert found & program.foreign == set()
    assert [path.name for path in (stage / program.image / "bin").iterdir()] == [f"sluice-{program.image}"]


@every_program
def test_an_image_has_everything_that_its_program_may_import(
    program: Program, stage: Path, graph: grimp.ImportGraph
) -> None:
    site = stage / program.image / "site"
    names = reached(graph, program)
    others = {name for name in names if graph.is_module_squashed(name)} - sys.stdlib_module_names
    assert {"pydantic", "kubernetes"} < others < top_level(site)
    files = {site / name.replace(".", "/") for name in names if name.partition(".")[0] in PACKAGES}
    assert [
        file for file in files if not (file / "__init__.py").exists() and not file.with_suffix(".py").exists()
    ] == []


def test_the_page_serves_from_its_image_alone(stage: Path) -> None:
    with subprocess.Popen(
        alone(PAGE, stage / "dashboard" / "site"), env={}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = f"http://127.0.0.1:{int(process.stdout.readline())}"
            with httpx.Client(base_url=address, trust_env=False, timeout=patience.HANG_SECONDS) as browser:
                login = browser.get("/")
                assert (login.status_code, "token" in login.text) == (401, True)
                assert browser.get("/static/style.css").status_code == 200
        finally:
            process.kill()


@pytest.mark.slow
@every_program
def test_an_image_has_only_what_its_program_imports_and_that_requires(
    program: Program, stage: Path, graph: grimp.ImportGraph
) -> None:
    site = stage / program.image / "site"
    names = sorted(name for name in reached(graph, program) if not graph.is_module_squashed(name))
    done = subprocess.run(
        alone(IMPORTS, site),
        input=json.dumps(names),
        capture_output=True,
        text=True,
        check=False,
        timeout=patience.seconds(60),
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    unused = {
        each.name.lower()
        for each in importlib.metadata.distributions(path=[str(site)])
        if not loaded & {Path(file).parts[0].removesuffix(".py") for file in each.files or ()}
    }
    assert unused == REQUIRED_ONLY[program.image]
