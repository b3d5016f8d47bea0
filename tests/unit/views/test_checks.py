"""What doctor finds, and the remedy that it names."""

from typing import Any

import pytest

from sluice.adapters.gateways import PRESETS
from sluice.api.config import OperatorConfig, Routing
from sluice.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice.api.v1alpha1.routing import GatewayRef
from sluice.core.judge.model import Answer, Answered, Failed, Series
from sluice.views import checks
from sluice.views.checks import Check, State

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


def policies(seconds: int) -> dict[str, RolloutPolicySpec]:
    return {"default": RolloutPolicySpec(scrape_interval_seconds=seconds)}


def runtime(*formats: str) -> dict[str, Any]:
    return {"spec": {"formats": [{"name": name} for name in formats]}}


@pytest.mark.parametrize(
    ("check", "state", "said"),
    [
        (checks.configured(None, OperatorConfig()), State.SKIPPED, "the defaults are assumed"),
        (checks.configured({}, OperatorConfig()), State.OK, "Gateway gateway/models, preset contour"),
        (checks.configured({}, OperatorConfig(routing=Routing.SERVICE)), State.OK, "routing by Service, Prometheus"),
        (checks.operator_running([]), State.FAILED, "helm install sluice"),
        (checks.operator_running([deployment(0)]), State.FAILED, "kubectl logs -n sluice-system deployment/sluice"),
        (checks.operator_running([deployment(2)]), State.OK, "2 replicas of sluice-system/sluice ready"),
        (checks.gateway_serves(None, REF), State.FAILED, "install the Gateway API"),
        (checks.gateway_serves([], REF), State.FAILED, "Gateways that there are: none"),
        (checks.gateway_serves([gateway("False")], REF), State.FAILED, "kubectl describe gateway -n gateway models"),
        (checks.gateway_serves([gateway("True")], REF), State.OK, "gateway/models is programmed"),
        (checks.preset_known("nope", PRESETS), State.FAILED, "contour"),
        (checks.preset_known("contour", PRESETS), State.OK, "were tested"),
        (
            checks.gateway_sampled(Failed("refused"), PRESETS["contour"], url=INSIDE, now=NOW),
            State.FAILED,
            "port-forward -n monitoring service/prometheus 9090:9090 and give --prometheus http://127.0.0.1:9090",
        ),
        (
            checks.gateway_sampled(Answered(()), PRESETS["contour"], url=INSIDE, now=NOW),
            State.FAILED,
            "Status > Targets",
        ),
        (checks.gateway_sampled(samples(100), PRESETS["contour"], url=INSIDE, now=NOW), State.FAILED, "15m00s old"),
        (checks.gateway_sampled(samples(100, 990), PRESETS["contour"], url=INSIDE, now=NOW), State.OK, "10s old"),
        (checks.prometheus_answers(Failed("refused"), url=INSIDE), State.FAILED, "9090:9090"),
        (checks.prometheus_answers(Answered(()), url=INSIDE), State.FAILED, "scrapes nothing"),
        (checks.prometheus_answers(samples(1), url=INSIDE), State.OK, "scrapes 1 target"),
        (checks.WITHOUT_GATEWAY, State.OK, "docs/without-a-gateway.md"),
        (checks.scraped_as_said(samples(1), policies(5)), State.SKIPPED, "too few samples"),
        (checks.scraped_as_said(Failed("away"), policies(5)), State.SKIPPED, "too few samples"),
        (checks.scraped_as_said(samples(1, 6, 11), policies(5)), State.OK, "every 5 s"),
        (checks.scraped_as_said(samples(1, 31, 61), policies(5)), State.WARNING, "set scrapeIntervalSeconds: 30"),
        (checks.policy_exists(policies(5), "default"), State.OK, "is there"),
        (checks.policy_exists(policies(5), "strict"), State.FAILED, "there are: default"),
        (checks.runtimes_exist([]), State.FAILED, "helm upgrade"),
        (checks.runtimes_exist([runtime("onnx", "triton"), runtime("onnx")]), State.OK, "formats: onnx, triton"),
        (checks.allowed("reading", "alice", [], "ask", needed=True), State.OK, "alice may do"),
        (checks.allowed("reading", "alice", ["list pods"], "ask", needed=True), State.FAILED, "may not list pods"),
        (checks.allowed("steering", "alice", ["patch x"], "ask", needed=False), State.WARNING, "may not patch x"),
    ],
)
def test_checks(check: Check, state: State, said: str) -> None:
    assert check.state is state
    assert said in f"{check.finding} {check.remedy}"
    assert bool(check.remedy) is (state in (State.WARNING, State.FAILED))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9090", "https://prometheus.example.com", "http://prometheus:9090"])
def test_only_an_address_of_a_service_is_forwarded(url: str) -> None:
    assert checks.reached(url) == "from outside of the cluster give an address with --prometheus"


def test_a_service_is_forwarded_from_its_own_port() -> None:
    assert "-n shop service/metrics 9090:80 " in checks.reached("http://metrics.shop.svc.cluster.local")
