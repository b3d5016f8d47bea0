"""What doctor finds, and the remedy that it names."""

from typing import Any

import pytest

from kubectl_sluice.views.reports import checks
from kubectl_sluice.views.reports.checks import Check, CheckState
from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_judge.gateways import PRESETS
from sluice_judge.model import Answer, Answered, Failed, Series

REF = GatewayRef(name="models", namespace="gateway")
INSIDE = "http://prometheus.monitoring:9090"
NOW = 1000.0


def deployment(ready: int) -> dict[str, Any]:
    return {"metadata": {"name": "sluice", "namespace": "sluice-system"}, "status": {"readyReplicas": ready}}


def gateway(programmed: str) -> dict[str, Any]:
    conditions = [{"type": "Programmed", "status": programmed, "reason": "Because"}]
    return {"metadata": {"name": "models", "namespace": "gateway"}, "status": {"conditions": conditions}}


def samples(*times: float) -> Answer:
    return Answered((Series({}, tuple((time, 1.0) for time in times)),))


OWN = {"namespace": "projectcontour"}
GATEWAY_POD = {"job": "envoy", "namespace": "projectcontour", "pod": "envoy-1"}
FORGER = {"job": "pods", "namespace": "evil", "pod": "exporter"}


def sources(*labels: dict[str, str]) -> Answer:
    return Answered(tuple(Series(each, ((1.0, 7.0),)) for each in labels))


def drained(drain_seconds: int, **counts: float) -> Check:
    """Of a server whose buckets have counted so many answers, by le in milliseconds."""
    series = [
        Series({"le": "+Inf" if le == "all" else le.removeprefix("le")}, ((NOW, each),)) for le, each in counts.items()
    ]
    return checks.drained(Answered(tuple(series)), drain_seconds=drain_seconds, unit_millis=1.0)


def policies(seconds: int) -> dict[str, RolloutPolicySpec]:
    return {"default": RolloutPolicySpec(scrape_interval_seconds=seconds)}


def runtime(*formats: str) -> dict[str, Any]:
    return {"spec": {"formats": [{"name": name} for name in formats]}}


