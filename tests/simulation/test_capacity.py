"""Whole rollouts with scarce devices: the real engine, a scheduler that places pods, every law checked on every
reconcile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.decide import decide, prepare
from sluice_core.decide.prepare import Replies
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Plan
from sluice_core.parsing.worlds import InvalidSpec, parsed
from sluice_core.situation import devices
from sluice_judge import timestamps
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2
from tests.support.simulated.twins import made_once

GPU = "nvidia.com/gpu"
STARTING_SECONDS, ENDING_SECONDS = 3.0, 4.0


@dataclass
class DeviceCluster(Cluster):
    """One node with devices. Each pod holds one from its placement until it is gone."""

    devices: int = 4
    taken: int = 0
    """Devices held by others."""
    most: int = 0
    """The most that this model's pods ever held."""
    waited: list[str] = field(default_factory=list)
    """Pods that were ever Pending for lack of a device, by revision."""

    def pods(self) -> list[dict[str, Any]]:
        return self.of_kind("Pod")

    def held(self) -> int:
        return sum(devices.held(pod, GPU) for pod in self.pods() if pod["spec"].get("nodeName"))

    def run_pods(self) -> None:
        for pod in self.pods():
            if pod["metadata"].get("deletionTimestamp") and self.now >= pod["ends"]:
                del self.objects["Pod", pod["metadata"]["name"]]
        wanted = {d["metadata"]["name"]: d["spec"]["replicas"] for d in self.of_kind("Deployment")}
        revisions = {pod["metadata"]["labels"][naming.LABEL_REVISION] for pod in self.pods()} | wanted.keys()
        for revision in sorted(revisions):
            self._scale(revision, wanted.get(revision, 0))
        for pod in self.pods():
            self._place(pod)
        self.most = max(self.most, self.held())
        for revision in revisions:
            self._report(revision)
        for service in self.of_kind("Service"):
            self.set_endpoints(service)

    def _scale(self, revision: str, replicas: int) -> None:
        alive = [p for p in self._pods_of(revision) if not p["metadata"].get("deletionTimestamp")]
        # Like the ReplicaSet controller: first pods without a node, then those that are not ready.
        order = sorted(alive, key=lambda p: (bool(p["spec"].get("nodeName")), p["status"].get("phase") == "Running"))
        for pod in order[: max(0, len(alive) - replicas)]:
            pod["metadata"]["deletionTimestamp"] = timestamps.rfc3339(self.now)
            pod["ends"] = self.now + (ENDING_SECONDS if pod["spec"].get("nodeName") else 0)
        for _ in range(replicas - len(alive)):
            template = self.objects["Deployment", revision]["spec"]["template"]
            self.store(
                {
                    "kind": "Pod",
                    "metadata": {
                        "name": f"{revision}-{self.made + 1}",
                        "namespace": "default",
                        "labels": template["metadata"]["labels"],
                    },
                    "spec": template["spec"],
                    "status": {"phase": "Pending", "conditions": []},
                    "ready": 0.0,
                }
            )

    def _place(self, pod: dict[str, Any]) -> None:
        if not pod["spec"].get("nodeName"):
            if self.held() + self.taken < self.devices:
                pod["spec"]["nodeName"] = "node"
                pod["ready"] = self.now + STARTING_SECONDS
            else:
                self.waited.append(pod["metadata"]["labels"][naming.LABEL_REVISION])
        ready = bool(pod["ready"]) and self.now >= pod["ready"]
        pod["status"] = {
            "phase": "Running" if ready else "Pending",
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }

    def _report(self, revision: str) -> None:
        alive = [p for p in self._pods_of(revision) if not p["metadata"].get("deletionTimestamp")]
        self.ready[revision] = sum(pod["status"]["phase"] == "Running" for pod in alive)
        if ("Deployment", revision) in self.objects:
            status = {"replicas": len(alive), "readyReplicas": self.ready[revision]}
            self.objects["Deployment", revision]["status"] = status

    def _pods_of(self, revision: str) -> list[dict[str, Any]]:
        return [pod for pod in self.pods() if pod["metadata"]["labels"][naming.LABEL_REVISION] == revision]

    def plan(self, name: str = "digits") -> Plan:
        snapshot = parsed(self.world(name))
        assert not isinstance(snapshot, InvalidSpec)
        prepared = prepare.prepare(snapshot)
        asked = prepared.inquiry
        node = {"metadata": {"name": "node"}, "status": {"allocatable": {GPU: str(self.devices - self.taken)}}}
        found = devices.count(asked.devices, [node], self.pods(), []) if asked.devices is not None else None
        replies = Replies(metrics=self.answer(asked.metrics), devices=found)
        return decide.decide(prepared, prepare.read(prepared, replies))


