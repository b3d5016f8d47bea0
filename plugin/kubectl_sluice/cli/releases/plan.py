"""`kubectl sluice plan`: what would happen, before anything is applied."""

import contextlib
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import console, exits, manifests
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster, installation, metrics, world
from kubectl_sluice.cli.options import Connection, Credentials, OutputFormat, Prometheus
from kubectl_sluice.cli.releases import render, tables
from kubectl_sluice.views import plan
from kubectl_sluice.views.plan import PlanView
from kubectl_sluice.views.wire import to_wire
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.decide import prepare
from sluice_core.decide.prepare import Findings, Inquiry, Replies
from sluice_core.kernel import commands
from sluice_core.kernel.snapshot import Object, Snapshot
from sluice_core.parsing import worlds
from sluice_core.views import words

File: TypeAlias = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="Manifest of a ModelDeployment; - reads standard input.")
]


async def show(
    connection: Connection,
    output: OutputFormat,
    *,
    file: File,
    prometheus: Prometheus = None,
    credentials: Credentials = None,
) -> int:
    """Asks the operator's own decision what it would do with a manifest."""
    manifest = manifests.read_manifest(file, ModelDeployment.kind)
    async with cluster.connected(connection) as api:
        with console.progress("reading the cluster and the traffic of the stable version"):
            addressed = _addressed(manifest, connection, api, file)
            operator = await installation.fetch(api)
            with contextlib.closing(metrics.of(api, operator, url=prometheus, credentials=credentials)) as source:
                view = await planned(api, addressed, file=file, config=operator.config, source=source)
    console.show(output, to_wire(view), text(view))
    return exits.FAILED if view.problem else exits.OK


async def planned(
    api: kubectl.Kubectl,
    manifest: dict[str, Any],
    *,
    file: str,
    config: OperatorConfig,
    source: metrics.PrometheusFromHere,
) -> PlanView:
    """The plan for a manifest that has a name and a namespace."""
    existing = await _fetch_existing(api, manifest)
    wanted = plan.as_applied(await _validated(api, manifest, existing, file), existing)
    snapshot = worlds.parsed(await world.fetch_world(api, wanted, config))
    if not isinstance(snapshot, Snapshot):
        raise Failure(f"{file}: {snapshot.path}: {snapshot.message}")
    prospect = plan.prospect(snapshot)
    findings = Findings()
    if prospect.begun is not None:
        prepared = prepare.of(prospect.situation)
        replies = await _replies(api, prepared.inquiry, source)
        findings = prepare.read(prepared, replies)
    today = ModelDeployment.model_validate(existing) if existing is not None else None
    return plan.plan_view(prospect, findings, today=today)


def _addressed(manifest: dict[str, Any], connection: Connection, api: kubectl.Kubectl, file: str) -> dict[str, Any]:
    """The manifest with the namespace that kubectl apply would choose."""
    metadata = manifest.get("metadata") or {}
    if not metadata.get("name"):
        raise Failure(f"{file}: metadata.name is missing")
    own = metadata.get("namespace")
    if own and connection.namespace and own != connection.namespace:
        raise Failure(f"{file}: metadata.namespace is {own!r}, but --namespace is {connection.namespace!r}")
    return {**manifest, "metadata": {**metadata, "namespace": own or connection.namespace or api.namespace}}


async def _fetch_existing(api: kubectl.Kubectl, manifest: Object) -> Object | None:
    metadata = manifest["metadata"]
    try:
        return await api.fetch(kinds.BY_KIND[ModelDeployment.kind], metadata["namespace"], metadata["name"])
    except kubectl.NotFound:
        return None


async def _validated(api: kubectl.Kubectl, manifest: dict[str, Any], existing: Object | None, file: str) -> Object:
    """The manifest as the API server would store it; where we may not ask it, as this plugin understands it."""
    try:
        return await api.dry_run(manifest, existing=existing)
    except errors.Refused as error:
        raise Failure(f"{file}: {error}") from error
    except errors.Denied as error:
        manifests.parsed(ModelDeploymentSpec, manifest["spec"], file=file, path="spec")
        console.say(f"not checked by the API server: {error}")
        return manifest


async def _replies(api: kubectl.Kubectl, asked: Inquiry, source: metrics.PrometheusFromHere) -> Replies:
    answers = await source.answer(asked.metrics)
    devices = await world.fetch_devices(api, asked.devices) if asked.devices is not None else None
    return Replies(metrics=answers, devices=devices)


def text(view: PlanView) -> RenderableType:
    """The plan for a terminal."""
    title = Text.assemble((view.name, "bold"), f" in {view.namespace}: ", (view.summary, "bold"))
    parts: list[RenderableType] = [title]
    if view.problem:
        parts.append(Text(view.problem, "red"))
    if view.superseded:
        parts.append(Text(view.superseded, "yellow"))
    parts += [render.fact("changes" if index == 0 else "", Text(line)) for index, line in enumerate(view.changes)]
    if view.revision:
        origin = "new" if view.new_revision else "serves already" if view.serves else "known: it starts as it was"
        parts.append(render.fact("revision", Text(f"{view.revision} ({origin})")))
    if view.steps:
        parts += [Text(), tables.planned_steps(view.steps), Text()]
    parts += [render.fact(label, Text(line)) for label, line in _facts(view) if line]
    if view.unwatched:
        parts.append(render.fact("unwatched", Text(view.unwatched, "yellow")))
    if view.baseline:
        parts.append(render.fact("baseline", Text(view.baseline)))
    if view.uncompared:
        parts.append(render.fact("uncompared", Text(view.uncompared, "yellow")))
    return Group(*parts)


def _facts(view: PlanView) -> tuple[tuple[str, str], ...]:
    return (
        ("validation", view.validation),
        ("in all", _total(view)),
        ("forecast", view.forecast if view.late else ""),
        ("try", _calibrate(view)),
        ("bake", _bake(view)),
        ("devices", view.accelerators.message if view.accelerators is not None else ""),
        ("downtime", view.downtime or ("none" if view.releases and view.steps else "")),
    )


def _total(view: PlanView) -> str:
    """Requests and time until 100 %; more where a person or mirrored requests must be waited for."""
    if view.requests is None or not view.seconds:
        return ""
    rate = f" at {view.requests_per_second:.3g} requests/s" if view.requests_per_second is not None else ""
    open_end = any(step.waits_for_person or step.minimum_requests for step in view.steps)
    proof = f"{words.plural(view.requests, 'candidate request')} and " if view.requests else ""
    return f"{'at least' if open_end else 'about'} {proof}{words.span(view.seconds)}{rate} until 100 %"


def _calibrate(view: PlanView) -> str:
    if not view.exists or not view.releases or not view.steps:
        return ""
    calibrate = commands.sluice("calibrate", view.name, namespace=view.namespace)
    return f"{calibrate} shows how often this policy would have rolled back what serves now"


def _bake(view: PlanView) -> str:
    if not view.bake_seconds:
        return ""
    warm = "" if view.downtime else ", the old version stays warm"
    return f"watched for {words.span(view.bake_seconds)} after 100 %{warm}"
