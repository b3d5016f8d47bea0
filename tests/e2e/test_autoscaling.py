"""Models whose replicas are an autoscaler's: releases never fight with it, and load is met by pods."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from demo.load import LoadClient
from lab import metricsserver
from tests.e2e import oneatatime
from tests.e2e.conftest import keda_for
from tests.support import patience
from tests.support.live.scene import Object, Scene, wait_until

HPA = "horizontalpodautoscalers"
REQUEST = "20m"


def scaled(minimum: int, maximum: int) -> dict[str, Any]:
    return {
        "autoscaling": {
            "minimumReplicas": minimum,
            "maximumReplicas": maximum,
            "target": {"metric": "CPU", "utilizationPercent": 50},
        },
        "resources": {"requests": {"cpu": REQUEST, "memory": "64Mi"}},
    }


def stable_of(scene: Scene, name: str) -> str:
    return str(scene.deployment(name)["status"]["stable"]["revision"])


def replicas_of(scene: Scene, revision: str) -> int:
    return int(scene.tools.get("deployment", revision, scene.where)["spec"]["replicas"])


def bounds_of(scene: Scene, revision: str) -> tuple[int, int]:
    spec = scene.tools.get(HPA, revision, scene.where)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def watched(scene: Scene, rollout: str, look: Callable[[], None]) -> Object:
    """The status of the ended release; `look` is called all the while."""

    def ended() -> Object | None:
        look()
        status: Object = scene.rollout_status(rollout)
        return status if status.get("outcome") else None

    return wait_until(ended, f"{rollout} ends")


def test_a_release_moves_the_minimum_alone(scene: Scene, connect: Callable[..., LoadClient]) -> None:
    """Without any measured use: an autoscaler holds its minimum all the same."""
    scene.deploy("bounded", "2", **scaled(2, 3))
    scene.wait_ready("bounded")
    old = stable_of(scene, "bounded")
    wait_until(lambda: replicas_of(scene, old) == 2, "the autoscaler raised it to its minimum")
    client = scene.serving("bounded", connect("bounded"))
    wait_until(lambda: client.counts().total.right > 200, "it answers")
    rollout = scene.release("bounded", "2b", steps=(50, 100))
    new = scene.rollout(rollout)["spec"]["to"]["revision"]
    stable: list[int] = []
    minima: list[int] = []

    def look() -> None:
        if scene.rollout_status(rollout).get("outcome") is None:
            stable.append(replicas_of(scene, old))
            minima.append(bounds_of(scene, new)[0])

    wait_until(lambda: scene.tools.get(HPA, scene.where)["items"][1:], "the candidate has an autoscaler")
    assert watched(scene, rollout, look)["outcome"] == "Promoted"
    assert set(stable) == {2}, "stable stayed whole until the end"
    assert minima == sorted(minima), "the candidate's minimum only grew"
    assert minima[-1] == 2
    wait_until(lambda: bounds_of(scene, new) == (2, 3), "at rest the bounds are the user's")
    wait_until(lambda: len(scene.tools.get(HPA, scene.where)["items"]) == 1, "the old autoscaler is gone")
    assert client.stop().total.lost == 0


@pytest.fixture
def metrics() -> Iterator[None]:
    """The kubelet's figures for autoscalers."""
    metricsserver.up()
    yield
    metricsserver.down()


@pytest.mark.slow
@pytest.mark.disturbs
@pytest.mark.usefixtures("metrics")
def test_load_scales_in_the_middle_of_a_release(scene: Scene, connect: Callable[..., LoadClient]) -> None:
    scene.deploy("loaded", "2", **scaled(1, 3))
    scene.wait_ready("loaded")
    old = stable_of(scene, "loaded")
    client = scene.serving("loaded", connect("loaded"))
    rollout = scene.release("loaded", "2b", steps=(50, 100))
    scene.plugin("pause", "loaded")
    wait_until(lambda: replicas_of(scene, old) > 1, "load scaled the stable version")
    scene.plugin("resume", "loaded")
    stable: list[int] = []

    def look() -> None:
        if scene.rollout_status(rollout).get("outcome") is None:
            stable.append(replicas_of(scene, old))

    assert watched(scene, rollout, look)["outcome"] == "Promoted"
    assert stable == sorted(stable), "the release took no pod away"
    assert client.stop().total.lost == 0


