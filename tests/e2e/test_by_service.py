"""Without a gateway: one Service over the pods of both versions, judged by the model servers' own counters."""

from collections.abc import Iterator
from typing import Final

import pytest

from demo.cluster import Cluster
from demo.load import LoadClient, Target
from tests.e2e.conftest import FAST_POLICY, upgrade
from tests.support.live.load import PatientAsker
from tests.support.live.scene import Object, Scene, wait_until

NAME: Final = "inside"
POLICY: Final = "e2e-by-service"
RATE: Final = 60
WHO: Final = 'namespace="{{namespace}}",revision="{{revision}}"'
ERRORS: Final[Object] = {
    "source": "Query",
    "total": f'{{__name__=~"nv_inference_request_(success|failure)",{WHO}}}',
    "failures": f"nv_inference_request_failure{{{WHO}}}",
    "ignoreBelow": "2%",
}
SPEC: Final[Object] = {
    **FAST_POLICY["spec"],
    "steps": [{"weight": 33}, {"weight": 100}],
    "objectives": [{"name": "errors", "failureRatio": ERRORS}],
}
RULES: Final[Object] = {**FAST_POLICY, "metadata": {"name": POLICY}, "spec": SPEC}


pytestmark = [pytest.mark.disturbs]


def route_by(cluster: Cluster, routing: str) -> None:
    upgrade(cluster, f"--set-string=config.routing={routing}")


@pytest.fixture(scope="module")
def inside(lab: Cluster, scene: Scene) -> Iterator[Scene]:
    """The operator without a gateway, and a model with two pods."""
    route_by(lab, "Service")
    scene.apply({**RULES, "metadata": {"name": POLICY}})
    scene.deploy(NAME, "1", replicas=2, rollout={"policyRef": {"name": POLICY}})
    scene.wait_ready(NAME)
    yield scene
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", NAME, scene.where, "--timeout=240s")
    scene.tools.kubectl("delete", "rolloutpolicies.sluice.dev", POLICY)
    route_by(lab, "Gateway")


@pytest.fixture(scope="module")
def traffic(inside: Scene) -> Iterator[LoadClient]:
    """Each request on a connection of its own, to the address of the Service."""
    service = inside.tools.get("service", NAME, inside.where)
    url = inside.deployment(NAME)["status"]["url"]
    target = Target(f"http://{service['spec']['clusterIP']}", url.removeprefix("http://"), NAME)
    with LoadClient(target, asker=PatientAsker(target), rate=RATE, connect_anew=True) as client:
        wait_until(lambda: client.counts().total.right > 100, "the model answers")
        yield client


def selected(scene: Scene) -> str:
    """The one revision that the Service leads to, or empty for every pod of the model."""
    return str(scene.tools.get("service", NAME, scene.where)["spec"]["selector"].get("sluice.dev/revision", ""))


@pytest.mark.slow
def test_a_version_gets_a_share_by_its_pods_and_then_everything(inside: Scene, traffic: LoadClient) -> None:
    old = inside.deployment(NAME)["status"]["stable"]["revision"]
    assert selected(inside) == old
    assert not inside.tools.get("httproutes", inside.where)["items"]
    lost = traffic.counts().total.lost
    rollout = inside.release(NAME, "2")
    new = inside.rollout(rollout)["spec"]["to"]["revision"]
    inside.wait_weight(rollout)
    wait_until(lambda: not selected(inside), "both versions are behind the Service")
    told = inside.condition(NAME, "RoutesProgrammed")
    assert (told["status"], told["reason"]) == ("True", "Approximate")
    status = inside.wait_outcome(rollout)
    assert status["outcome"] == "Promoted", status["message"]
    assert selected(inside) == new
    assert traffic.counts().total.lost == lost
    step = status["steps"][0]
    share = step["candidateRequests"] / (step["candidateRequests"] + step["stableRequests"])
    assert 0.2 < share < 0.45, step


def test_a_failing_version_is_taken_out(inside: Scene, traffic: LoadClient) -> None:
    stable = selected(inside)
    before = traffic.counts().total
    rollout = inside.release(NAME, "failing")
    status = inside.wait_outcome(rollout)
    assert status["outcome"] == "RolledBack", status["message"]
    assert "errors" in status["message"]
    wait_until(lambda: selected(inside) == stable, "the Service leads to the stable version alone")
    after = traffic.counts().total
    assert after.failed > before.failed, "its own errors are what speaks against it"
    assert after.lost == before.lost


def test_what_needs_a_gateway_is_refused(inside: Scene) -> None:
    inside.patch(NAME, {"rollout": {"strategy": "Shadow", "shadow": {"percent": 100}}})
    inside.ask_for(NAME, "2b")
    stalled = inside.wait_condition(NAME, "Stalled", lambda found: found["reason"] == "GatewayNeeded", "it is told")
    assert stalled["status"] == "True"
    assert "spec.rollout.shadow" in stalled["message"]
    assert inside.condition(NAME, "Ready")["status"] == "True"
