"""A first version whose ServingRuntime has a typo: it was never ready, so it restarts once that is corrected."""

from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2

GOOD, TYPO, OTHER = "triton", "tritno", "triton:newer"
WAITING: Final = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "tritno"'}


class Pulling(Cluster):
    """A cluster whose kubelet makes a pod for each Deployment, and knows images: no pod with a typo is ever ready."""

    def behaviour(self, revision: str) -> Behaviour:
        pinned = self.objects.get(("ControllerRevision", revision))
        image = pinned["data"]["template"]["spec"]["containers"][0]["image"] if pinned else GOOD
        return Behaviour(ready=image != TYPO)

    def run_pods(self) -> None:
        super().run_pods()
        for (kind, name), deployment in list(self.objects.items()):
            if kind == "Deployment":
                self.objects["Pod", f"{name}-pod"] = self._pod(name, deployment)
            elif kind == "Pod" and ("Deployment", name.removesuffix("-pod")) not in self.objects:
                del self.objects[kind, name]

    def _pod(self, name: str, deployment: dict[str, Any]) -> dict[str, Any]:
        ready = deployment["status"].get("readyReplicas", 0) > 0
        waits = not self.behaviour(name).ready
        template = deployment["spec"]["template"]
        return {
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-pod",
                "namespace": "default",
                "uid": f"uid-of-{name}-pod",
                "labels": deployment["metadata"]["labels"] | template["metadata"]["labels"],
            },
            "spec": template["spec"],
            "status": {
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": [{"name": "server", "state": {"waiting": WAITING} if waits else {}}],
            },
        }


def pulling(image: str) -> Pulling:
    cluster = Pulling()
    runtime = {**scenarios.RUNTIME, "spec": {**scenarios.RUNTIME["spec"]}}
    for shared in (scenarios.policy(), runtime, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    correct(cluster, image)
    cluster.user_applies(scenarios.manifest(V1))
    return cluster


def correct(cluster: Cluster, image: str) -> None:
    spec = cluster.shared["ServingRuntime", "triton"]["spec"]
    spec["containers"] = [{**spec["containers"][0], "image": image}]


def run(cluster: Cluster, seconds: float) -> None:
    cluster.run(seconds, check=Laws(cluster).check)


def images(cluster: Cluster) -> list[str]:
    """The running images, by Deployment."""
    return [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in cluster.of_kind("Deployment")]


def test_it_serves_once_the_runtime_is_corrected() -> None:
    cluster = pulling(TYPO)
    run(cluster, 60)
    assert images(cluster) == [TYPO]
    assert cluster.condition("Ready")["reason"] == "ImagePullBackOff"
    correct(cluster, GOOD)
    run(cluster, 60)
    assert images(cluster) == [GOOD]
    first, second = cluster.rollouts()
    assert (first.status.outcome, first.status.reason) == (Outcome.SUPERSEDED, "Superseded")
    assert "was never ready" in first.status.message
    assert (second.status.outcome, second.status.reason, second.spec.source) == (Outcome.PROMOTED, "FirstVersion", None)
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.plan().writes == ()


@pytest.mark.parametrize("kill_after", range(12))
def test_killed_between_any_two_writes_it_comes_to_the_same(kill_after: int) -> None:
    cluster = pulling(TYPO)
    run(cluster, 40)
    correct(cluster, GOOD)
    cluster.kill_after = kill_after
    try:
        run(cluster, 60)
    except OperatorKilled:
        run(cluster, 60)
    assert images(cluster) == [GOOD]
    assert [each.status.outcome for each in cluster.rollouts()] == [Outcome.SUPERSEDED, Outcome.PROMOTED]


def test_a_typo_that_comes_back_is_what_runs() -> None:
    """Whatever the runtime says; nothing alternates."""
    cluster = pulling(TYPO)
    run(cluster, 40)
    correct(cluster, "tritno2")
    cluster.behaviour = lambda _: Behaviour(ready=False)  # type: ignore[method-assign]
    run(cluster, 40)
    correct(cluster, TYPO)
    run(cluster, 60)
    assert images(cluster) == [TYPO]
    assert len(cluster.rollouts()) == 3
    assert [revision["metadata"]["name"] for revision in cluster.of_kind("Deployment")] == [
        cluster.rollouts()[0].spec.target.revision
    ]
    assert cluster.plan().writes == ()


def test_one_that_loads_is_left_alone() -> None:
    """Nothing is known to be wrong with it yet."""
    cluster = scenarios.make_cluster()
    cluster.behaviours[V1] = Behaviour(ready=False)
    run(cluster, 20)
    correct(cluster, OTHER)
    run(cluster, 40)
    assert images(cluster) == [GOOD]
    assert len(cluster.rollouts()) == 1


def test_one_that_was_ready_once_is_left_alone() -> None:
    """It is the stable version: an edit of its runtime restarts nothing, whatever is wrong with its pods now."""
    cluster = pulling(GOOD)
    run(cluster, 20)
    name = cluster.newest().spec.target.revision
    cluster.behaviour = lambda _: Behaviour(ready=False)  # type: ignore[method-assign]
    cluster.crash(name)
    correct(cluster, OTHER)
    run(cluster, 40)
    assert images(cluster) == [GOOD]
    assert cluster.condition("RuntimeCurrent")["reason"] == "NewerRuntime"


def test_one_that_was_given_up_before_it_was_ready_begins_with_the_runtime_of_today() -> None:
    """Another model was requested meanwhile, and then this one again."""
    cluster = pulling(TYPO)
    run(cluster, 20)
    cluster.user_applies(scenarios.manifest(V2))
    run(cluster, 20)
    correct(cluster, GOOD)
    cluster.user_applies(scenarios.manifest(V1))
    run(cluster, 40)
    assert images(cluster) == [GOOD]
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_a_runtime_that_is_broken_now_changes_nothing() -> None:
    cluster = pulling(TYPO)
    run(cluster, 20)
    correct(cluster, "{{nonsense}}")
    run(cluster, 40)
    assert images(cluster) == [TYPO]
    assert len(cluster.rollouts()) == 1


def test_a_candidate_keeps_what_was_pinned() -> None:
    """Its stable version serves, and both are compared on the same runtime."""
    cluster = pulling(GOOD)
    run(cluster, 20)
    correct(cluster, TYPO)
    cluster.user_applies(scenarios.manifest(V2))
    run(cluster, 30)
    correct(cluster, GOOD)
    run(cluster, 30)
    assert sorted(images(cluster)) == sorted([GOOD, TYPO])
    assert cluster.condition("Ready")["status"] == "True"
