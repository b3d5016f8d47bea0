"""Models that must be signed: the serving version continues, and no unsigned one comes to serve."""

from typing import Any

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import batchcluster, scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2

KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n"


def verifies(template: dict[str, Any]) -> bool:
    return "--verification" in template["spec"]["initContainers"][0]["args"]


def deployments(cluster: Cluster) -> dict[str, bool]:
    """Whether its pods verify the model, by name."""
    return {each["metadata"]["name"]: verifies(each["spec"]["template"]) for each in cluster.of_kind("Deployment")}


def test_every_pod_verifies_what_it_fetches() -> None:
    cluster = scenarios.empty_cluster(signers=(KEY,))
    cluster.user_applies(scenarios.manifest())
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    assert list(deployments(cluster).values()) == [True]


def test_an_image_that_carries_its_model_is_refused() -> None:
    cluster = scenarios.empty_cluster(signers=(KEY,))
    cluster.user_applies(scenarios.manifest(runtime={"image": "ours"}))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["reason"] == "NotVerifiable"
    assert not list(cluster.of_kind("Deployment"))


def test_what_serves_goes_on_and_what_served_before_is_made_anew() -> None:
    cluster = scenarios.empty_cluster()
    cluster.user_applies(scenarios.manifest())
    cluster.run(60, check=Laws(cluster).check)
    (first,) = deployments(cluster)
    cluster.signers = (KEY,)
    cluster.run(60, check=Laws(cluster).check)
    assert deployments(cluster) == {first: False}, "nothing is restarted"
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    cluster.run(300, check=Laws(cluster).check)
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().spec.target.uri == V1)
    assert cluster.newest().spec.target.revision != first
    assert all(verifies_ for name, verifies_ in deployments(cluster).items() if name != first)
    assert first not in deployments(cluster)
    assert cluster.lost == 0


def test_no_rollback_goes_to_an_unverified_version() -> None:
    cluster = scenarios.empty_cluster()
    cluster.user_applies(scenarios.manifest())
    cluster.run(60, check=Laws(cluster).check)
    (first,) = deployments(cluster)
    cluster.signers = (KEY,)
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(300, check=Laws(cluster).check)
    cluster.asks("Rollback", toRevision=first)
    cluster.run(120, check=Laws(cluster).check)
    observed = cluster.newest().status.observed_intent
    assert observed is not None
    assert "do not verify" in observed.result
    assert first not in deployments(cluster)


ENFORCED = OperatorConfig.model_validate(
    {"verification": [{"namespaces": ["*"], "mode": "Enforce", "publicKeys": [KEY]}]}
)


def test_no_batch_begins_with_a_version_that_was_not_verified() -> None:
    cluster = batchcluster.BatchCluster(config=OperatorConfig())
    revision = cluster.model_serves()
    cluster.config = ENFORCED
    cluster.user_applies(batchcluster.batch())
    cluster.step()
    assert cluster.condition() == ("False", "NotVerifiable")
    assert f"revision {revision}: its pods do not verify" in cluster.message()
    assert cluster.jobs() == []


def test_a_batch_with_a_model_of_its_own_verifies_it() -> None:
    cluster = batchcluster.BatchCluster(config=ENFORCED)
    own = {"model": {"format": "onnx", "uri": "s3://models/digits/1"}, "modelDeploymentRef": None}
    cluster.user_applies(batchcluster.batch(**own))
    cluster.step()
    (job,) = cluster.jobs()
    assert verifies(cluster.objects["Job", job]["spec"]["template"])
