"""Model formats that a namespace may not have: refused, without removing what serves or runs."""

from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import batchcluster, scenarios
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2

SKLEARN = {"formats": [{"name": name, "priority": 1} for name in ("sklearn", "onnx")]}
NOTHING = OperatorConfig(allowed_formats=[])


def pickle(uri: str = V1, **spec: Any) -> dict[str, Any]:
    manifest = scenarios.manifest(uri, **spec)
    manifest["spec"]["model"]["format"] = "sklearn"
    return manifest


@pytest.mark.parametrize("formats", [("onnx",), ("*",)])
def test_a_model_of_a_format_that_is_not_allowed_gets_no_pod(formats: tuple[str, ...]) -> None:
    cluster = scenarios.empty_cluster(runtime_changes=SKLEARN, formats=formats)
    cluster.user_applies(pickle())
    cluster.run(60, check=Laws(cluster).check)
    allowed = formats == ("*",)
    assert bool(list(cluster.of_kind("Deployment"))) is allowed
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == (
        ("False", "NotStalled") if allowed else ("True", "FormatNotAllowed")
    )
    if not allowed:
        assert "spec.model.format" in stalled["message"]
        assert "config.allowedFormats" in stalled["message"]
        cluster.formats = ("*",)
        cluster.run(60, check=Laws(cluster).check)
        assert cluster.condition("Ready")["status"] == "True"


def test_an_onnx_model_brings_no_image_of_its_own() -> None:
    cluster = scenarios.empty_cluster(formats=("onnx",))
    cluster.user_applies(scenarios.manifest(runtime={"image": "evil"}))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["reason"] == "FormatNotAllowed"
    assert "spec.runtime.image" in cluster.condition("Stalled")["message"]
    assert not list(cluster.of_kind("Deployment"))


def test_what_serves_goes_on_and_its_next_version_is_refused() -> None:
    cluster = scenarios.empty_cluster(runtime_changes=SKLEARN)
    cluster.user_applies(pickle())
    cluster.run(60, check=Laws(cluster).check)
    before = {name for kind, name in cluster.objects if kind == "Deployment"}
    cluster.formats = ("onnx",)
    cluster.run(60, check=Laws(cluster).check)
    assert {name for kind, name in cluster.objects if kind == "Deployment"} == before
    assert {type_: cluster.condition(type_)["status"] for type_ in ("Ready", "Stalled")} == {
        "Ready": "True",
        "Stalled": "False",
    }
    cluster.user_applies(pickle(replicas=2))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["status"] == "False", "more pods of the same version are no new one"
    cluster.user_applies(pickle(V2))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["reason"] == "FormatNotAllowed"
    assert cluster.condition("Ready")["status"] == "True"
    assert {name for kind, name in cluster.objects if kind == "Deployment"} == before
    assert cluster.lost == 0


def test_a_release_that_runs_goes_on() -> None:
    cluster = scenarios.empty_cluster(runtime_changes=SKLEARN)
    cluster.user_applies(pickle())
    cluster.run(60, check=Laws(cluster).check)
    cluster.user_applies(pickle(V2))
    cluster.run(30, check=Laws(cluster).check, until=lambda: len(cluster.rollouts()) > 1)
    cluster.formats = ("onnx",)
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.condition("Stalled")["status"] == "False"
    cluster.run(300, check=Laws(cluster).check)
    cluster.user_applies(pickle())
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["reason"] == "FormatNotAllowed", "a version that no longer serves"


# --- batch inference ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [NOTHING, OperatorConfig()])
def test_a_batch_over_such_a_model_does_not_begin(config: OperatorConfig) -> None:
    cluster = batchcluster.BatchCluster(config=config)
    own = {"model": {"format": "onnx", "uri": "s3://models/digits/1"}, "modelDeploymentRef": None}
    cluster.user_applies(batchcluster.batch(**own))
    cluster.step()
    allowed = config is not NOTHING
    assert bool(cluster.jobs()) is allowed
    assert (cluster.condition() == ("False", "FormatNotAllowed")) is not allowed


def test_a_batch_over_a_version_that_is_no_longer_allowed_does_not_begin() -> None:
    cluster = batchcluster.BatchCluster(config=NOTHING)
    revision = cluster.model_serves()
    cluster.user_applies(batchcluster.batch())
    cluster.step()
    assert cluster.condition() == ("False", "FormatNotAllowed")
    assert f"revision {revision}: its model: models of namespace ml" in cluster.message()
    assert cluster.jobs() == []


def test_a_run_that_has_begun_goes_on() -> None:
    own = {"model": {"format": "onnx", "uri": "s3://models/digits/1"}, "modelDeploymentRef": None}
    cluster = batchcluster.make_cluster(**own)
    run = cluster.run_name()
    cluster.config = NOTHING
    for index in range(3):
        cluster.shard_ends(run, index)
    cluster.job_ends(run, "Complete")
    cluster.step()
    assert cluster.condition() == ("True", "RunCompleted")
