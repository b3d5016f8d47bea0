"""`kubectl sluice status`: the state of a model and of its release, once or live."""

import time
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import typer
from rich.console import Console

from kubectl_sluice.adapters import v2
from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection, Gateway, OutputFormat
from kubectl_sluice.cli.releases import follow, render, tables
from kubectl_sluice.views import example
from kubectl_sluice.views import live as views_live
from kubectl_sluice.views.live import AddressState, AddressView
from kubectl_sluice.views.overview import overview
from kubectl_sluice.views.releases.release import ReleaseView, release_view
from kubectl_sluice.views.wire import to_wire
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel.rawobjects import Object

ADDRESS_SECONDS: Final = 1.0
"""Whether the address answers is optional; the command must not wait for it."""

OptionalName: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="The ModelDeployment.", show_default="all")
]
Everywhere: TypeAlias = Annotated[bool, typer.Option("--all-namespaces", "-A", help="List those of all namespaces.")]
Watch: TypeAlias = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until Ctrl-C.")]


async def show(
    connection: Connection,
    output: OutputFormat,
    *,
    name: OptionalName = None,
    watch: Watch = False,
    gateway: Gateway = None,
    everywhere: Everywhere = False,
) -> int:
    if name is None:
        if watch:
            raise console.Failure("--watch follows one model; name it: kubectl sluice status NAME --watch")
        return await _all(connection, output, everywhere=everywhere)
    if everywhere:
        raise console.Failure(f"--all-namespaces lists all models; leave out {name}, or name its namespace with -n")
    async with cluster.session(connection.model(name)) as session:
        if not watch:
            return await _once(session, output, gateway)
        out = console.stdout()
        if output is OutputFormat.TEXT and out.is_terminal:
            return await _live(session, out)
        return await _lines(session, output)


async def _all(connection: Connection, output: OutputFormat, *, everywhere: bool) -> int:
    async with cluster.connected(connection) as api:
        namespace = "" if everywhere else connection.namespace or api.namespace
        deployments = await api.fetch_all(kinds.BY_KIND[ModelDeployment.kind], namespace=namespace)
        lines = overview(deployments, await api.fetch_all_rollouts(namespace), now=time.time())
    where = f"in namespace {namespace!r} (-A shows all namespaces)" if namespace else "in this cluster"
    text = tables.models(lines, namespaces=everywhere) if lines else f"there is no ModelDeployment {where}"
    console.show(output, to_wire(lines), text)
    return exits.OK


async def _once(session: cluster.Session, output: OutputFormat, gateway: str | None) -> int:
    release = await session.fetch()
    pods = await session.fetch_pods()
    request = await _ask(session, release, gateway)
    view = _view(release, pods, request.answer)
    console.show(output, _document(view, request.command), render.release(view))
    if output is OutputFormat.TEXT and request.command:
        console.stdout().print(render.request(request.command, request.remark), soft_wrap=True)
    return exits.OK


async def _live(session: cluster.Session, out: Console) -> int:
    """Redraws in place until interrupted; the last state stays on the screen."""

    async def look() -> ReleaseView:
        return _view(await session.fetch(), await session.fetch_pods())

    from rich.live import Live

    first = render.release(await look())
    with Live(first, console=out, auto_refresh=False, vertical_overflow="crop") as live:
        live.refresh()
        while True:
            live.update(render.release(await follow.next_state(look)), refresh=True)


async def _lines(session: cluster.Session, output: OutputFormat) -> int:
    """One line, or one JSON document, for each change; for pipes and logs."""
    from kubectl_sluice.views.releases.progress import progress

    last: Any = None
    release = await session.fetch()
    while True:
        line = progress(release.deployment, release.rollouts, now=time.time()).line
        versions = (
            release.deployment.metadata.resource_version,
            *(rollout.metadata.resource_version for rollout in release.rollouts),
        )
        if output is OutputFormat.TEXT and line != last:
            last = line
            console.line(time.strftime("%H:%M:%S"), line)
        elif output is not OutputFormat.TEXT and versions != last:
            last = versions
            console.show_next(output, _document(_view(release), ""))
        release = await follow.next_state(session.fetch)


def _view(
    release: cluster.FetchedRelease,
    pods: tuple[Object, ...] | None = None,
    address: AddressView | None = None,
) -> ReleaseView:
    now = time.time()
    seen = views_live.live(release.raw, pods=pods, address=address, now=now)
    return release_view(release.deployment, release.rollouts, now=now, live=seen)


def _document(view: ReleaseView, command: str) -> dict[str, Any]:
    document: dict[str, Any] = to_wire(view)
    return document | ({"exampleRequest": command} if command else {})


class ExampleRequest(NamedTuple):
    """A command to copy, a remark on it, and what the model's address answered to a GET of its metadata."""

    answer: AddressView
    command: str = ""
    remark: str = ""


async def _ask(session: cluster.Session, release: cluster.FetchedRelease, gateway: str | None) -> ExampleRequest:
    """Never an inference, and never fails: status must be readable when nothing else works."""
    try:
        address = await session.fetch_address(release.deployment, gateway)
    except (console.Failure, errors.ApiError) as error:
        return ExampleRequest(AddressView(AddressState.UNKNOWN, f"not asked: {error}"))
    look = example.curl_metadata(address), "to see what the model expects:"
    try:
        answer = await v2.ask(address, timeout_seconds=ADDRESS_SECONDS)
    except v2.ModelUnreachable as error:
        return ExampleRequest(AddressView(AddressState.UNREACHABLE, f"not reachable from here: {error}"), *look)
    found = views_live.answered(answer.status, answer.revision)
    if answer.metadata is None:
        return ExampleRequest(found, *look)
    remark = "a prediction:"
    if example.too_long(answer.metadata):
        remark = f"a prediction ({session.command('predict', '--sample')} > body.json):"
    return ExampleRequest(found, example.curl_infer(address, answer.metadata), remark)
