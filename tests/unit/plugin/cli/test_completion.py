"""Proposals for what is typed."""

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest
import typer

from kubectl_sluice.cli import completion
from kubectl_sluice.cli.app import app
from kubectl_sluice.cli.completion import Typed
from kubectl_sluice.cli.kube import names


def ask(parameter: str, typed: Typed) -> Iterable[str]:
    """Says which names would be read, of which model."""
    return [f"{names.SOURCES[parameter].__name__}:{':'.join(typed.arguments)}"]


def commands() -> Any:
    group: Any = typer.main.get_command(app)
    return group.commands


def proposed(*words: str) -> list[str]:
    known, rest = completion.within(commands(), words)
    typed = completion.read(known, rest)
    return [line.partition("\t")[0] for line in completion.proposals(known, typed, ask=ask)]


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("roll",), ["rollback"]),
        (("re",), ["replay", "record", "reference", "resume", "retry"]),
        (("nonsense", ""), []),
        (("status", ""), ["model_names:"]),
        (("status", "-n", "team", ""), ["model_names:"]),
        (("status", "--namespace=team", ""), ["model_names:"]),
        (("status", "-w", ""), ["model_names:"]),
        (("status", "digits", ""), []),
        (("history", "digits", ""), ["release_names:digits"]),
        (("rollback", "digits", "--to", ""), ["revision_names:digits"]),
        (("status", "-o", ""), ["text", "json", "yaml"]),
        (("status", "digits", "-o", "y"), ["yaml"]),
        (("rollback", "--n"), ["--note", "--namespace"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("wait", "digits", "--timeout", ""), []),
        (("runtime", ""), ["check"]),
        (("runtime", "check", ""), ["runtime_names:"]),
        (("runtime", "check", "triton", "--rat"), ["--rate"]),
    ],
)
def test_proposals(words: tuple[str, ...], want: list[str]) -> None:
    assert sorted(proposed(*words)) == sorted(want)


def test_every_command_is_proposed_with_its_purpose() -> None:
    typed = completion.read(commands(), ("",))
    lines = completion.proposals(commands(), typed, ask=ask)
    assert len(lines) == len(commands())
    assert all(line.partition("\t")[2] for line in lines)


def test_options_before_a_name_are_used_to_find_it() -> None:
    typed = completion.read(commands(), ("status", "-n", "team", "--context", "prod", "di"))
    assert dict(typed.options) == {"namespace": "team", "context": "prod"}


def test_every_name_that_only_the_cluster_knows_has_its_source() -> None:
    assert set(names.SOURCES) == completion.KNOWN_TO_CLUSTER


COMPLETED = """
import atexit, sys
from kubectl_sluice.cli import start
sys.argv = ["kubectl_complete-sluice", *{words}]
atexit.register(lambda: print(sorted(name for name in sys.modules if name in {watched})))
start.complete()
"""


@pytest.mark.parametrize(
    ("words", "imported"),
    [
        (["sta"], []),
        (["status", "--"], ["aiohttp", "kubectl_sluice.adapters.kubectl", "kubectl_sluice.cli.releases.status"]),
        (["completion", ""], []),
        (["history", "--kubeconfig=/dev/null", ""], ["aiohttp", "kubectl_sluice.adapters.kubectl"]),
    ],
)
def test_a_proposal_imports_no_more_than_it_needs(words: list[str], imported: list[str]) -> None:
    watched = {
        *(
            "kubectl_sluice.cli.releases.status",
            "kubectl_sluice.cli.profiling.profile",
            "kubectl_sluice.cli.releases.plan",
            "kubectl_sluice.adapters.kubectl",
        ),
        *("aiohttp", "kubernetes.config", "kubernetes.aio.dynamic"),
    }
    script = [sys.executable, "-c", COMPLETED.format(words=words, watched=watched)]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[-1] == str(imported)
    assert len(printed) > 2 or words[0] == "history"


@pytest.mark.parametrize(
    ("words", "directive"), [(["plan", "-f", ""], ":0"), (["replay", ""], ":0"), (["completion", ""], ":4")]
)
def test_files_are_left_to_the_shell(
    words: list[str], directive: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl_complete-sluice", *words])
    completion.main()
    assert capsys.readouterr().out.splitlines()[-1] == directive


@pytest.mark.parametrize("shell", list(completion.Shell))
async def test_scripts_ask_for_proposals(shell: completion.Shell, capsys: pytest.CaptureFixture[str]) -> None:
    await completion.show(shell=shell)
    assert "kubectl_complete-sluice" in capsys.readouterr().out
