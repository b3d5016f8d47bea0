"""A release with few pods beside new pods of the stable version, under 100 requests a second."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from demo.cluster import Cluster
from demo.load import LoadClient
from tests.e2e.conftest import FAST_POLICY
from tests.support.live.scene import Scene, uri, wait_until

NAME: Final = "digits"
BESIDE: Final = "e2e-baseline"
PODS: Final = 3
LITTLE: Final = {"requests": {"cpu": "10m"}}

pytestmark = [pytest.mark.usefixtures("no_request_is_lost")]


@pytest.fixture(scope="module")
def policy(lab: Cluster) -> Iterator[str]:
    errors, *_ = FAST_POLICY["spec"]["objectives"]
    latency: dict[str, Any] = {"name": "latency", "latency": {"source": "Gateway", "relativeTolerance": "100%"}}
    spec = {
        **FAST_POLICY["spec"],
        "steps": [{"weight": 20}, {"weight": 100}],
        "objectives": [errors, latency],
        "newPodSeconds": 2,
        "baseline": "FreshPods",
    }
    lab.tools.apply(yaml.safe_dump({**FAST_POLICY, "metadata": {"name": BESIDE}, "spec": spec}))
    yield BESIDE
    lab.tools.kubectl("delete", "rolloutpolicies.sluice.dev", BESIDE)


@pytest.fixture(scope="module")
def traffic(scene: Scene, policy: str, connect: Callable[..., LoadClient]) -> LoadClient:
    """100 requests a second to three pods."""
    scene.deploy(NAME, "2", replicas=PODS, resources=LITTLE, rollout={"policyRef": {"name": policy}})
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME))
    wait_until(lambda: client.counts().total.right > 200, "it answers")
    return client


def test_new_pods_of_stable_get_the_candidates_share_and_leave(scene: Scene, traffic: LoadClient) -> None:
    name = scene.begun(NAME, lambda: scene.patch(NAME, {"model": {"uri": uri("2b")}}), "2b")
    spec = scene.rollout(name)["spec"]
    candidate, baseline = spec["to"]["revision"], spec["baselineRevision"]
    wait_until(lambda: weights(scene).get(baseline) == weights(scene).get(candidate) == 200, "both have 20 %")
    assert len(pods_of(scene, baseline)) == 1
    status = scene.wait_outcome(name)
    assert (status["outcome"], [step["permille"] for step in status["steps"]]) == ("Promoted", [200, 1000])
    assert traffic.counts().of(baseline).requests > 0
    assert traffic.counts().of(baseline).failed == 0
    wait_until(lambda: not left(scene, baseline), "nothing is left of the baseline")
    assert set(weights(scene)) <= {candidate, spec["from"]["revision"]}


def weights(scene: Scene) -> dict[str, int]:
    [rule, *_] = scene.tools.get("httproutes.gateway.networking.k8s.io", NAME, scene.where)["spec"]["rules"]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def pods_of(scene: Scene, revision: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/revision={revision}")[
        "items"
    ]
    return found


def left(scene: Scene, revision: str) -> list[str]:
    kinds = "deployments,services,controllerrevisions,pods"
    items = scene.tools.get(kinds, scene.where, f"--selector=sluice.dev/revision={revision}")["items"]
    return [f"{item['kind']} {item['metadata']['name']}" for item in items]
