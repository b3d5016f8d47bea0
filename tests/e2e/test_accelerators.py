"""Releases on a node with few devices: a device plugin of the lab's at the real kubelet, and MIG slices on fake nodes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from demo.load import LoadClient
from lab import devices, kwok
from sluice_core.situation.devices import held
from tests.e2e.conftest import GPU_PROFILE
from tests.support.live.scene import Object, Scene, wait_until

GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
PROFILE = GPU_PROFILE["name"]
GPUS = 4
LITTLE = {"requests": {"cpu": "20m", "memory": "64Mi"}}


@pytest.fixture(scope="module")
def gpus(scene: Scene) -> Iterator[Scene]:
    """Four devices on the node; the operator has a profile for them."""
    devices.ensure(GPUS)
    yield scene
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", "--all", scene.where, "--timeout=240s")
    devices.ensure(0)


@dataclass(slots=True)
class Held:
    """Devices that the pods of a namespace have, and the most that they ever had."""

    scene: Scene
    resource: str = GPU
    most: int = 0

    def now(self) -> int:
        """Devices of pods that have a node; ending pods have theirs until they are gone."""
        pods = self.scene.tools.get("pods", self.scene.where)["items"]
        count = sum(held(pod, self.resource) for pod in pods if pod["spec"].get("nodeName"))
        self.most = max(self.most, count)
        return count

    def until(self, look: Callable[[], Any], what: str, *, seconds: float = 0) -> Any:
        """Waits, and counts all the while."""

        def counted() -> Any:
            self.now()
            return look()

        return wait_until(counted, what, seconds=seconds)

    def until_ended(self, rollout: str, seconds: float = 240) -> Object:
        """The status of the ended release."""
        found: Object = self.until(
            lambda: status if (status := self.scene.rollout_status(rollout)).get("outcome") else None,
            f"{rollout} ends",
            seconds=seconds,
        )
        return found


def hog(scene: Scene, name: str, resource: str, count: int) -> None:
    """A pod of somebody else that has devices."""
    server = {
        "name": "hog",
        "image": "localhost/sluice/operator:dev",
        "command": ["python3", "-c", "import signal; signal.sigwait([signal.SIGTERM])"],
        "resources": {"limits": {resource: str(count)}},
    }
    spec = {"containers": [server], "terminationGracePeriodSeconds": 1}
    scene.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    wait_until(lambda: scene.tools.get("pod", name, scene.where)["spec"].get("nodeName"), f"{name} has devices")


def serve(scene: Scene, connect: Callable[..., LoadClient], name: str, replicas: int, **rollout: Any) -> LoadClient:
    """A model with one device for each pod, and requests to it."""
    scene.deploy(
        name, "2", replicas=replicas, accelerator={"profile": PROFILE}, resources=LITTLE,
        rollout={"canary": {"steps": [{"weight": 50}, {"weight": 100}]}, **rollout},
    )  # fmt: skip
    scene.wait_ready(name)
    client = scene.serving(name, connect(name))
    wait_until(lambda: client.counts().total.right > 200, f"{name} answers")
    return client


def pods_of(scene: Scene, rollout: str) -> list[Object]:
    revision = scene.rollout(rollout)["spec"]["to"]["revision"]
    found: list[Object] = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/revision={revision}")["items"]
    return found


def test_a_release_waits_for_devices_and_goes_on(gpus: Scene, connect: Callable[..., LoadClient]) -> None:
    hog(gpus, "hog", GPU, GPUS - 1)
    client = serve(gpus, connect, "waiting", replicas=1)
    rollout = gpus.release("waiting", "2b")
    condition = gpus.wait_condition(
        "waiting",
        "CapacityAvailable",
        lambda found: found.get("status") == "False",
        "CapacityAvailable is False",
    )
    assert condition["reason"] == "CapacityUnavailable"
    assert condition["message"] == f"needs 1 {GPU} with profile {PROFILE}; 0 free on 1 node"
    assert pods_of(gpus, rollout) == []
    gpus.tools.kubectl("delete", "pod", "hog", gpus.where)
    assert gpus.wait_outcome(rollout)["outcome"] == "Promoted"
    assert gpus.condition("waiting", "CapacityAvailable")["status"] == "True"
    assert client.stop().total.lost == 0
    gpus.tools.kubectl("delete", "modeldeployments.sluice.dev", "waiting", gpus.where)
    wait_until(lambda: Held(gpus).now() == 0, "its devices are free")


@pytest.mark.slow
def test_a_canary_that_shrinks_stable_needs_one_device_more(gpus: Scene, connect: Callable[..., LoadClient]) -> None:
    client = serve(gpus, connect, "shrinking", replicas=2, capacity="ShrinkStable")
    counted = Held(gpus)
    rollout = gpus.release("shrinking", "2c", steps=(50, 100))
    assert counted.until_ended(rollout)["outcome"] == "Promoted"
    counted.until(lambda: counted.now() == 2, "the old version's devices are free")
    assert counted.most == 3, "one more than the two at rest, with four on the node"
    bad = gpus.release("shrinking", "failing", steps=(50, 100))
    assert counted.until_ended(bad)["outcome"] == "RolledBack"
    counted.until(lambda: counted.now() == 2 and not gpus.deployment("shrinking")["status"].get("candidate"),
                  "stable is whole again")  # fmt: skip
    assert counted.most == 3
    assert client.stop().total.lost == 0


@pytest.fixture
def slices(scene: Scene) -> Iterator[Scene]:
    """Two fake nodes with two MIG slices each."""
    kwok.ensure(2)
    for name in scene.tools.kubectl("get", "nodes", f"--selector={kwok.LABEL}", "--output=name").split():
        room = {"capacity": {MIG: "2"}, "allocatable": {MIG: "2"}}
        scene.tools.kubectl(
            "patch", name, "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': room})}"
        )
    yield scene
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", "--all", scene.where, "--timeout=240s")
    wait_until(lambda: Held(scene, MIG).now() == 0, "the fake nodes are empty")
    kwok.ensure(0)


def scaled_down(scene: Scene, deployment: str) -> set[str]:
    """From how many pods to how many, by what Kubernetes told of it."""
    about = f"--field-selector=involvedObject.kind=Deployment,involvedObject.name={deployment}"
    messages = [event["message"] for event in scene.tools.get("events", scene.where, about)["items"]]
    return {message.rpartition(" from ")[2] for message in messages if message.startswith("Scaled down ")}


@pytest.mark.slow
def test_slices_on_several_nodes_are_handed_over_one_by_one(slices: Scene) -> None:
    """Nothing runs behind these pods, so a person promotes; the devices alone decide how fast it goes."""
    fake = {
        "replicas": 3,
        "accelerator": {"resource": MIG},
        "resources": LITTLE,
        "nodeSelector": {kwok.LABEL: "true"},
        "tolerations": [{"key": kwok.TAINT, "operator": "Exists"}],
    }
    slices.deploy("slices", "2", **fake)
    slices.wait_ready("slices")
    counted, old = Held(slices, MIG), slices.deployment("slices")["status"]["stable"]["revision"]
    rollout = slices.release("slices", "2b", steps=(50, 100))
    slices.wait_status(rollout, lambda status: status.get("weight", 0) > 0, "has some weight")
    slices.plugin("promote", "slices", "--note", "nothing to measure")
    assert counted.until_ended(rollout)["outcome"] == "Promoted"
    assert counted.most == 4
    assert scaled_down(slices, old) == {"3 to 2", "2 to 1"}, "stable gave one pod after the other"
