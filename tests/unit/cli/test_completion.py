"""Proposals for what is typed."""

from collections.abc import Iterable
from typing import Any

import pytest
import typer

from sluice.cli import completion
from sluice.cli.app import app
from sluice.cli.completion import Source, Typed


def ask(source: Source, typed: Typed) -> Iterable[str]:
    """Says which names would be read, of which model."""
    return [f"{source.__name__}:{':'.join(typed.arguments)}"]


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
        (("re",), ["replay", "record", "resume", "retry"]),
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