def model(*, generation: int, observed: int | None, changed: str | None = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    writes = [{"time": changed, "fieldsV1": {"f:spec": {}}}] if changed else []
    metadata = {"name": "digits", "namespace": "default", "generation": generation, "managedFields": writes}
    return {"metadata": metadata, "status": {} if observed is None else {"observedGeneration": observed}}


JANUARY = 1_767_225_600.0


@pytest.mark.parametrize(
    ("check", "state", "said"),
    [
        (checks.configured(None, OperatorConfig()), CheckState.SKIPPED, "the defaults are assumed"),
        (checks.configured({}, OperatorConfig()), CheckState.OK, "Gateway gateway/models, preset contour"),
        (
            checks.configured({}, OperatorConfig(routing=RoutingMode.SERVICE)),
            CheckState.OK,
            "routing by Service, Prometheus",
        ),
        (checks.operator_running([]), CheckState.FAILED, "helm install sluice"),
        (
            checks.operator_running([deployment(0)]),
            CheckState.FAILED,
            "kubectl logs deployment/sluice -n sluice-system",
        ),
        (checks.operator_running([deployment(2)]), CheckState.OK, "2 replicas of sluice-system/sluice ready"),
        (checks.keeps_up([], now=JANUARY), CheckState.OK, "the changes of 0 models"),
        (checks.keeps_up([model(generation=2, observed=2)], now=JANUARY + 99), CheckState.OK, "of 1 model"),
        (checks.keeps_up([model(generation=2, observed=1)], now=JANUARY + 20), CheckState.OK, "of 1 model"),
        (
            checks.keeps_up([model(generation=2, observed=1)], now=JANUARY + 90),
            CheckState.FAILED,
            "1 of 1 model have a change that it has not seen, the oldest (digits) for 1m30s",
        ),
        (checks.keeps_up([model(generation=1, observed=None)], now=JANUARY + 90), CheckState.FAILED, "not seen"),
        (checks.keeps_up([model(generation=1, observed=None, changed=None)], now=JANUARY), CheckState.OK, "1 model"),
        (checks.gateway_serves(None, REF), CheckState.FAILED, "install the Gateway API"),
        (checks.gateway_serves([], REF), CheckState.FAILED, "existing Gateways: none"),
        (
            checks.gateway_serves([gateway("False")], REF),
            CheckState.FAILED,
            "kubectl describe gateway models -n gateway",
        ),
        (checks.gateway_serves([gateway("True")], REF), CheckState.OK, "gateway/models is programmed"),
        (checks.preset_known("nope", PRESETS), CheckState.FAILED, "contour"),
        (checks.preset_known("contour", PRESETS), CheckState.OK, "were tested"),
        (
            checks.gateway_sampled(Failed("refused"), PRESETS["contour"], url=INSIDE, now=NOW),
            CheckState.FAILED,
            "port-forward -n monitoring service/prometheus 9090:9090 and pass --prometheus http://127.0.0.1:9090",
        ),
        (
            checks.gateway_sampled(Answered(()), PRESETS["contour"], url=INSIDE, now=NOW),
            CheckState.FAILED,
            "Status > Targets",
        ),
        (
            checks.gateway_sampled(samples(100), PRESETS["contour"], url=INSIDE, now=NOW),
            CheckState.FAILED,
            "15m00s old",
        ),
        (checks.gateway_sampled(samples(100, 990), PRESETS["contour"], url=INSIDE, now=NOW), CheckState.OK, "10s old"),
        (
            checks.gateway_told_apart(sources(GATEWAY_POD), OWN),
            CheckState.OK,
            "only those with namespace=projectcontour",
        ),
        (
            checks.gateway_told_apart(sources(GATEWAY_POD, FORGER), OWN),
            CheckState.WARNING,
            "others expose series of the same names: pod exporter in evil (job pods) ask whose they are",
        ),
        (
            checks.gateway_told_apart(sources(*({"job": f"j{n}"} for n in range(8))), OWN),
            CheckState.WARNING,
            "job j0, job j1, job j2, job j3, job j4 and 3 more",
        ),
        (
            checks.gateway_told_apart(sources(GATEWAY_POD, FORGER), {}),
            CheckState.WARNING,
            "exposed by pod envoy-1 in projectcontour (job envoy) and pod exporter in evil (job pods) set",
        ),
        (
            checks.gateway_told_apart(Failed("refused"), {}),
            CheckState.WARNING,
            "in any namespace set config.gatewaySeries",
        ),
        (checks.gateway_told_apart(Failed("refused"), OWN), CheckState.SKIPPED, "refused"),
        (checks.drained(Failed("refused"), drain_seconds=30, unit_millis=1.0), CheckState.SKIPPED, "refused"),
        (drained(30), CheckState.SKIPPED, "no answer in the last hour"),
        (drained(30, le10000=0.0, all=0.0), CheckState.SKIPPED, "no answer in the last hour"),
        (
            drained(30, le10000=900.2, le60000=900.2, all=900.2),
            CheckState.OK,
            "900 answers in the last hour took at most 10",
        ),
        (
            drained(30, le10000=7.0, le60000=9.0, all=9.0),
            CheckState.OK,
            "the buckets do not tell which took more than 30 s",
        ),
        (drained(30, le10000=7.0, all=9.0), CheckState.OK, "do not tell"),
        (
            drained(60, le10000=7.0, le60000=905.6, le120000=920.1, all=920.1),
            CheckState.WARNING,
            "14 of 920 answers in the last hour took more than 60 s; where a pod is removed, they are cut after 60 s "
            "set spec.drainSeconds to 120,",
        ),
        (
            drained(60, le60000=1.0, all=2.0),
            CheckState.WARNING,
            "set spec.drainSeconds to what the longest answer takes",
        ),
        (checks.prometheus_answers(Failed("refused"), url=INSIDE), CheckState.FAILED, "9090:9090"),
        (checks.prometheus_answers(Answered(()), url=INSIDE), CheckState.FAILED, "scrapes nothing"),
        (checks.prometheus_answers(samples(1), url=INSIDE), CheckState.OK, "scrapes 1 target"),
        (checks.WITHOUT_GATEWAY, CheckState.OK, "docs/without-a-gateway.md"),
        (checks.scraped_as_said(samples(1), policies(5)), CheckState.SKIPPED, "too few samples"),
        (checks.scraped_as_said(Failed("away"), policies(5)), CheckState.SKIPPED, "too few samples"),
        (checks.scraped_as_said(samples(1, 6, 11), policies(5)), CheckState.OK, "every 5 s"),
        (checks.scraped_as_said(samples(1, 31, 61), policies(5)), CheckState.WARNING, "set scrapeIntervalSeconds: 30"),
        (
            checks.policy_exists(policies(5), "default", namespace="shop"),
            CheckState.OK,
            "kubectl sluice calibrate NAME -n shop tries it",
        ),
        (checks.policy_exists(policies(5), "strict", namespace="shop"), CheckState.FAILED, "there are: default"),
        (checks.runtimes_exist([]), CheckState.FAILED, "helm upgrade"),
        (checks.runtimes_exist([runtime("onnx", "triton"), runtime("onnx")]), CheckState.OK, "formats: onnx, triton"),
        (checks.allowed("reading", "alice", [], "ask", needed=True), CheckState.OK, "alice has all permissions"),
        (checks.allowed("reading", "alice", ["list pods"], "ask", needed=True), CheckState.FAILED, "may not list pods"),
        (checks.allowed("steering", "alice", ["patch x"], "ask", needed=False), CheckState.WARNING, "may not patch x"),
    ],
)
def test_checks(check: Check, state: CheckState, said: str) -> None:
    assert check.state is state
    assert said in f"{check.finding} {check.remedy}"
    assert bool(check.remedy) is (state in (CheckState.WARNING, CheckState.FAILED))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9090", "https://prometheus.example.com", "http://prometheus:9090"])
def test_only_an_address_of_a_service_is_forwarded(url: str) -> None:
    assert checks.reached(url) == "from outside the cluster, pass an address with --prometheus"


def test_a_service_is_forwarded_from_its_own_port() -> None:
    assert "-n shop service/metrics 9090:80 " in checks.reached("http://metrics.shop.svc.cluster.local")
