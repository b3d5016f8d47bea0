"""Completion of `kubectl sluice <TAB>`, in kubectl and in the shells.

kubectl asks an executable named kubectl_complete-sluice on the PATH, with the words typed so far, and wants one proposal
in a line (`value<TAB>description`) and a directive at the end. The scripts for `kubectl-sluice` itself ask the same.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from pydantic import ValidationError

from sluice import errors
from sluice.adapters import kubectl
from sluice.api.v1alpha1.batchinference import BatchInference
from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.api.v1alpha1.servingruntime import ServingRuntime
from sluice.cli import app, exits
from sluice.cli.options import OutputFormat

NO_FILES: Final = ":4"
"""Cobra's directive: do not propose the names of files."""
FILES: Final = ":0"
"""Cobra's directive: propose them where there is nothing else."""
SECONDS: Final = 2.0
"""Nobody waits longer for a proposal."""
READS_FILES: Final = frozenset({"file", "counts", "policy", "kubeconfig", "payload"})
"""Arguments and options whose values are files."""

BASH: Final = """_kubectl_sluice() {
    local IFS=$'\\n' words
    words=$(kubectl_complete-sluice "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=($(printf '%s\\n' "$words" | sed '$d' | cut -f1))
}
complete -o default -F _kubectl_sluice kubectl-sluice
"""
ZSH: Final = """#compdef kubectl-sluice
_kubectl_sluice() {
    local -a lines
    lines=(${(f)"$(kubectl_complete-sluice "${(@)words[2,CURRENT]}" 2>/dev/null | sed '$d' | sed 's/:/\\\\:/g; s/\\t/:/')"})
    if (( ${#lines} )); then _describe 'kubectl-sluice' lines; else _files; fi
}
compdef _kubectl_sluice kubectl-sluice
"""
FISH: Final = """function __kubectl_sluice
    set -l words (commandline -opc) (commandline -ct)
    kubectl_complete-sluice $words[2..-1] 2>/dev/null | sed '$d'
end
complete -c kubectl-sluice -a '(__kubectl_sluice)'
"""


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


CHOICES: Final[Mapping[str, type[StrEnum]]] = {"output": OutputFormat, "shell": Shell}
"""Values by the name of the parameter, where there are only these."""
SCRIPTS: Final = {Shell.BASH: BASH, Shell.ZSH: ZSH, Shell.FISH: FISH}
ShellName: TypeAlias = Annotated[Shell, typer.Argument(help="The shell.", show_default=False)]


