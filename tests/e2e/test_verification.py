"""Models that must be signed, on a real node: one that is serves, and its status says whose it is; one that was changed never does.

The platform's configuration wants it of this module's namespace (`conftest`), and the specs say nothing of it. The models lie
in a claim, to which its owner may write at any time.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import setup
from demo.load import LoadClient
from tests.e2e import claims
from tests.support.live.scene import Object, Scene, manifest, wait_until
from tests.support.stores.signing import Signer

CLAIM = "models"
GOOD, CHANGED = "signed", "changed"
SMALL = {"requests": {"cpu": "10m"}}


def deploy(scene: Scene, name: str) -> None:
    model = {"uri": f"pvc://{CLAIM}/{name}", "credentialsSecretRef": None}
    scene.apply(manifest(name, "1", model=model, resources=SMALL))


@pytest.fixture(scope="module")
def folder(scene: Scene, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two models with the same signature, which is that of the first."""
    place, model = tmp_path_factory.mktemp("claim"), setup.prepared_models()["v1"].read_bytes()
    signature = signer.model("digits", {"model.onnx": model})
    for name, body in ((GOOD, model), (CHANGED, model + b"\0")):
        (place / name).mkdir()
        (place / name / "model.onnx").write_bytes(body)
        (place / name / "model.sig").write_bytes(signature)
    with claims.mounted(scene, CLAIM, place, GOOD, CHANGED):
        deploy(scene, GOOD)
        deploy(scene, CHANGED)
        yield place


def pods(scene: Scene, name: str) -> list[Object]:
    found: list[Object] = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/model-deployment={name}")[
        "items"
    ]
    return found


@pytest.mark.usefixtures("folder")
def test_a_signed_model_serves_and_its_status_says_whose_it_is(
    scene: Scene, connect: Callable[..., LoadClient]
) -> None:
    scene.wait_ready(GOOD)
    client = connect(GOOD, 20)
    wait_until(lambda: client.counts().total.right > 0, f"{GOOD} answers")

    def verified() -> dict[str, Any] | None:
        found: dict[str, Any] | None = scene.deployment(GOOD)["status"]["stable"].get("verification")
        return found

    told = wait_until(verified, "the status says what was verified")
    assert told["verified"] is True
    assert told["signer"].startswith("key ")
    assert told["digest"].startswith("sha256:")
    assert told["digest"] in scene.plugin("status", GOOD, "-o", "json")
    (model, _) = json.loads(scene.plugin("bom", GOOD))["components"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": told["digest"].removeprefix("sha256:")}]


@pytest.mark.usefixtures("folder")
def test_its_server_does_not_see_the_claim(scene: Scene) -> None:
    """What was verified is a copy; whoever writes to the claim later changes nothing that serves."""
    scene.wait_ready(GOOD)
    (pod,) = pods(scene, GOOD)
    claimed = {each["name"] for each in pod["spec"]["volumes"] if "persistentVolumeClaim" in each}
    assert len(claimed) == 1
    assert not claimed & {mount["name"] for each in pod["spec"]["containers"] for mount in each["volumeMounts"]}


@pytest.mark.usefixtures("folder")
def test_a_changed_model_never_serves(scene: Scene) -> None:
    def told() -> str | None:
        condition = scene.condition(CHANGED, "Ready")
        return condition["message"] if condition.get("reason") == "VerificationFailed" else None

    message = wait_until(told, f"{CHANGED} is refused")
    assert "is not the file that was signed" in message
    found = pods(scene, CHANGED)
    assert found
    for pod in found:
        for server in pod["status"]["containerStatuses"]:
            assert (server["started"], server["ready"], server["restartCount"]) == (False, False, 0)
            assert "waiting" in server["state"]
    assert not scene.deployment(CHANGED)["status"].get("stable", {}).get("readyReplicas")
