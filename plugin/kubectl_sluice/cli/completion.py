"""Completion of `kubectl sluice <TAB>`, in kubectl and in the shells.

kubectl runs an executable named kubectl_complete-sluice on the PATH with the words typed so far, and expects one
proposal a line (`value<TAB>description`) and a directive at the end. The scripts for `kubectl-sluice` itself do the
same.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import typer

from kubectl_sluice.cli import app, exits
from kubectl_sluice.cli.options import OutputFormat
from kubectl_sluice.cli.start import quick_imports

NO_FILES: Final = ":4"
"""Cobra's directive: do not propose file names."""
FILES: Final = ":0"
"""Cobra's directive: propose file names where there is nothing else."""
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
"""The values of parameters with a fixed set, by name."""
SCRIPTS: Final = {Shell.BASH: BASH, Shell.ZSH: ZSH, Shell.FISH: FISH}
ShellName: TypeAlias = Annotated[Shell, typer.Argument(help="The shell.", show_default=False)]


async def show(*, shell: ShellName) -> int:
    """Prints the script to source; inside kubectl none is needed."""
    print(SCRIPTS[shell], end="")
    return exits.OK


@dataclass(frozen=True, slots=True)
class Typed:
    """The command line so far, after `kubectl sluice`."""

    command: str
    """Empty while it is being typed."""
    arguments: tuple[str, ...]
    """Complete positional words."""
    options: Mapping[str, str]
    """Values by the name of the parameter."""
    waiting: Any
    """The option whose value is being typed; None if none is."""
    incomplete: str


Ask: TypeAlias = Callable[[str, Typed], Iterable[str]]
"""The cluster's values of a parameter, by its name."""
KNOWN_TO_CLUSTER: Final = frozenset({"name", "batch", "runtime", "rollout", "to", "against"})
"""Parameters with values that only the cluster knows; `names.SOURCES` says how they are read."""


def read(commands: Mapping[str, Any], words: Sequence[str]) -> Typed:
    """Parses the words; the last one is incomplete. commands: by name, as typer builds them."""
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
    """The commands and words of the innermost fully named group: those of `check …` in `runtime check …`."""
    inner = getattr(commands.get(words[0]), "commands", None) if len(words) > 1 else None
    return (commands, words) if inner is None else within(inner, words[1:])


def proposals(commands: Mapping[str, Any], typed: Typed, *, ask: Ask) -> list[str]:
    """Proposals for the incomplete word, as `value<TAB>description`."""
    command = commands.get(typed.command)
    if not typed.command:
        known = commands.unloaded if isinstance(commands, app.Commands) else commands
        candidates = [f"{name}\t{each.help}" for name, each in known.items()]
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
    """The option or the argument whose value is being typed; None where nothing more is expected."""
    if typed.waiting is not None:
        return typed.waiting
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    return arguments[len(typed.arguments)] if len(typed.arguments) < len(arguments) else None


def _values(command: Any, typed: Typed, ask: Ask) -> list[str]:
    wanted = parameter(command, typed)
    if wanted is None:
        return []
    if wanted.name in KNOWN_TO_CLUSTER:
        return list(ask(wanted.name, typed))
    return [str(choice) for choice in CHOICES.get(wanted.name, ())]


def ask_cluster(parameter: str, typed: Typed) -> Iterable[str]:
    """The cluster's values; none where it does not answer in time."""
    with quick_imports():
        names = importlib.import_module("kubectl_sluice.cli.kube.names")
    connection = (typed.options.get("kubeconfig"), typed.options.get("context"), typed.options.get("namespace"))
    found: Iterable[str] = names.known(parameter, *connection, model=typed.arguments[0] if typed.arguments else "")
    return found


def main() -> None:
    """Prints proposals for the last word."""
    group: Any = typer.main.get_command(app.app)
    commands, words = within(group.commands, sys.argv[1:] or [""])
    typed = read(commands, words)
    for proposal in proposals(commands, typed, ask=ask_cluster):
        print(proposal)
    command = commands.get(typed.command)
    wanted = parameter(command, typed) if command is not None else None
    print(FILES if wanted is not None and wanted.name in READS_FILES else NO_FILES)