async def show(*, shell: ShellName) -> int:
    """Prints the script to source; inside kubectl none is needed."""
    print(SCRIPTS[shell], end="")
    return exits.OK


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands on the command line so far, behind `kubectl sluice`."""

    command: str
    """Empty while it is being typed."""
    arguments: tuple[str, ...]
    """Complete positional words."""
    options: Mapping[str, str]
    """Values by the name of the parameter."""
    waiting: Any
    """The option whose value is being typed; None where none is."""
    incomplete: str


Source: TypeAlias = Callable[[kubectl.Kubectl, str, str], Coroutine[Any, Any, Iterable[str]]]
"""Reads names with a connection, a namespace, and the ModelDeployment that is named already (or empty)."""


async def model_names(cluster: kubectl.Kubectl, namespace: str, _: str) -> Iterable[str]:
    """ModelDeployments."""
    return await cluster.fetch_names(ModelDeployment.kind, namespace)


async def release_names(cluster: kubectl.Kubectl, namespace: str, model: str) -> Iterable[str]:
    """ModelRollouts of the model."""
    return [rollout.metadata.name for rollout in await cluster.fetch_rollouts(namespace, model)]


async def batch_names(cluster: kubectl.Kubectl, namespace: str, _: str) -> Iterable[str]:
    """BatchInferences of the namespace."""
    return await cluster.fetch_names(BatchInference.kind, namespace)


async def revision_names(cluster: kubectl.Kubectl, namespace: str, model: str) -> Iterable[str]:
    """Revisions of the model."""
    return [revision.name for revision in await cluster.fetch_revisions(namespace, model)] if model else ()


async def runtime_names(cluster: kubectl.Kubectl, _: str, __: str) -> Iterable[str]:
    """ServingRuntimes."""
    return await cluster.fetch_names(ServingRuntime.kind, "")


SOURCES: Final[Mapping[str, Source]] = {
    "name": model_names,
    "batch": batch_names,
    "runtime": runtime_names,
    "rollout": release_names,
    "to": revision_names,
    "against": revision_names,
}
"""By parameter: what only the cluster knows."""


def read(commands: Mapping[str, Any], words: Sequence[str]) -> Typed:
    """Understands the words; the last one is incomplete. commands: by name, as typer builds them."""
    command = commands.get(words[0]) if len(words) > 1 else None
    options = {option: each for each in (command.params if command is not None else ()) for option in each.opts}
    arguments: list[str] = []
    values: dict[str, str] = {}
    waiting: Any = None
    for word in words[1:-1] if command is not None else ():
        option, _, value = word.partition("=")
        if waiting is not None:
            values[waiting.name], waiting = word, None
        elif option in options and value:
            values[options[option].name] = value
        elif option in options:
            waiting = None if options[option].is_flag else options[option]
        else:
            arguments.append(word)
    return Typed(words[0] if len(words) > 1 else "", tuple(arguments), values, waiting, words[-1])


def within(commands: Mapping[str, Any], words: Sequence[str]) -> tuple[Mapping[str, Any], Sequence[str]]:
    """The commands and words of the innermost group that is named in full: those of `check …` in `runtime check …`."""
    inner = getattr(commands.get(words[0]), "commands", None) if len(words) > 1 else None
    return (commands, words) if inner is None else within(inner, words[1:])


def proposals(commands: Mapping[str, Any], typed: Typed, *, ask: Callable[[Source, Typed], Iterable[str]]) -> list[str]:
    """What may stand in the place of the incomplete word, as `value<TAB>description`."""
    command = commands.get(typed.command)
    if not typed.command:
        candidates = [f"{name}\t{each.help}" for name, each in commands.items()]
    elif command is None:
        candidates = []
    elif typed.waiting is None and typed.incomplete.startswith("-"):
        options = [each for each in command.params if each.param_type_name == "option"]
        candidates = [
            f"{option}\t{each.help or ''}" for each in options for option in each.opts if option.startswith("--")
        ]
    else:
        candidates = _values(command, typed, ask)
    return [each for each in candidates if each.startswith(typed.incomplete)]


def parameter(command: Any, typed: Typed) -> Any:
    """The option or the argument whose value is being typed; None where nothing more is wanted."""
    if typed.waiting is not None:
        return typed.waiting
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    return arguments[len(typed.arguments)] if len(typed.arguments) < len(arguments) else None


def _values(command: Any, typed: Typed, ask: Callable[[Source, Typed], Iterable[str]]) -> list[str]:
    wanted = parameter(command, typed)
    if wanted is None:
        return []
    if wanted.name in SOURCES:
        return list(ask(SOURCES[wanted.name], typed))
    return [str(choice) for choice in CHOICES.get(wanted.name, ())]


def ask_cluster(source: Source, typed: Typed) -> Iterable[str]:
    """What the cluster knows; nothing where it does not answer in time."""
    with contextlib.suppress(errors.ApiError, TimeoutError, ValidationError, ValueError):
        return asyncio.run(_fetch(source, typed))
    return ()


async def _fetch(source: Source, typed: Typed) -> Iterable[str]:
    kubeconfig = Path(typed.options["kubeconfig"]) if "kubeconfig" in typed.options else None
    connection = kubectl.connect(kubeconfig=kubeconfig, context=typed.options.get("context"))
    async with asyncio.timeout(SECONDS), connection as cluster:
        model = typed.arguments[0] if typed.arguments else ""
        return await source(cluster, typed.options.get("namespace", cluster.namespace), model)


def main() -> None:
    """Entry point of the script `kubectl_complete-sluice`."""
    group: Any = typer.main.get_command(app.app)
    commands, words = within(group.commands, sys.argv[1:] or [""])
    typed = read(commands, words)
    for proposal in proposals(commands, typed, ask=ask_cluster):
        print(proposal)
    command = commands.get(typed.command)
    wanted = parameter(command, typed) if command is not None else None
    print(FILES if wanted is not None and wanted.name in READS_FILES else NO_FILES)
