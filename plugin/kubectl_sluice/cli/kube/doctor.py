"""`kubectl sluice doctor`: checks everything that a release needs, with remedies."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from kubectl_sluice.adapters import kubectl, prometheusproxy, v2
from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster, installation, metrics
from kubectl_sluice.cli.kube.metrics import PrometheusFromHere
from kubectl_sluice.cli.options import Connection, Credentials, Gateway, OutputFormat, Prometheus
from kubectl_sluice.views import live
from kubectl_sluice.views.live import AddressState
from kubectl_sluice.views.reports import checks
from kubectl_sluice.views.reports.checks import Check, CheckState
from kubectl_sluice.views.wire import to_wire
from sluice_core import errors
from sluice_core.adapters import kinds, kube
from sluice_core.adapters.gateways import labels_of
from sluice_core.adapters.kinds import Resource
from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy, RolloutPolicySpec
from sluice_core.parsing import ownkinds, worlds
from sluice_core.render.pod import placeholders
from sluice_core.situation import arms, situation
from sluice_core.views import conditions
from sluice_judge.gateways import PRESETS, binding
from sluice_judge.model import Question

WINDOW_SECONDS: Final = 900
"""How far back the gateway's samples are read."""
SOURCES_STEP_SECONDS: Final = 60
"""How often the targets that expose them are read within the window."""
ANSWERS_SECONDS: Final = 3600
"""How far back the model's answers are read."""
METADATA_SECONDS: Final = 5.0
STYLES: Final = {
    CheckState.OK: "green",
    CheckState.WARNING: "yellow",
    CheckState.FAILED: "bold red",
    CheckState.SKIPPED: "dim",
}

Model: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A ModelDeployment to check as well.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Patient:
    """What is checked, and how it is reached from here."""

    cluster: kubectl.Kubectl
    config: OperatorConfig
    prometheus: PrometheusFromHere
    deployment: ModelDeployment | None


async def show(
    connection: Connection,
    output: OutputFormat,
    *,
    name: Model = None,
    prometheus: Prometheus = None,
    credentials: Credentials = None,
    gateway: Gateway = None,
) -> int:
    """All checks in order; exit status 1 if one has failed."""
    async with cluster.connected(connection) as api:
        session = cluster.Session(api, connection.model(name)) if name is not None else None
        release = await session.fetch() if session is not None else None
        deployment = release.deployment if release is not None else None
        operator = await installation.fetch(api)
        source = metrics.of(api, operator, url=prometheus, credentials=credentials)
        patient = Patient(api, operator.config, source, deployment)
        with contextlib.closing(source), console.progress("checking the cluster"):
            results = await examine(patient)
            if session is not None and release is not None:
                found = of_conditions(release.deployment, release.newest, now=time.time())
                results += (await _reached(session, release.deployment, gateway), *found)
    console.show(output, to_wire(results), text(results))
    return exits.FAILED if any(check.state is CheckState.FAILED for check in results) else exits.OK


async def examine(patient: Patient) -> tuple[Check, ...]:
    """Checks everything that each release needs."""
    results: list[Check] = []
    for examination in (
        _configuration,
        _operator,
        _lag,
        _gateway,
        _preset,
        _metrics,
        _drain,
        _rules,
        _registry,
        _own_permissions,
        _operator_permissions,
    ):
        try:
            results += await examination(patient)
        except errors.Denied as error:
            name = examination.__name__.strip("_").replace("_", " ")
            results.append(Check(name, CheckState.SKIPPED, str(error)))
    return tuple(results)


async def _configuration(patient: Patient) -> tuple[Check, ...]:
    return (checks.configured((await installation.fetch(patient.cluster)).raw, patient.config),)


async def _operator(patient: Patient) -> tuple[Check, ...]:
    deployments = await installation.fetch_deployments(patient.cluster)
    return (checks.operator_running(deployments),)


async def _lag(patient: Patient) -> tuple[Check, ...]:
    models = await patient.cluster.fetch_all(kinds.BY_KIND[ModelDeployment.kind], namespace=_namespace(patient))
    return (checks.keeps_up(models, now=time.time()),)


