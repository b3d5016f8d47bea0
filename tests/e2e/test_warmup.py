"""Real requests to each new pod before it is Ready: by the model's metadata, or by the user's payload."""

import json
from typing import Any, Final

import pytest

from demo import digits
from tests.support.live.scene import Scene, wait_until

WARM, REFUSED, SLOW, MISSING = "warm", "refused", "slow", "missing"
PAYLOADS: Final = "payloads"


def pods(scene: Scene, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scene.tools.get(
        "pods", scene.where, f"--selector=sluice.dev/model-deployment={name}"
    )["items"]
    return found


def succeeded(scene: Scene, name: str) -> float:
    """Inference requests that the server has answered, by its own count."""
    (pod,) = pods(scene, name)
    return scene.metric(pod["metadata"]["name"], 8002, "nv_inference_request_success{")


@pytest.fixture(scope="module", autouse=True)
def payloads(scene: Scene) -> None:
    _, held_out = digits.split()
    good = digits.infer_bodies(held_out)[0].decode()
    bad = json.dumps({"inputs": [{"name": "image", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]}]})
    scene.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PAYLOADS}, "data": {"good": good, "bad": bad}}
    )


def test_a_pod_is_ready_only_after_its_warm_up(scene: Scene) -> None:
    scene.deploy(WARM, "1", warmup={"requests": 25, "maximumLatencyMillis": 1000})
    scene.wait_ready(WARM)
    assert succeeded(scene, WARM) == 25, "no user has asked yet"
    (pod,) = pods(scene, WARM)
    log = scene.tools.kubectl("logs", pod["metadata"]["name"], scene.where, "--container=warm-up")
    assert "warm-up: 25 requests: the first took" in log


def test_a_candidate_whose_payload_does_not_fit_waits_with_the_servers_words(scene: Scene) -> None:
    def asks(key: str) -> dict[str, Any]:
        return {"requests": 5, "payloadRef": {"configMap": PAYLOADS, "key": key}}

    scene.deploy(REFUSED, "1", warmup=asks("good"))
    scene.wait_ready(REFUSED)
    scene.deploy(REFUSED, "1", warmup=asks("bad"))
    wait_until(lambda: scene.condition(REFUSED, "Current").get("reason") == "WarmUpFailed", "it is told")
    message = scene.condition(REFUSED, "Current")["message"]
    assert "/infer answers 4" in message
    assert "spec.warmup.payloadRef" in message
    assert scene.condition(REFUSED, "Ready")["status"] == "True", "the stable version serves"


@pytest.mark.slow
def test_a_payload_that_is_missing_is_told(scene: Scene) -> None:
    scene.deploy(MISSING, "1", warmup={"payloadRef": {"configMap": "nowhere", "key": "x"}})
    wait_until(lambda: scene.condition(MISSING, "Ready").get("reason") == "WarmUpFailed", "it is told")
    assert "does not exist; create it" in scene.condition(MISSING, "Ready")["message"]


@pytest.mark.slow
def test_a_model_that_stays_too_slow_is_never_ready(scene: Scene) -> None:
    scene.deploy(SLOW, "5", warmup={"requests": 3, "maximumLatencyMillis": 5})
    wait_until(lambda: scene.condition(SLOW, "Ready").get("reason") == "WarmUpTooSlow", "it is told")
    assert "maximumLatencyMillis allows 5" in scene.condition(SLOW, "Ready")["message"]