TWO_STEPS = {"steps": [{"weight": 50}, {"weight": 100}]}


def spec(capacity: str, replicas: int, strategy: str = "Canary", **settings: Any) -> dict[str, Any]:
    """Two steps, so that a proof takes seconds."""
    if strategy == "Canary":
        settings = {"canary": TWO_STEPS, **settings}
    return {
        "replicas": replicas,
        "accelerator": {"resource": GPU},
        "drainSeconds": 2,
        "rollout": {"capacity": capacity, "strategy": strategy, **settings},
    }


@made_once
def serving(wanted: dict[str, Any], *, at_risk: int = 60, **settings: Any) -> DeviceCluster:
    """A cluster whose first version serves; with `at_risk` 0 no smaller step precedes the first."""
    cluster = DeviceCluster(behaviours=dict(scenarios.BEHAVIOURS), requests_per_second=40, **settings)
    for shared in (scenarios.policy(maximumRequestsAtRisk=at_risk), scenarios.RUNTIME, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    cluster.user_applies(scenarios.manifest(V1, **wanted))
    cluster.run(40, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    return cluster


def release(cluster: DeviceCluster, uri: str, wanted: dict[str, Any], watch: Callable[[], None] = lambda: None) -> None:
    """Runs until the release of `uri` has ended and its loser is gone."""
    before, laws = len(cluster.rollouts()), Laws(cluster)
    cluster.user_applies(scenarios.manifest(uri, **wanted))

    def ended() -> bool:
        watch()
        return len(cluster.rollouts()) > before and cluster.newest().status.outcome is not None

    cluster.run(1500, check=laws.check, until=ended)
    assert ended(), cluster.newest().status
    cluster.run(60, check=laws.check)


def replicas(cluster: DeviceCluster) -> list[int]:
    return [deployment["spec"]["replicas"] for deployment in cluster.of_kind("Deployment")]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_canary_that_shrinks_stable_needs_one_device_more(size: int) -> None:
    wanted = spec("ShrinkStable", size)
    cluster = serving(wanted, devices=2 * size + 2)
    release(cluster, V2, wanted)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert (cluster.most, replicas(cluster), cluster.waited, cluster.lost) == (size + 1, [size], [], 0)
    assert [step.permille for step in cluster.newest().status.steps][-2:] == [500, 1000], "each step is proven"


def test_a_first_step_that_needs_more_pods_than_there_is_room_for_begins_all_the_same() -> None:
    """Half of three replicas are two pods; one fits, and stable gives none before the first has some weight."""
    wanted = spec("Auto", 3)
    cluster = serving(wanted, devices=4, at_risk=0)
    release(cluster, V2, wanted)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert [step.permille for step in cluster.newest().status.steps] == [500, 1000]
    assert (cluster.most, replicas(cluster), cluster.waited, cluster.lost) == (4, [3], [], 0)


@pytest.mark.parametrize("size", [2, 3])
def test_auto_shrinks_where_there_is_no_room_for_two_sets(size: int) -> None:
    wanted = spec("Auto", size)
    cluster = serving(wanted, devices=size + 1)
    release(cluster, V2, wanted)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert (replicas(cluster), cluster.waited, cluster.lost) == ([size], [], 0)


def test_auto_surges_where_there_is_room() -> None:
    wanted = spec("Auto", 3)
    cluster = serving(wanted, devices=6)
    whole: list[bool] = []
    release(cluster, V2, wanted, lambda: whole.append(max(replicas(cluster)) == 3))
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert all(whole)
    assert cluster.waited == []


@pytest.mark.parametrize("capacity", ["Auto", "ShrinkStable"])
def test_a_bad_version_gives_the_devices_back(capacity: str) -> None:
    wanted = spec(capacity, 4)
    cluster = serving(wanted, devices=5)
    stable = cluster.newest().spec.target.revision
    release(cluster, FAILING, wanted)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert (replicas(cluster), cluster.ready[stable], cluster.most, cluster.lost) == ([4], 4, 5, 0)


def test_an_abort_in_the_bake_restores_stable_one_by_one() -> None:
    wanted = spec("ShrinkStable", 3)
    cluster = serving(wanted, devices=8)
    stable = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2, **wanted))
    laws = Laws(cluster)
    cluster.run(1000, check=laws.check, until=lambda: cluster.newest().status.permille == 1000)
    cluster.run(15, check=laws.check)
    assert cluster.ready[stable] == 1
    cluster.asks("Abort")
    reasons: set[str] = set()

    def listen() -> bool:
        reasons.update(condition["reason"] for condition in cluster.status()["conditions"])
        return False

    cluster.run(90, check=laws.check, until=listen)
    assert (cluster.weights(), cluster.ready[stable], cluster.most) == ({stable: 1000}, 3, 4)
    assert "RestoringStable" in reasons
    assert cluster.condition("CapacityAvailable")["status"] == "True"


