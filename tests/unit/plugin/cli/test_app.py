"""The command line as a whole: what is imported, options before the command, and all models at once."""

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubectl_sluice.cli import app
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection
from kubectl_sluice.views.releases import steering
from sluice_core.adapters.kinds import Resource
from sluice_core.api.v1alpha1.intent import Action
from tests.unit.plugin.views.builders import make_deployment, make_rollout

CALL = """
import sys
from kubectl_sluice.cli import start
sys.argv = ["kubectl-sluice", *{arguments}]
try:
    start.main()
except SystemExit as end:
    print(end.code, sorted(name for name in sys.modules if name in {watched}))
"""


def called(*arguments: str, watched: tuple[str, ...]) -> str:
    """The exit code of a call, and which of the modules it has imported."""
    script = CALL.format(arguments=arguments, watched=set(watched))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


OTHERS = (
    "kubectl_sluice.cli.batch",
    "kubectl_sluice.cli.profiling.profile",
    "kubectl_sluice.cli.releases.plan",
    "kubectl_sluice.cli.profiling.runtime",
)
HEAVY = (
    "kubernetes.config",
    "kubernetes.aio.dynamic",
    "kubernetes.aio.stream",
    "urllib3",
    "httpx",
    "requests",
    "numpy",
)
OF_THE_OPERATOR = (
    "sluice_core.adapters.kube",
    "sluice_core.api.config",
    "sluice_core.api.v1alpha1.servingruntime",
    "sluice_core.kernel.snapshot",
    "sluice_core.parsing.worlds",
    "sluice_core.render.workload",
    "sluice_core.situation.variants",
)


def test_a_command_imports_no_other_and_nothing_heavy_that_it_does_not_need() -> None:
    needless = (*OTHERS, *HEAVY, *OF_THE_OPERATOR)
    printed = called(
        "status", "digits", "--kubeconfig=/dev/null", watched=("kubectl_sluice.cli.releases.status", *needless)
    )
    assert printed == "1 ['kubectl_sluice.cli.releases.status']\n"


@pytest.mark.parametrize("arguments", [("--help",), ()])
def test_the_list_of_commands_imports_none_of_them(arguments: tuple[str, ...]) -> None:
    printed = called(*arguments, watched=("kubectl_sluice.cli.releases.status", *OTHERS, *HEAVY, "aiohttp"))
    assert printed.splitlines()[-1].endswith(" []")
    assert "The model" not in printed
    for name, entry in app.ENTRIES.items():
        assert name in printed
        assert entry.purpose.split()[0] in printed


def test_the_version_is_printed_without_the_models_of_the_api() -> None:
    printed = called("--version", watched=("sluice_core.api.base", "pydantic", "aiohttp"))
    assert printed.splitlines()[-1] == "0 []"


@pytest.mark.parametrize("text", ["", "[]", "text", "apiVersion: v1\nkind: Config\nclusters: {}\n", "a: [", "\x00"])
def test_a_kubeconfig_that_is_none_is_no_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    result = CliRunner().invoke(app.app, ["status", "digits", f"--kubeconfig={tmp_path / 'config'}"])
    assert result.output.startswith("error: "), result.output


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app.app, ["--version"])
    assert (result.exit_code, result.output[0].isdigit()) == (0, True)


def test_every_intent_is_a_command() -> None:
    assert set(steering.COMMANDS) == set(Action)
    assert set(steering.COMMANDS.values()) < set(app.ENTRIES)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """Those that commands have opened, to a cluster of two models."""
    opened: list[Connection] = []

    class Cluster:
        namespace = "default"

        async def fetch_all(self, kind: Resource, *, namespace: str) -> list[Any]:
            return [make_deployment(name=name).to_wire() for name in ("digits", "words")]

        async def fetch_all_rollouts(self, namespace: str) -> list[Any]:
            return [make_rollout()]

    @contextlib.asynccontextmanager
    async def connected(connection: Connection) -> AsyncIterator[Any]:
        opened.append(connection)
        yield Cluster()

    monkeypatch.setattr(cluster, "connected", connected)
    return opened


@pytest.mark.parametrize(
    "arguments", [["-n", "team", "status"], ["status", "-n", "team"], ["-n", "x", "status", "-n", "team"]]
)
def test_options_may_stand_before_the_command(arguments: list[str], connections: list[Connection]) -> None:
    result = CliRunner().invoke(app.app, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    assert [each.namespace for each in connections] == ["team"]


def test_without_a_name_all_models_are_listed(connections: list[Connection]) -> None:
    result = CliRunner().invoke(app.app, ["status"], standalone_mode=False)
    assert [line.split()[0] for line in result.output.splitlines() if line.strip()][:2] == ["model", "digits"]
    result = CliRunner().invoke(app.app, ["status", "-A", "-o", "json"], standalone_mode=False)
    assert [each["name"] for each in json.loads(result.output)] == ["digits", "words"]


@pytest.mark.parametrize(("arguments", "said"), [(["-w"], "name it"), (["digits", "-A"], "leave out digits")])
def test_what_makes_no_sense_together_is_refused(
    arguments: list[str], said: str, connections: list[Connection]
) -> None:
    result = CliRunner().invoke(app.app, ["status", *arguments], standalone_mode=False)
    assert result.return_value == 1
    assert said in result.output
    assert connections == []