async def _gateway(patient: Patient) -> tuple[Check, ...]:
    if patient.config.routing is RoutingMode.SERVICE:
        return (checks.WITHOUT_GATEWAY,)
    spec_ref = patient.deployment.spec.routing.gateway_ref if patient.deployment is not None else None
    try:
        gateways = await patient.cluster.fetch_all(kinds.BY_KIND["Gateway"])
    except errors.Missing:
        gateways = None
    return (checks.gateway_serves(gateways, spec_ref or patient.config.gateway),)


async def _preset(patient: Patient) -> tuple[Check, ...]:
    if patient.config.routing is RoutingMode.SERVICE:
        return ()
    return (checks.preset_known(patient.config.gateway_preset, PRESETS),)


async def _metrics(patient: Patient) -> tuple[Check, ...]:
    try:
        return await _of_prometheus(patient)
    except prometheusproxy.NotLetThrough as error:
        return (checks.proxy_denied(str(error), url=patient.prometheus.url),)


async def _of_prometheus(patient: Patient) -> tuple[Check, ...]:
    """Raises `NotLetThrough`."""
    if patient.config.routing is RoutingMode.SERVICE:
        question = Question("up", "up", WINDOW_SECONDS)
        answers = await patient.prometheus.ask([question])
        return (checks.prometheus_answers(answers["up"], url=patient.prometheus.url),)
    anybodys = PRESETS.get(patient.config.gateway_preset)
    if anybodys is None:
        return (Check("prometheus", CheckState.SKIPPED, "without a preset, the series to look for are unknown"),)
    own = labels_of(patient.config)
    preset = binding.bound(anybodys, own)
    questions = (
        Question("freshness", preset.freshness, WINDOW_SECONDS),
        Question("sources", binding.sources(anybodys, own), WINDOW_SECONDS, step_seconds=SOURCES_STEP_SECONDS),
    )
    answers = await patient.prometheus.ask(questions)
    now = time.time()
    policies = await _policies(patient)
    return (
        checks.gateway_sampled(answers["freshness"], preset, url=patient.prometheus.url, now=now),
        checks.gateway_told_apart(answers["sources"], own),
        checks.scraped_as_said(answers["freshness"], policies),
    )


async def _drain(patient: Patient) -> tuple[Check, ...]:
    """No check where the model's server does not count how long answers take."""
    deployment = patient.deployment
    if deployment is None or deployment.status.stable is None:
        return ()
    runtimes = worlds.parsed_runtimes(await patient.cluster.fetch_all(kinds.BY_KIND["ServingRuntime"]))
    runtime = situation.find_runtime(deployment.spec, runtimes)
    if isinstance(runtime, situation.Blocked):
        return ()
    try:
        times = arms.whole_answers(runtime, deployment.metadata.namespace, deployment.status.stable.revision)
        if times is None:
            return ()
        answers = await patient.prometheus.ask([Question("answers", times.bucket, ANSWERS_SECONDS, summed_by=("le",))])
    except (placeholders.UnknownPlaceholder, prometheusproxy.NotLetThrough):
        return ()  # the ModelDeployment's own check or that of Prometheus reports it
    seconds = deployment.spec.drain_seconds
    return (checks.drained(answers["answers"], drain_seconds=seconds, unit_millis=times.unit_millis),)


async def _rules(patient: Patient) -> tuple[Check, ...]:
    model, wanted = "NAME", situation.DEFAULT_POLICY
    policies = await _policies(patient)
    runtimes = await patient.cluster.fetch_all(kinds.BY_KIND["ServingRuntime"])
    if patient.deployment is not None:
        model = patient.deployment.metadata.name
        wanted = situation.wanted_policy(patient.deployment, worlds.parsed_runtimes(runtimes), policies)
    return (
        checks.policy_exists(policies, wanted, model=model, namespace=_namespace(patient)),
        checks.runtimes_exist(runtimes),
    )


async def _registry(patient: Patient) -> tuple[Check, ...]:
    """No check where no model follows a registry."""
    namespace, kind = _namespace(patient), kinds.BY_KIND["Deployment"]
    raws = await patient.cluster.fetch_all(kinds.BY_KIND[ModelDeployment.kind], namespace=namespace)
    models = [each for raw in raws if isinstance(each := ownkinds.parsed_deployment(raw), ModelDeployment)]
    following = [each for each in models if each.spec.model.is_followed]
    if not following:
        return ()
    deployments = await patient.cluster.fetch_all(kind, namespace=namespace, selector=kind.selector)
    own = [each for each in following if patient.deployment and each.metadata.name == patient.deployment.metadata.name]
    return (checks.registry_followed(own or following, deployments),)


