"""Arguments and options that the commands share."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The ModelDeployment.", show_default=False)]
Namespace: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Its namespace.", show_default="that of the kubeconfig context")
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
OutputOption: TypeAlias = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for programs.")]
Gateway: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        envvar="SLUICE_GATEWAY",
        metavar="URL",
        help="Address at which the gateway is reached from here.",
        show_default="the operator's gatewayUrl, or the Gateway's own address",
    ),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Which object of which cluster a command is about."""

    name: str
    namespace: str | None
    context: str | None
    kubeconfig: Path | None