RATE = 7.0
"""Requests a second that one pod answers with ease; four times as many are more than it can."""
OBJECTIVE_MILLIS = 500


def by_requests(minimum: int) -> dict[str, Any]:
    target = {"metric": "InFlightRequests", "value": 1}
    bounds = {"minimumReplicas": minimum, "maximumReplicas": 3, "scaleDownAfterSeconds": 15}
    return {**oneatatime.SPEC, "autoscaling": {**bounds, "target": target}}


def p99_millis(client: LoadClient) -> int:
    """Of all that it has sent; the client has ended, and nothing of it is lost."""
    total = client.stop().total
    assert total.lost == 0, dict(total.problems)
    assert total.requests > 0
    return total.percentile_millis(99) or 0


@pytest.fixture(scope="module")
def engine(scene: Scene) -> Iterator[None]:
    """KEDA, and a server that works on one request at a time."""
    with keda_for(scene):
        scene.apply(oneatatime.runtime())
        yield
    scene.tools.kubectl("delete", "servingruntimes.sluice.dev", oneatatime.NAME)


@pytest.mark.slow
@pytest.mark.disturbs
@pytest.mark.usefixtures("engine")
def test_four_times_the_load_is_met_by_pods_and_they_go_again(scene: Scene, connect: Callable[..., LoadClient]) -> None:
    scene.deploy("busy", "2", **by_requests(1))
    scene.wait_ready("busy")
    stable = stable_of(scene, "busy")
    calm = connect("busy", rate=RATE)
    wait_until(lambda: calm.counts().total.requests > 20 * RATE, "it answers")
    assert replicas_of(scene, stable) == 1
    assert (calm.counts().total.percentile_millis(99) or 0) <= OBJECTIVE_MILLIS, "one pod was enough before"

    load = connect("busy", rate=3 * RATE)
    wait_until(lambda: replicas_of(scene, stable) > 1, "load has made pods")
    wait_until(lambda: scene.condition("busy", "ScalingActive").get("status") == "True", "it is told")
    overloaded = p99_millis(load)
    assert overloaded > OBJECTIVE_MILLIS, "one pod was not enough"

    relieved = connect("busy", rate=3 * RATE)
    wait_until(lambda: relieved.counts().total.requests > 20 * 3 * RATE, "the same load on more pods")
    met = p99_millis(relieved)
    print(f"\np99: {overloaded} ms on one pod, {met} ms on {replicas_of(scene, stable)}")
    assert met <= OBJECTIVE_MILLIS

    wait_until(lambda: replicas_of(scene, stable) == 1, "the pods go again")
    assert calm.stop().total.lost == 0


@pytest.mark.slow
@pytest.mark.disturbs
@pytest.mark.usefixtures("engine")
def test_what_nobody_asks_for_sleeps_until_somebody_does(scene: Scene, connect: Callable[..., LoadClient]) -> None:
    scene.deploy("sleepy", "2", **by_requests(0))
    scene.wait_ready("sleepy")
    stable = stable_of(scene, "sleepy")
    wait_until(lambda: replicas_of(scene, stable) == 0, "nobody asks")
    wait_until(lambda: scene.condition("sleepy", "Ready").get("reason") == "ScaledToZero", "it is told")
    assert scene.condition("sleepy", "Ready")["status"] == "True"

    def asked() -> httpx.Response:
        target = scene.target("sleepy")
        return httpx.get(f"{target.url}/v2/models/sleepy", headers={"Host": target.host}, timeout=patience.HANG_SECONDS)

    wait_until(lambda: "Retry-After" in asked().headers, "the gateway says when to ask again")
    client = connect("sleepy", rate=2)
    answered = lambda: client.counts().total.requests - client.counts().total.lost  # noqa: E731
    wait_until(lambda: answered() > 0, "the first answer")
    lost = client.stop().total.lost
    print(f"\n{lost} requests met no pod")
    assert lost > 0, "the gateway holds nothing back"
    wait_until(lambda: asked().is_success and "Retry-After" not in asked().headers, "it is awake")
