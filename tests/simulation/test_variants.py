"""A Job makes a variant before it can be released like any other version."""

import json
from typing import Any

import pytest

from sluice_core.kernel import naming
from sluice_core.render.jobs import variantjob
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import V2

INT8 = {"name": "int8", "optimize": {"quantization": "Int8Dynamic"}}
REPORT = {
    "sizeBytes": 30_000,
    "originalSizeBytes": 100_000,
    "agreement": 0.992,
    "rows": 500,
    "calibrated": True,
    "latencyMillis": 0.5,
    "originalLatencyMillis": 1.5,
}


def serving_with(*wanted: dict[str, Any]) -> Cluster:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(variants=list(wanted)))
    cluster.run(5)
    return cluster


def jobs(cluster: Cluster) -> list[dict[str, Any]]:
    return [object_ for (kind, _), object_ in cluster.objects.items() if kind == "Job"]


def end(cluster: Cluster, outcome: str, message: str, code: int) -> None:
    """The Job's pod ends, and with it the Job."""
    (job,) = jobs(cluster)
    name = job["metadata"]["name"]
    labels = job["spec"]["template"]["metadata"]["labels"] | {"batch.kubernetes.io/job-name": name}
    ended = {"name": "optimizer", "state": {"terminated": {"exitCode": code, "message": message}}}
    cluster.objects["Pod", f"{name}-x"] = {
        "kind": "Pod",
        "metadata": {"name": f"{name}-x", "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "optimizer", "image": "o"}]},
        "status": {"phase": "Succeeded" if code == 0 else "Failed", "containerStatuses": [ended]},
    }
    job["status"] = {"conditions": [{"type": outcome, "status": "True"}]}


def test_a_job_makes_it_beside_the_model_and_the_status_says_what_it_is_worth() -> None:
    cluster = serving_with(INT8)
    (job,) = jobs(cluster)
    container = job["spec"]["template"]["spec"]["containers"][0]
    target = container["args"][container["args"].index("--target") + 1]
    assert target.startswith("s3://models/digits/1.int8-")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels[naming.LABEL_OWNER] != "digits", "no Service and no budget of the model may select its pod"
    assert naming.LABEL_REVISION not in labels
    assert cluster.status()["variants"][0]["state"] == "Pending"
    end(cluster, "Complete", json.dumps(REPORT), 0)
    cluster.run(5)
    (told,) = cluster.status()["variants"]
    assert (told["state"], told["uri"], told["agreement"]) == ("Ready", target, "99.2%")
    (event,) = [event for event in cluster.events if event.reason == "VariantReady"]
    assert "0.30 of the size" in event.message
    assert len(cluster.rollouts()) == 1, "nothing is released by it"
    writes = len(cluster.writes)
    cluster.run(30)
    assert len(cluster.writes) == writes


def test_the_figures_stay_when_the_pod_is_gone() -> None:
    cluster = serving_with(INT8)
    end(cluster, "Complete", json.dumps(REPORT), 0)
    cluster.run(5)
    cluster.objects = {key: object_ for key, object_ in cluster.objects.items() if key[0] != "Pod"}
    cluster.run(5)
    assert cluster.status()["variants"][0]["agreement"] == "99.2%"


def test_naming_it_is_a_release_that_waits_until_it_is_made() -> None:
    cluster = serving_with(INT8)
    chosen = scenarios.manifest(variants=[INT8])
    chosen["spec"]["model"]["variant"] = "int8"
    cluster.user_applies(chosen)
    cluster.run(10)
    assert cluster.condition("Current")["reason"] == "VariantPending"
    assert cluster.condition("Ready")["status"] == "True"
    end(cluster, "Complete", json.dumps(REPORT), 0)
    cluster.run(10)
    rollout = cluster.newest()
    assert rollout.spec.target.uri == cluster.status()["variants"][0]["uri"]
    cluster.run(900, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome == "Promoted"


def test_one_that_cannot_be_made_says_why_and_stable_serves() -> None:
    cluster = serving_with(INT8)
    chosen = scenarios.manifest(variants=[INT8])
    chosen["spec"]["model"]["variant"] = "int8"
    cluster.user_applies(chosen)
    end(cluster, "Failed", "UnsupportedModel: there is nothing to quantize", 1)
    cluster.run(10)
    current = cluster.condition("Current")
    assert (current["reason"], "nothing to quantize" in current["message"]) == ("VariantFailed", True)
    assert cluster.condition("Ready")["status"] == "True"
    assert [event.warning for event in cluster.events if event.reason == "VariantFailed"] == [True]


@pytest.mark.parametrize("wanted", [[], [{**INT8, "optimize": {"quantization": "Int8Static", "calibrationUri": V2}}]])
def test_the_job_of_a_variant_that_is_not_wanted_goes(wanted: list[dict[str, Any]]) -> None:
    cluster = serving_with(INT8)
    (before,) = jobs(cluster)
    cluster.user_applies(scenarios.manifest(variants=wanted))
    cluster.run(5)
    names = {job["metadata"]["name"] for job in jobs(cluster)}
    assert before["metadata"]["name"] not in names
    assert len(names) == len(wanted)


def test_listing_variants_is_no_release() -> None:
    cluster = serving_with(INT8)
    cluster.run(30)
    assert len(cluster.rollouts()) == 1


@pytest.mark.parametrize(
    ("uri", "where"), [("s3://m/digits/2", "s3://m/digits/2.int8-"), ("s3://m/digits/a.onnx", "s3://m/digits/a.int8-")]
)
def test_where_it_is_stored(uri: str, where: str) -> None:
    cluster = serving_with(INT8)
    snapshot = cluster.snapshot()
    (variant,) = snapshot.deployment.spec.variants  # type: ignore[union-attr]
    assert variantjob.uri_of(uri, variant).startswith(where)
