"""Metrics of objects: what a simulated release, a batch and bad objects show, and that a model at rest shows nothing."""

from typing import Any

import pytest

from sluice.shell.cache.keys import identity_of
from sluice.shell.cache.store import Store
from sluice.shell.reporting import metrics
from sluice.shell.reporting.underway import UnderWay
from tests.support.simulated import batchcluster, scenarios
from tests.support.simulated.batchcluster import BatchCluster
from tests.support.simulated.cluster import Cluster
from tests.unit.operator.shell.builders import CONFIG, PRESET, make_model

Raw = dict[str, Any]
RELEASE = {"model_namespace": "default", "model": "digits"}
BATCH = {"batch_namespace": batchcluster.NAMESPACE, "batch": "churn"}


def shown(*objects: Raw) -> list[tuple[str, Raw, float]]:
    """(metric, labels, value) of each series."""
    under_way = UnderWay()
    for each in objects:
        under_way.see(identity_of(each), each)
    return [(sample.name, sample.labels, sample.value) for family in under_way.collect() for sample in family.samples]


def of_cluster(cluster: Cluster | BatchCluster) -> list[tuple[str, Raw, float]]:
    """Of models or batches, whichever the cluster is about."""
    kinds = {"BatchInference"} if isinstance(cluster, BatchCluster) else {"ModelDeployment", "ModelRollout"}
    return shown(*(each for each in cluster.objects.values() if each["kind"] in kinds))


def values(found: list[tuple[str, Raw, float]], metric: metrics.Metric) -> dict[tuple[str, ...], float]:
    """By the labels that are not the object's name."""
    return {tuple(labels.values())[2:]: value for name, labels, value in found if name == metric.name}


def releasing(uri: str, seconds: float) -> Cluster:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(seconds)
    return cluster


def test_a_model_at_rest_shows_nothing() -> None:
    assert of_cluster(scenarios.serving_cluster()) == []


def test_series_are_bounded() -> None:
    """By the objectives that a release may have: 16 at most."""
    found = of_cluster(releasing(scenarios.V2, 40))
    by_objective = [labels for _, labels, _ in found if "objective" in labels]
    assert len(found) - len(by_objective) <= 8
    assert len(by_objective) == 4 * 3
    assert {label for _, labels, _ in found for label in labels} == {
        label for metric in metrics.OF_OBJECTS for label in metric.labels if metric.name.startswith("sluice_release")
    }


def test_a_release_shows_what_it_does_and_its_evidence() -> None:
    found = of_cluster(releasing(scenarios.V2, 40))
    assert all(labels.items() >= RELEASE.items() for _, labels, _ in found)
    [(strategy, verdict, reason)] = values(found, metrics.RELEASE_STATUS)
    assert (strategy, verdict, reason) == ("Canary", "Wait", "GatheringEvidence")
    assert values(found, metrics.RELEASE_WEIGHT) == {(): 0.05}
    assert values(found, metrics.RELEASE_STEP) == {(): 1.0}
    assert values(found, metrics.RELEASE_DEADLINE)[()] - values(found, metrics.RELEASE_START)[()] == 86_400
    assert values(found, metrics.RELEASE_REQUESTS)[("candidate",)] > 0
    assert set(values(found, metrics.RELEASE_EVIDENCE)) == {
        (objective, direction)
        for objective in ("errors", "latency", "accuracy")
        for direction in ("advance", "rollback")
    }
    assert all(ratio < 1 for ratio in values(found, metrics.RELEASE_EVIDENCE).values())
    assert len(values(found, metrics.RELEASE_FAILURES)) == 6


def test_a_rolled_back_version_is_a_condition_and_its_release_is_gone() -> None:
    found = of_cluster(releasing(scenarios.DEAD, 200))
    assert {name for name, _, _ in found} == {metrics.MODEL_CONDITION.name}
    assert values(found, metrics.MODEL_CONDITION) == {("Current", "RolledBack"): 1.0}


def test_a_spec_that_cannot_be_released_is_stalled() -> None:
    cluster = scenarios.serving_cluster()
    del cluster.shared["RolloutPolicy", "default"]
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(10)
    assert ("Stalled", "PolicyNotFound") in values(of_cluster(cluster), metrics.MODEL_CONDITION)


def test_a_batch_shows_its_run_while_that_is_under_way() -> None:
    cluster = batchcluster.make_cluster()
    run = cluster.run_name()
    cluster.shard_ends(run, 1, rows=100, failed=2)
    cluster.step()
    found = of_cluster(cluster)
    assert all(labels.items() >= BATCH.items() for _, labels, _ in found)
    assert values(found, metrics.BATCH_PROGRESS) == {(): 0.33}
    assert values(found, metrics.BATCH_ROWS) == {("read",): 100, ("written",): 98, ("failed",): 2}
    assert values(found, metrics.BATCH_SHARDS)[("succeeded",)] == 1
    assert () in values(found, metrics.BATCH_START)
    for index in (0, 2):
        cluster.shard_ends(run, index)
    cluster.step()
    assert of_cluster(cluster) == []


def test_a_batch_that_failed_says_why() -> None:
    cluster = batchcluster.make_cluster()
    run = cluster.run_name()
    cluster.shard_fails(run, 0, "BadInput: no column named age")
    cluster.job_ends(run, "Failed")
    cluster.step()
    conditions = {condition for condition, _ in values(of_cluster(cluster), metrics.BATCH_CONDITION)}
    assert conditions == {"Failed", "Stalled"}


@pytest.mark.parametrize(("suspend", "shown_names"), [(False, {metrics.BATCH_NEXT.name}), (True, set())])
def test_a_schedule_shows_when_it_is_due(suspend: bool, shown_names: set[str]) -> None:
    cluster = batchcluster.make_cluster(schedule={"cron": "0 * * * *"}, suspend=suspend)
    found = {name for name, _, _ in of_cluster(cluster)}
    assert found & {metrics.BATCH_NEXT.name} == shown_names


@pytest.mark.parametrize(
    "bad",
    [
        {"status": "ended"},
        {"status": {"conditions": [{"type": 7}]}},
        {"status": {"conditions": 5}},
        {"kind": "ModelRollout", "spec": {}, "status": {}},
        {"kind": "ModelRollout", "spec": {"modelDeployment": "digits"}, "status": {"startTime": "yesterday"}},
        {"kind": "ModelRollout", "spec": {"modelDeployment": "digits"}, "status": {"objectives": [{}]}},
        {"kind": "BatchInference", "status": {"run": []}},
    ],
)
def test_an_object_of_nonsense_keeps_nothing_from_the_others(bad: Raw) -> None:
    good = releasing(scenarios.V2, 40).objects
    found = shown({**make_model("bad"), **bad}, *good.values())
    assert metrics.RELEASE_STATUS.name in {name for name, _, _ in found}
    assert {labels.get("model") for _, labels, _ in found} == {"digits"}


def test_the_store_keeps_series_as_long_as_the_object() -> None:
    cluster, under_way = releasing(scenarios.V2, 40), UnderWay()
    store = Store(CONFIG, PRESET, audience=under_way)
    [rollout] = [
        each
        for each in cluster.objects.values()
        if each["kind"] == "ModelRollout" and not each["status"].get("outcome")
    ]
    stored = {**rollout, "metadata": {**rollout["metadata"], "uid": "u", "resourceVersion": "7"}}
    store.put(stored)
    assert list(under_way.collect())
    store.drop(stored)
    assert list(under_way.collect()) == []


def test_what_is_described_is_what_the_table_has() -> None:
    assert [family.name for family in UnderWay().describe()] == [metric.name for metric in metrics.OF_OBJECTS]
