"""Arguments and options that the commands share, and the one place that adds them to a command.

A command is a coroutine function with its own options only. Its first parameter is its subject, `target` (a
ModelDeployment), `connection` (a cluster) or neither; `output`, where it has one, is its format:

    async def show(target: Target, output: Output, *, watch: Watch = False) -> int
      └─ register(app, "status", show, "…") ──> kubectl sluice status NAME [-w] [-n] [-o] [--context] …
"""

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from kubectl_sluice.cli import console, durations, exits

Command: TypeAlias = Callable[..., Coroutine[Any, Any, int]]


class OutputFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The ModelDeployment.", show_default=False)]
Release: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="RELEASE", help="One release (a ModelRollout); history names them.", show_default=False),
]
Namespace: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", "-n", help="The namespace.", show_default="the kubeconfig context's")
]
Context: TypeAlias = Annotated[
    str | None, typer.Option("--context", help="The kubeconfig context.", show_default="the current one")
]
Kubeconfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        exists=True,
        dir_okay=False,
        help="The kubeconfig file.",
        show_default="$KUBECONFIG or ~/.kube/config",
    ),
]
OperatorNamespace: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--operator-namespace",
        envvar="SLUICE_OPERATOR_NAMESPACE",
        metavar="NAMESPACE",
        help="Where the operator is installed, whose configuration counts.",
        show_default="that of the only one in the cluster",
    ),
]
OutputOption: TypeAlias = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="text for people; json and yaml for programs.")
]
Gateway: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        envvar="SLUICE_GATEWAY",
        metavar="URL",
        help="Address of the gateway as seen from here.",
        show_default="the operator's gatewayUrl, or the Gateway's own address",
    ),
]
Prometheus: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        envvar="SLUICE_PROMETHEUS",
        metavar="URL",
        help="Address of Prometheus as seen from here.",
        show_default="the operator's prometheusUrl",
    ),
]
Credentials: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--prometheus-credentials",
        envvar="SLUICE_PROMETHEUS_CREDENTIALS",
        exists=True,
        file_okay=False,
        metavar="FOLDER",
        help="What Prometheus asks for: files ca.crt, token, username, password.",
        show_default="none",
    ),
]


@dataclass(frozen=True, slots=True)
class Connection:
    """Which cluster a command talks to."""

    namespace: str | None
    context: str | None
    kubeconfig: Path | None
    operator_namespace: str | None = field(default=None, kw_only=True)

    def model(self, name: str) -> "ModelTarget":
        """A ModelDeployment of this cluster."""
        return ModelTarget(
            self.namespace, self.context, self.kubeconfig, name, operator_namespace=self.operator_namespace
        )


@dataclass(frozen=True, slots=True)
class ModelTarget(Connection):
    """Which ModelDeployment of which cluster a command is about."""

    name: str


def _shared(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


NAME: Final = _shared("name", Name)
CONNECTION: Final = (
    _shared("namespace", Namespace, None),
    _shared("context", Context, None),
    _shared("kubeconfig", Kubeconfig, None),
    _shared("operator_namespace", OperatorNamespace, None),
)
OUTPUT: Final = _shared("output", OutputOption, OutputFormat.TEXT)


def register(app: typer.Typer, name: str, command: Command, purpose: str, *, forever: bool = False) -> None:
    """Adds a command under a name, with the options that all commands of its sort have.

    forever: it runs until Ctrl-C, always or when told to follow; Ctrl-C is then not a failure.
    """
    own = dict(inspect.signature(command).parameters)
    about = next((each for each in ("target", "connection") if own.pop(each, None) is not None), "")
    prints = own.pop("output", None) is not None

    def run(**given: Any) -> int:
        connection = {each.name: given.pop(each.name) for each in CONNECTION if about}
        if about == "target":
            given["target"] = ModelTarget(name=given.pop("name"), **connection)
        elif about == "connection":
            given["connection"] = Connection(**connection)
        code = console.run(command(**given))
        return exits.OK if forever and code == exits.INTERRUPTED and given.get("watch", True) else code

    mine = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.values()]
    first, *others = CONNECTION if about else (None,)
    shared = [each for each in (first, OUTPUT if prints else None, *others) if each is not None]
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*((NAME,) if about == "target" else ()), *mine, *shared]
    )
    app.command(name, help=purpose)(run)


def seconds(text: str) -> int:
    """A duration on the command line."""
    try:
        return durations.parse_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