async def _policies(patient: Patient) -> Mapping[str, RolloutPolicySpec]:
    policies = await patient.cluster.fetch_all(kinds.BY_KIND[RolloutPolicy.kind])
    return {raw["metadata"]["name"]: RolloutPolicySpec.model_validate(raw["spec"]) for raw in policies}


async def _own_permissions(patient: Patient) -> tuple[Check, ...]:
    rollouts, namespace = kinds.BY_KIND[ModelRollout.kind], _namespace(patient)
    reads = [("list", kinds.BY_KIND[ModelDeployment.kind]), ("list", rollouts)]
    user = await patient.cluster.fetch_user()
    view = "ask for the ClusterRole sluice-view"
    steer = "ask for the ClusterRole sluice-releaser, which is allowed to steer releases"
    return (
        checks.allowed("reading", user, await _missing(patient, reads, namespace), view, needed=True),
        checks.allowed(
            "steering", user, await _missing(patient, [("patch", rollouts)], namespace), steer, needed=False
        ),
    )


async def _operator_permissions(patient: Patient) -> tuple[Check, ...]:
    """Whether the operator may list and watch what it needs; asked on behalf of its service account."""
    deployments = await installation.fetch_deployments(patient.cluster)
    wanted = [
        (verb, kind)
        for kind in kube.watched(patient.config)
        for verb in (("list", "watch") if kind.can_be_watched else ("get",))
    ]
    results = []
    for deployment in deployments:
        namespace = deployment["metadata"]["namespace"]
        account = deployment["spec"]["template"]["spec"].get("serviceAccountName", "default")
        who = f"system:serviceaccount:{namespace}:{account}"
        missing = await _missing(patient, wanted, "", subject=who)
        remedy = "install the chart's roles: helm upgrade sluice charts/sluice"
        results.append(checks.allowed("operator's permissions", who, missing, remedy, needed=True))
    return tuple(results)


async def _missing(
    patient: Patient, wanted: list[tuple[str, Resource]], namespace: str, *, subject: str = ""
) -> list[str]:
    places = [kind.within or (namespace if kind.namespaced else "") for _, kind in wanted]
    return [
        f"{verb} {kind.full_name}{f' in {kind.within}' if kind.within else ''}"
        for (verb, kind), place in zip(wanted, places, strict=True)
        if not await patient.cluster.may(verb, kind, namespace=place, subject=subject)
    ]


def _namespace(patient: Patient) -> str:
    return patient.deployment.metadata.namespace if patient.deployment is not None else patient.cluster.namespace


async def _reached(session: cluster.Session, deployment: ModelDeployment, gateway: str | None) -> Check:
    """Whether the model answers through the gateway, seen from here."""
    name = "address"
    try:
        address = await session.fetch_address(deployment, gateway)
        answer = await v2.ask(address, timeout_seconds=METADATA_SECONDS)
    except console.Failure as error:
        return Check(name, CheckState.SKIPPED, str(error))
    except v2.ModelUnreachable as error:
        remedy = f"see {session.command('status')}; from outside the cluster, pass the address with --gateway"
        return Check(name, CheckState.WARNING, str(error), remedy)
    found = live.answered(answer.status, answer.revision)
    finding = f"{address.host} at {address.gateway}: {found.words}"
    if found.state is AddressState.ANSWERS:
        return Check(name, CheckState.OK, finding)
    return Check(name, CheckState.WARNING, finding, f"see {session.command('status')}")


def of_conditions(deployment: ModelDeployment, newest: ModelRollout | None, *, now: float) -> list[Check]:
    """Each condition that is not as wanted is a separate finding."""
    return [
        Check(
            f"condition {each.type}",
            CheckState.FAILED if each.severe else CheckState.WARNING,
            f"{each.state}, {each.reason}: {each.message}",
            each.remedy,
        )
        for each in conditions.of_model(deployment, newest, now=now)
    ]


def text(results: tuple[Check, ...]) -> RenderableType:
    """One line for each check, and the remedy under it."""
    lines: list[RenderableType] = []
    for check in results:
        line = Text.assemble((f"{check.state:<8}", STYLES[check.state]), (f"{check.name}: ", "bold"), check.finding)
        if check.remedy:
            line.append(f"\n          → {check.remedy}", "dim")
        lines.append(line)
    return Group(*lines)
