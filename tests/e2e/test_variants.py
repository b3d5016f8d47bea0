"""An INT8 variant: made by a Job, stored beside the model, compared with it, and released like any other version."""

import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from demo import digits, setup
from demo.cluster import Cluster
from demo.load import LoadClient
from tests.e2e.conftest import bring_further_image
from tests.support.live.scene import Scene, uri, wait_until

NAME: Final = "small"
ROWS: Final = "calibration/digits.npz"
OPTIMIZED: Final = {"quantization": "Int8Static", "calibrationUri": f"s3://{setup.BUCKET}/{ROWS}"}

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def optimizer(lab: Cluster) -> None:
    """The image, and a calibration set of images that the model never saw."""
    bring_further_image(lab, "optimizer")
    _, held_out = digits.split()
    buffer = io.BytesIO()
    np.savez(buffer, image=held_out.images.astype(np.float32))
    setup.object_store(lab).put_object(Bucket=setup.BUCKET, Key=ROWS, Body=buffer.getvalue())


def variant(scene: Scene) -> dict[str, Any]:
    found = scene.deployment(NAME).get("status", {}).get("variants", [])
    return dict(found[0]) if found else {}


def test_it_is_made_compared_and_released_like_any_other_version(
    scene: Scene, connect: Callable[..., LoadClient], record_property: Callable[[str, object], None]
) -> None:
    scene.deploy(NAME, "2", variants=[{"name": "int8", "optimize": OPTIMIZED}])
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME, rate=60))
    made = wait_until(lambda: found if (found := variant(scene)).get("state") == "Ready" else None, "made")
    record_property("variant", made)
    print(made)
    assert made["sizeBytes"] < 0.4 * made["originalSizeBytes"]
    assert float(made["agreement"].rstrip("%")) > 95
    assert made["calibrated"] is True
    assert made["uri"].startswith(f"{uri('2')}.int8-")
    rollout = scene.begun_by(NAME, lambda: scene.patch(NAME, {"model": {"variant": "int8"}}))
    assert scene.rollout(rollout)["spec"]["to"]["uri"] == made["uri"]
    status = scene.wait_outcome(rollout)
    assert status["outcome"] == "Promoted", status["message"]
    assert client.counts().total.lost == 0


def test_a_model_without_anything_to_quantize_says_so(scene: Scene) -> None:
    scene.deploy("nothing", "garbage", variants=[{"name": "int8", "optimize": {"quantization": "Int8Dynamic"}}])

    def failed() -> str:
        found = scene.deployment("nothing").get("status", {}).get("variants", [])
        return str(found[0].get("message", "")) if found and found[0].get("state") == "Failed" else ""

    assert "UnsupportedModel" in wait_until(failed, "the Job has failed")
