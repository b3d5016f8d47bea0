"""The checks of `doctor`: each with its finding, and a remedy for a problem."""

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kubectl_sluice.views import serviceaddress
from kubectl_sluice.views.live import BEHIND_SECONDS
from sluice_core.api.config import OperatorConfig, RoutingMode, without_credentials
from sluice_core.api.v1alpha1.common import ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_core.kernel import commands, naming, rawobjects
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import ownkinds, worlds
from sluice_core.situation import following
from sluice_core.views import words
from sluice_judge.model import Answer, Failed
from sluice_judge.presets import GatewayPreset

STALE_SECONDS = 120.0
"""A gateway whose newest sample is older than this is not scraped."""
LONGEST_DRAIN_SECONDS = 3600
"""The most that `spec.drainSeconds` may be."""
MOST_SOURCES = 5
"""How many names fit in one line."""


class CheckState(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Something optional is missing."""
    FAILED = "failed"
    """Releases do not work in this state."""
    SKIPPED = "skipped"
    """It could not be checked from here."""


@dataclass(frozen=True, slots=True)
class Check:
    """One result of a check."""

    name: str
    state: CheckState
    finding: str
    remedy: str = ""
    """The remedy; empty where all is well."""


def configured(raw: Object | None, config: OperatorConfig) -> Check:
    """Whether the operator's configuration could be read from here. config: the assumed one."""
    ref = config.gateway
    by_gateway = f"Gateway {ref.namespace}/{ref.name}, preset {config.gateway_preset}"
    sharing = "routing by Service" if config.routing is RoutingMode.SERVICE else by_gateway
    found = f"{sharing}, Prometheus {without_credentials(config.prometheus_url)}"
    if raw is None:
        return Check(
            "configuration",
            CheckState.SKIPPED,
            f"the configuration cannot be read from here, so the defaults are assumed: {found}",
        )
    return Check("configuration", CheckState.OK, found)


def operator_running(deployments: Sequence[Object]) -> Check:
    """Whether any replica of the operator is ready. deployments: those with the operator's label."""
    name = "operator"
    if not deployments:
        return Check(
            name, CheckState.FAILED, "there is no Deployment of the operator", "helm install sluice charts/sluice"
        )
    ready = sum(int(d.get("status", {}).get("readyReplicas", 0)) for d in deployments)
    where = words.listed([f"{rawobjects.namespace(d)}/{rawobjects.name(d)}" for d in deployments])
    if ready == 0:
        first = deployments[0]
        logs = commands.kubectl("logs", f"deployment/{rawobjects.name(first)}", namespace=rawobjects.namespace(first))
        return Check(name, CheckState.FAILED, f"no replica of {where} is ready", logs)
    return Check(name, CheckState.OK, f"{words.plural(ready, 'replica')} of {where} ready")


def keeps_up(models: Sequence[Object], *, now: float) -> Check:
    """Whether the operator has observed the changes of all ModelDeployments."""
    name = "operator keeps up"
    changed = {rawobjects.name(raw): ownkinds.asked_time(raw) for raw in models if not _seen(raw)}
    waits = {each: now - asked for each, asked in changed.items() if asked is not None and now - asked > BEHIND_SECONDS}
    if not waits:
        return Check(name, CheckState.OK, f"it has seen the changes of {words.plural(len(models), 'model')}")
    oldest = max(waits, key=lambda each: waits[each])
    return Check(
        name,
        CheckState.FAILED,
        f"{len(waits)} of {words.plural(len(models), 'model')} have a change that it has not seen, the oldest "
        f"({oldest}) for {words.span(waits[oldest])}; what is said about them is from before it",
        "see docs/runbooks/operator-behind.md",
    )


def _seen(raw: Object) -> bool:
    observed = (raw.get("status") or {}).get("observedGeneration") or 0
    return int(observed) >= int(raw["metadata"].get("generation") or 0)


def registry_followed(models: Sequence[ModelDeployment], deployments: Sequence[Object]) -> Check:
    """Whether the resolver of a namespace runs, and its last answer. models: those in it that follow a registry."""
    name, label = "registry", f"app.kubernetes.io/component={naming.RESOLVER}"
    namespace, followers = models[0].metadata.namespace, words.plural(len(models), "model")
    resolvers = [each for each in deployments if _is_resolver(each)]
    if not resolvers:
        finding = f"for {followers} in {namespace} a registry is to be asked, and there is no resolver that asks it"
        return Check(
            name,
            CheckState.FAILED,
            finding,
            f"{commands.kubectl('get', 'deployments', namespace=namespace)}; see whether the operator runs",
        )
    where = f"{namespace}/{rawobjects.name(resolvers[0])}"
    if not any(int(each.get("status", {}).get("readyReplicas", 0)) for each in resolvers):
        return Check(
            name,
            CheckState.FAILED,
            f"{where} is not ready",
            commands.kubectl("describe", "pods", "-l", label, namespace=namespace),
        )
    said = {each.metadata.name: following.condition(each) for each in models}
    unresolved = [
        f"{each} ({last.reason})" for each, last in said.items() if last and last.status != ConditionStatus.TRUE
    ]
    if unresolved:
        finding = f"{where} is ready, and does not know the version of {words.listed(unresolved)}"
        return Check(
            name, CheckState.WARNING, finding, f"{commands.sluice('doctor', 'NAME', namespace=namespace)} says why"
        )
    [last, *more] = said.values()
    latest = last.message if last is not None and not more else f"it answers for {followers}"
    return Check(name, CheckState.OK, f"{where} is ready; {latest}")


def _is_resolver(deployment: Object) -> bool:
    keeper = str(rawobjects.labels(deployment).get(naming.LABEL_OWNER, ""))
    return bool(keeper) and rawobjects.name(deployment) == naming.resolver_name(keeper)


def gateway_serves(gateways: Sequence[Object] | None, ref: GatewayRef) -> Check:
    """Whether the Gateway exists and is programmed. gateways: None where the Gateway API is not served."""
    if gateways is None:
        remedy = "install the Gateway API CRDs and a gateway"
        return Check("gateway", CheckState.FAILED, "this cluster does not serve the Gateway API", remedy)
    exists, message = worlds.observed_gateway(gateways, ref)
    if not exists:
        there = words.listed([f"{rawobjects.namespace(g)}/{rawobjects.name(g)}" for g in gateways]) or "none"
        return Check("gateway", CheckState.FAILED, message, f"existing Gateways: {there}")
    if message:
        describe = commands.kubectl("describe", "gateway", ref.name, namespace=ref.namespace)
        return Check("gateway", CheckState.FAILED, message, describe)
    return Check("gateway", CheckState.OK, f"{ref.namespace}/{ref.name} is programmed")


def preset_known(name: str, presets: Mapping[str, GatewayPreset]) -> Check:
    """Whether the series of the configured gateway are known."""
    preset = presets.get(name)
    if preset is None:
        remedy = f"set config.gatewayPreset in the chart to one of {words.listed(sorted(presets), 'or')}"
        return Check("preset", CheckState.FAILED, f"there is no preset {name!r}", remedy)
    if not preset.tested:
        remedy = "test a release with traffic before you rely on it, or use a tested gateway"
        return Check(
            "preset", CheckState.WARNING, f"{name} has not been tested; the preset follows its documentation", remedy
        )
    return Check("preset", CheckState.OK, f"{name}: weights, mirrors and series were tested")


WITHOUT_GATEWAY = Check(
    "gateway",
    CheckState.OK,
    "not used: routing is Service, so shares are ratios of pods (docs/without-a-gateway.md)",
)


def prometheus_answers(answer: Answer, *, url: str) -> Check:
    """Whether Prometheus answers at `url`, and scrapes anything. answer: to the series `up`."""
    name = "prometheus"
    if isinstance(answer, Failed):
        return _no_answer(name, answer, url)
    if not answer.series:
        return Check(
            name, CheckState.FAILED, "it answers, but scrapes nothing", "check in Prometheus, under Status > Targets"
        )
    return Check(name, CheckState.OK, f"it answers, and scrapes {words.plural(len(answer.series), 'target')}")


def _no_answer(name: str, answer: Failed, url: str) -> Check:
    remedy = f"check config.prometheusUrl and config.prometheusSecretName in the chart; {reached(url)}"
    return Check(name, CheckState.FAILED, answer.message, remedy)


def gateway_sampled(answer: Answer, preset: GatewayPreset, *, url: str, now: float) -> Check:
    """Whether Prometheus answers at `url` and has fresh samples of the gateway."""
    name = "prometheus"
    if isinstance(answer, Failed):
        return _no_answer(name, answer, url)
    newest = max((track.points[-1][0] for track in answer.series if track.points), default=None)
    targets = "check in Prometheus, under Status > Targets, whether the gateway's metrics port is scraped"
    if newest is None:
        return Check(
            name, CheckState.FAILED, f"it answers, but has no sample of the gateway ({preset.freshness})", targets
        )
    if now - newest > STALE_SECONDS:
        return Check(
            name, CheckState.FAILED, f"the newest sample of the gateway is {words.span(now - newest)} old", targets
        )
    return Check(name, CheckState.OK, f"it answers; the newest sample of the gateway is {words.span(now - newest)} old")


def gateway_told_apart(answer: Answer, own: Mapping[str, str]) -> Check:
    """Whether series with the gateway's names count only if they are the gateway's.

    answer: their exporters (`binding.sources`). own: the labels that only the gateway's have.
    """
    name = "gateway's series"
    found = [] if isinstance(answer, Failed) else [series.labels for series in answer.series]
    others = _sources(labels for labels in found if not own or not own.items() <= labels.items())
    if not own:
        seen = f"; exposed by {others}" if others else ""
        return Check(
            name,
            CheckState.WARNING,
            f"whoever exposes series of the gateway's names is believed, in any namespace{seen}",
            "set config.gatewaySeries in the chart to labels that Prometheus gives to the gateway alone, such as "
            "{namespace: projectcontour} (docs/gateways.md)",
        )
    if isinstance(answer, Failed):
        return Check(name, CheckState.SKIPPED, answer.message)
    said = ", ".join(f"{label}={value}" for label, value in sorted(own.items()))
    if others:
        return Check(
            name,
            CheckState.WARNING,
            f"only those with {said} count, and others expose series of the same names: {others}",
            "ask whose they are; if one of them is the gateway, correct config.gatewaySeries in the chart",
        )
    return Check(name, CheckState.OK, f"only those with {said} count, and nobody else exposes any")


def _sources(found: Iterable[Mapping[str, str]]) -> str:
    """The exporters of the series, the first of them by name."""
    named = sorted(set(map(_source, found)))
    more = len(named) - MOST_SOURCES
    return words.listed([*named[:MOST_SOURCES], *([f"{more} more"] if more > 0 else [])])


def _source(labels: Mapping[str, str]) -> str:
    """`pod exporter in evil (job pods)`."""
    pod, namespace, job = (labels.get(name, "") for name in ("pod", "namespace", "job"))
    where = f" in {namespace}" if namespace else ""
    return f"pod {pod}{where} (job {job})" if pod else f"job {job}{where}"


def reached(url: str) -> str:
    """How to reach, from here, an address that only pods can resolve, such as `http://prometheus.monitoring:9090`."""
    address = serviceaddress.parsed(url)
    if address is None:
        return "from outside the cluster, pass an address with --prometheus"
    return (
        f"from outside the cluster, run kubectl port-forward -n {address.namespace} service/{address.service} "
        f"9090:{address.port} and pass --prometheus {address.scheme}://127.0.0.1:9090{address.path}"
    )


def proxy_denied(error: str, *, url: str) -> Check:
    """Prometheus has a name that does not resolve here, and the API server does not let us through. error: in its
    words."""
    finding = f"{without_credentials(url)} is not known here, and the API server does not let you through: {error}"
    return Check("prometheus", CheckState.SKIPPED, finding, f"ask for get on services/proxy there; or, {reached(url)}")


def scraped_as_said(answer: Answer, policies: Mapping[str, RolloutPolicySpec]) -> Check:
    """Whether the policies have the gateway's scrape interval."""
    name = "scrape interval"
    gaps = [] if isinstance(answer, Failed) else [gap for track in answer.series for gap in _gaps(track.points)]
    if not gaps:
        return Check(name, CheckState.SKIPPED, "too few samples to tell")
    real = statistics.median(gaps)
    wrong = [
        each for each, policy in policies.items() if not real / 1.5 <= policy.scrape_interval_seconds <= real * 1.5
    ]
    if wrong:
        return Check(
            name,
            CheckState.WARNING,
            f"the gateway is scraped every {real:.0f} s, but {words.listed(sorted(wrong))} say otherwise",
            f"set scrapeIntervalSeconds: {max(1, round(real))} in RolloutPolicy {words.listed(sorted(wrong))}",
        )
    return Check(name, CheckState.OK, f"every {real:.0f} s, as the policies say")


def policy_exists(
    policies: Mapping[str, RolloutPolicySpec], wanted: str, *, model: str = "NAME", namespace: str
) -> Check:
    """Whether the referenced policy exists. model: the one with a past to try it on."""
    if wanted in policies:
        tried = f"{commands.sluice('calibrate', model, namespace=namespace)} tries it on the service's own past"
        return Check("policy", CheckState.OK, f"RolloutPolicy {wanted} exists; {tried}")
    there = words.listed(sorted(policies)) or "none"
    return Check(
        "policy",
        CheckState.FAILED,
        f"there is no RolloutPolicy {wanted!r}; there are: {there}",
        "create it, or name another one in spec.rollout.policyRef; the chart installs one named default",
    )


def runtimes_exist(runtimes: Sequence[Object]) -> Check:
    """Whether there is any model server to run."""
    if not runtimes:
        remedy = "the chart installs one (helm upgrade sluice charts/sluice), or apply your own ServingRuntime"
        return Check("runtimes", CheckState.FAILED, "there is no ServingRuntime", remedy)
    formats = sorted({f["name"] for r in runtimes for f in r["spec"].get("formats") or ()})
    return Check("runtimes", CheckState.OK, f"formats: {', '.join(formats)}")


def drained(answer: Answer, *, drain_seconds: int, unit_millis: float) -> Check:
    """Whether answers end before their pod does. answer: growth of the buckets of their duration; unit_millis: of
    le."""
    name = "drain"
    if isinstance(answer, Failed):
        return Check(name, CheckState.SKIPPED, answer.message)
    grown = {
        float(series.labels["le"]) * unit_millis / 1000: series.points[-1][1]
        for series in answer.series
        if "le" in series.labels and series.points
    }
    every = grown.get(math.inf, 0.0)
    if not every:
        return Check(name, CheckState.SKIPPED, "its server has counted no answer in the last hour")
    answers = words.plural(round(every), "answer")
    longest = min(seconds for seconds, count in grown.items() if round(every - count) == 0)
    if longest <= drain_seconds:
        return Check(name, CheckState.OK, f"{answers} in the last hour took at most {longest:g} s of {drain_seconds} s")
    limit = min(seconds for seconds in grown if seconds >= drain_seconds)
    longer = round(every - grown[limit])
    if not longer:
        finding = f"{answers} in the last hour, and the buckets do not tell which took more than {drain_seconds} s"
        return Check(name, CheckState.OK, finding)
    enough = f"to {longest:.0f}" if longest <= LONGEST_DRAIN_SECONDS else "to what the longest answer takes"
    return Check(
        name,
        CheckState.WARNING,
        f"{longer} of {answers} in the last hour took more than {limit:g} s; where a pod is removed, they are cut after "
        f"{drain_seconds} s",
        f"set spec.drainSeconds {enough}, or give the server what it lacks, if answers are long because it is slow",
    )


def allowed(name: str, who: str, missing: Sequence[str], remedy: str, *, needed: bool) -> Check:
    """Whether a subject has the needed permissions. missing: `verb resource` of those that it lacks."""
    if missing:
        state = CheckState.FAILED if needed else CheckState.WARNING
        return Check(name, state, f"{who} may not {words.listed(missing, 'or')}", remedy)
    return Check(name, CheckState.OK, f"{who} has all permissions that are needed")


def _gaps(points: Sequence[tuple[float, float]]) -> list[float]:
    return [later[0] - earlier[0] for earlier, later in itertools.pairwise(points)]
