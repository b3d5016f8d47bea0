"""Two simultaneous releases for the last devices: neither may wait for what the other holds while it waits."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import naming
from tests.simulation import test_abtest
from tests.simulation.test_capacity import DeviceCluster, spec
from tests.support.simulated import scenarios
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once

MODELS = ("one", "two")


class FairCluster(DeviceCluster):
    """Its scheduler takes one pod of each model in turn."""

    def pods(self) -> list[dict[str, Any]]:
        turns: dict[str, int] = {}
        order: list[tuple[int, int, dict[str, Any]]] = []
        for pod in super().pods():
            model = pod["metadata"]["labels"][naming.LABEL_OWNER]
            turns[model] = turns.get(model, 0) + 1
            order.append((turns[model], len(order), pod))
        return [pod for _, _, pod in sorted(order, key=lambda entry: entry[:2])]

    def _place(self, pod: dict[str, Any]) -> None:
        super()._place(pod)
        if not pod["spec"].get("nodeName"):
            refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no device"}
            pod["status"]["conditions"].append(refused)


@made_once
def serving(wanted: dict[str, Any], *, devices: int) -> DeviceCluster:
    """Two models that serve, on one node."""
    cluster = FairCluster(behaviours=dict(scenarios.BEHAVIOURS), requests_per_second=40, devices=devices)
    for shared in (scenarios.policy(maximumRequestsAtRisk=0), scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    ask(cluster, V1, wanted)
    run(cluster, 30)
    assert all(cluster.condition("Ready", name)["status"] == "True" for name in MODELS)
    return cluster


def ask(cluster: DeviceCluster, uri: str, wanted: dict[str, Any]) -> None:
    for name in MODELS:
        cluster.user_applies(scenarios.manifest(uri, name=name, **wanted))


def run(cluster: DeviceCluster, seconds: int) -> None:
    """Both decide on the same world before either writes, the worst case; then each looks at its own time."""
    for second in range(seconds):
        cluster.tick()
        plans = [cluster.plan(name) for name in MODELS] if second < 5 else []
        for write in (write for plan in plans for write in plan.writes):
            cluster.apply(write)
        for index, name in enumerate(MODELS if second >= 5 else ()):
            if (second + 2 * index) % 5 == 0 or _wakes(cluster, name):
                cluster.reconcile(name)


def _wakes(cluster: DeviceCluster, name: str) -> bool:
    """A release that has its pods is looked at whenever one of its objects changes."""
    return bool(cluster.rollouts_of(name)) and cluster.rollouts_of(name)[-1].status.step > 0


MORE_CASES = ((2, 2), (3, 1), (1, 2), (1, 3), (2, 1), (2, 3), (3, 2), (3, 3))


def ended(cluster: DeviceCluster) -> list[Outcome | None]:
    return [cluster.rollouts_of(name)[-1].status.outcome for name in MODELS]


@pytest.mark.parametrize(
    ("replicas", "free"),
    [(1, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CASES)],
)
def test_two_canaries_end(replicas: int, free: int) -> None:
    wanted = spec("Auto", replicas)
    cluster = serving(wanted, devices=2 * replicas + free)
    ask(cluster, V2, wanted)
    run(cluster, 900)
    assert ended(cluster) == [Outcome.PROMOTED] * 2
    assert cluster.lost == 0


@pytest.mark.parametrize("free", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_two_previews_that_need_all_of_their_pods_end(free: int) -> None:
    wanted = spec("Auto", 2, "BlueGreen", blueGreen={"previewSeconds": 10})
    cluster = serving(wanted, devices=4 + free)
    ask(cluster, V2, wanted)
    run(cluster, 900)
    assert ended(cluster) == [Outcome.PROMOTED] * 2
    assert cluster.lost == 0


def test_two_tests_whose_arms_need_all_of_their_pods_do_not_wait_for_each_other() -> None:
    wanted = spec("Auto", 1)
    cluster = serving(wanted, devices=4)
    arms = (("b", V2, 20), ("c", test_abtest.THIRD, 20))
    ask(cluster, V1, {**wanted, "rollout": test_abtest.rollout(*arms)})
    run(cluster, 90)
    assert sorted(cluster.rollouts_of(name)[-1].status.step for name in MODELS) == [0, 1]