def test_a_superseded_version_gives_its_devices_to_the_next_one() -> None:
    wanted = spec("ShrinkStable", 3)
    cluster = serving(wanted, devices=8)
    cluster.user_applies(scenarios.manifest(V2, **wanted))
    cluster.run(300, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 500)
    release(cluster, V1 + "-again", wanted)
    superseded, promoted = cluster.rollouts()[-2:]
    assert (superseded.status.outcome, promoted.status.outcome) == (Outcome.SUPERSEDED, Outcome.PROMOTED)
    assert (cluster.most, replicas(cluster), cluster.waited, cluster.lost) == (4, [3], [], 0)


def test_a_full_node_is_left_alone_until_a_device_is_free() -> None:
    wanted = spec("Auto", 2)
    cluster = serving(wanted, devices=4, taken=2)
    cluster.user_applies(scenarios.manifest(V2, **wanted))
    laws = Laws(cluster)
    cluster.run(120, check=laws.check)
    condition = cluster.condition("CapacityAvailable")
    assert (condition["status"], condition["reason"]) == ("False", "CapacityUnavailable")
    assert condition["message"] == f"needs 1 {GPU}; 0 free on 1 node"
    assert cluster.newest().status.reason == "CapacityUnavailable"
    assert (cluster.held(), cluster.waited) == (2, [])
    writes = len(cluster.writes)
    cluster.run(60, check=laws.check)
    assert len(cluster.writes) == writes, "waiting writes nothing"
    cluster.taken = 1
    cluster.run(1500, check=laws.check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.waited == []


def test_recreate_needs_no_device_more() -> None:
    wanted = spec("Auto", 2, "Recreate")
    cluster = serving(wanted, devices=2)
    release(cluster, V2, wanted)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert (cluster.most, replicas(cluster)) == (2, [2])
    assert cluster.lost > 0, "Recreate has a downtime, and does not hide it"


def test_a_preview_waits_for_all_of_its_pods() -> None:
    wanted = spec("Auto", 2, "BlueGreen", blueGreen={"previewSeconds": 10})
    cluster = serving(wanted, devices=4, taken=1)
    cluster.user_applies(scenarios.manifest(V2, **wanted))
    laws = Laws(cluster)
    cluster.run(60, check=laws.check)
    assert cluster.condition("CapacityAvailable")["message"] == f"needs 2 {GPU}; 1 free on 1 node"
    assert cluster.held() == 2
    cluster.taken = 0
    cluster.run(600, check=laws.check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert (cluster.waited, cluster.lost) == ([], 0)
