"""`kubectl sluice runtime check`: whether a ServingRuntime, ours or the user's, meets Sluice's needs of a model
server."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from pydantic import ValidationError
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import console, exits, manifests
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection, OutputFormat, register
from kubectl_sluice.cli.profiling import runtimecheck
from kubectl_sluice.cli.releases import tables
from kubectl_sluice.offline import conformance
from kubectl_sluice.views.reports.checks import Check, CheckState
from kubectl_sluice.views.reports.conformance import judged
from kubectl_sluice.views.wire import to_wire
from sluice_core.adapters import kinds
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel.rawobjects import Object
from sluice_core.views import words

VERDICTS: Final = {CheckState.OK: "PASS", CheckState.FAILED: "FAIL", CheckState.SKIPPED: "SKIP"}
STYLES: Final = {CheckState.OK: "green", CheckState.FAILED: "bold red", CheckState.SKIPPED: "dim"}

RuntimeName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The ServingRuntime.", show_default=False)]
File: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="A ModelDeployment whose model is tried, with its resources, accelerator, arguments and whatever else "
        "makes its pods; - reads standard input. Other options go before it.",
        show_default="none",
    ),
]
Uri: TypeAlias = Annotated[
    str | None,
    typer.Option("--uri", metavar="URI", help="A model that it can serve.", show_default="contained in the image"),
]
Format: TypeAlias = Annotated[
    str | None, typer.Option("--format", help="The model's format.", show_default="the runtime's first one")
]
ModelName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model-name", metavar="NAME", help="The name under which the model is served.", show_default="model"
    ),
]
Secret: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--credentials-secret", metavar="NAME", help="A Secret with the keys of the source.", show_default="none"
    ),
]
Image: TypeAlias = Annotated[
    str | None,
    typer.Option("--image", help="An image instead of the runtime's; format custom needs one.", show_default="its own"),
]
Port: TypeAlias = Annotated[
    int | None, typer.Option("--port", min=1, max=65_535, help="HTTP port of --image.", show_default="the runtime's")
]
ReadinessPath: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--readiness-path",
        metavar="PATH",
        help="The path that the probes call on --image.",
        show_default="the runtime's",
    ),
]
Payload: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--payload",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Body of a request that the model answers.",
        show_default="protocol V2: zeros, generated from the model's metadata",
    ),
]
RequestPath: TypeAlias = Annotated[
    str | None,
    typer.Option("--path", metavar="PATH", help="URL path of the requests.", show_default="the protocol's"),
]
Series: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--series", metavar="NAME", help="A series that the metrics must contain; may be repeated."),
]
Rate: TypeAlias = Annotated[
    float, typer.Option("--rate", min=0.1, max=1000, help="Requests/s while the pods are replaced.")
]
Ready: TypeAlias = Annotated[
    int, typer.Option("--ready", min=1, max=7200, metavar="SECONDS", help="How long the pods may take to become ready.")
]
Keep: TypeAlias = Annotated[
    bool, typer.Option("--keep", help="Leave the objects of the check, so that you can inspect them.")
]


async def check(
    connection: Connection,
    output: OutputFormat,
    *,
    runtime: RuntimeName,
    file: File = None,
    uri: Uri = None,
    format_: Format = None,
    model_name: ModelName = None,
    credentials_secret: Secret = None,
    image: Image = None,
    port: Port = None,
    readiness_path: ReadinessPath = None,
    payload: Payload = None,
    path: RequestPath = None,
    series: Series = None,
    rate: Rate = 20,
    ready: Ready = 300,
    keep: Keep = False,
) -> int:
    """Serves a model with it in a temporary ModelDeployment, checks it, and removes that; exit status 1 if a check
    failed."""
    spec = _spec_of(file) if file is not None else {}
    model, own = spec.get("model") or {}, spec.get("runtime") or {}
    if not (uri or model.get("uri") or image or own.get("image")):
        raise Failure("pass a model with --uri or --file, or an image that contains one with --image")
    name = model_name or model.get("name") or "model"
    async with cluster.connected(connection) as api:
        serving_runtime = await fetch_runtime(api, runtime)
        asked = path or conformance.predict_path(serving_runtime, name)
        if payload is not None and asked is None:
            raise Failure("--payload needs --path: the runtime speaks its own protocol")
        order = runtimecheck.CheckOrder(
            trial=conformance.RuntimeTrial(
                runtime=serving_runtime,
                namespace=connection.namespace or api.namespace,
                format=format_ or model.get("format") or serving_runtime.spec.formats[0].name,
                uri=uri,
                model_name=name,
                credentials_secret=credentials_secret,
                image=image,
                port=port,
                readiness_path=readiness_path,
                spec=spec,
            ),
            path=asked or "/",
            payload=payload.read_bytes() if payload is not None else None,
            series=tuple(series or ()),
            rate=rate,
            ready_seconds=ready,
            keep=keep,
        )
        console.say(f"trying ServingRuntime {runtime} in namespace {order.trial.namespace}; this takes a few minutes")
        with console.progress("creating the pods") as say:
            checks = judged(await runtimecheck.observe(api, order, say))
    console.show(output, to_wire(checks), text(checks))
    return exits.FAILED if any(each.state is CheckState.FAILED for each in checks) else exits.OK


def _spec_of(file: str) -> Object:
    """The spec of the ModelDeployment in a file; a `Failure` where the API server would refuse it."""
    spec: Object = manifests.read_manifest(file, ModelDeployment.kind)["spec"]
    manifests.parsed(ModelDeploymentSpec, spec, file=file, path="spec")
    return spec


async def fetch_runtime(api: kubectl.Kubectl, name: str) -> ServingRuntime:
    """The ServingRuntime of a name; a `Failure` with those that there are."""
    try:
        return ServingRuntime.model_validate(await api.fetch(kinds.BY_KIND[ServingRuntime.kind], "", name))
    except kubectl.NotFound:
        there = await api.fetch_all(kinds.BY_KIND[ServingRuntime.kind])
        names = words.listed(sorted(each["metadata"]["name"] for each in there)) or "none"
        raise Failure(f"there is no ServingRuntime {name!r}; there are: {names}") from None
    except ValidationError as error:
        raise Failure(f"ServingRuntime {name} cannot be read: {error.errors()[0]['msg']}") from error


def text(checks: tuple[Check, ...]) -> RenderableType:
    """One row for each check, with remedies below."""
    table: Table = tables.plain()
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for each in checks:
        remedy = (Text(f"→ {each.remedy}", "dim"),) if each.remedy else ()
        table.add_row(each.name, Text(VERDICTS[each.state], STYLES[each.state]), Group(Text(each.finding), *remedy))
    return table


app = typer.Typer(no_args_is_help=True)
register(
    app,
    "check",
    check,
    "Serve a model on a ServingRuntime and check whether it does what Sluice needs: readiness, probes, security, "
    "answers, metrics, and a restart that loses nothing. Everything that it creates is removed again.",
)
