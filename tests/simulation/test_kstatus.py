"""kstatus' status of our objects, by which Flux waits: the truth in every state that a user meets."""

from collections.abc import Callable

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.render.pod.podnames import STORAGE_INITIALIZER
from tests.simulation.test_batch import completes
from tests.support import kstatus
from tests.support.simulated import scenarios
from tests.support.simulated.batchcluster import BatchCluster, batch, make_cluster
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import FAILING, V1, V2
from tests.support.simulated.twins import made_once

HOURLY = {"cron": "0 * * * *"}


def just_applied() -> Cluster:
    return scenarios.make_cluster()


def starting() -> Cluster:
    cluster = scenarios.make_cluster()
    cluster.run(2)
    return cluster


@made_once
def serving() -> Cluster:
    return scenarios.serving_cluster(warm_seconds=20)


def changed_unseen() -> Cluster:
    cluster = serving()
    cluster.user_applies(scenarios.manifest(V2))
    return cluster


def releasing() -> Cluster:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    return cluster


def ended(uri: str) -> Cluster:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(600, until=lambda: len(cluster.rollouts()) == 2 and cluster.newest().status.outcome is not None)
    cluster.run(120)
    return cluster


def promoted() -> Cluster:
    return ended(V2)


def rolled_back() -> Cluster:
    cluster = ended(FAILING)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    return cluster


def taken_back() -> Cluster:
    cluster = rolled_back()
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(20)
    return cluster


def aborted() -> Cluster:
    cluster = releasing()
    cluster.asks("Abort")
    cluster.run(60)
    return cluster


def gone_back_by_hand() -> Cluster:
    cluster = promoted()
    cluster.asks("Rollback")
    cluster.run(120)
    return cluster


def superseded() -> Cluster:
    cluster = releasing()
    cluster.user_applies(scenarios.manifest(V1))
    cluster.run(60)
    return cluster


def intent_on_an_old_release() -> Cluster:
    """It gets no answer, but is seen."""
    cluster = promoted()
    first = cluster.objects["ModelRollout", cluster.rollouts()[0].metadata.name]
    cluster.user_applies({**first, "spec": {**first["spec"], "intent": {"action": "Abort", "requestedBy": "a",
                          "requestTime": "2026-03-01T12:00:00Z"}}})  # fmt: skip
    cluster.run(20)
    return cluster


def without_policy() -> Cluster:
    cluster = serving()
    del cluster.shared["RolloutPolicy", "default"]
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    return cluster


def of_no_policy() -> Cluster:
    """It serves, but its policy does not exist: no release can begin."""
    cluster = serving()
    cluster.user_applies(scenarios.manifest(rollout={"policyRef": {"name": "absent"}}))
    cluster.run(20)
    return cluster


def frozen() -> Cluster:
    always = {"name": "always", "startTime": "00:00", "durationMinutes": 1440}
    cluster = serving()
    cluster.shared["RolloutPolicy", "default"] = scenarios.policy(freezeWindows=[always])
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    return cluster


def typo() -> Cluster:
    cluster = scenarios.empty_cluster()
    cluster.user_applies({**scenarios.manifest(), "spec": {"model": {"format": "onx", "uri": V1}}})
    cluster.run(20)
    return cluster


def without_object() -> Cluster:
    """The bucket, or its object, is missing: the downloader reports it again and again."""
    cluster = scenarios.make_cluster()
    cluster.run(1)
    revision = cluster.newest().spec.target.revision
    cluster.never_starts(revision, 1)
    said = {"exitCode": 1, "message": "ObjectNotFound: s3://models/digits/1: there is no such bucket"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
    cluster.objects["Pod", f"{revision}-0"] = {
        "kind": "Pod",
        "metadata": {
            "name": f"{revision}-0",
            "namespace": "default",
            "labels": cluster.objects["Deployment", revision]["spec"]["template"]["metadata"]["labels"],
        },
        "spec": {"initContainers": [{"name": STORAGE_INITIALIZER, "image": "i"}], "containers": []},
        "status": {
            "phase": "Pending",
            "initContainerStatuses": [
                {"name": STORAGE_INITIALIZER, "image": "i", "restartCount": 2, "state": {"waiting": waiting},
                 "lastState": {"terminated": said}}
            ],
        },
    }  # fmt: skip
    cluster.run(60)
    return cluster


def still_without_object() -> Cluster:
    cluster = without_object()
    cluster.run(180)
    return cluster


def uploaded_at_last() -> Cluster:
    cluster = still_without_object()
    revision = cluster.newest().spec.target.revision
    del cluster.objects["Pod", f"{revision}-0"]
    cluster.recovers(revision)
    cluster.run(60)
    return cluster


CURRENT, IN_PROGRESS, FAILED = "Current", "InProgress", "Failed"

MODELS: list[tuple[Callable[[], Cluster], str, str, str]] = [
    (just_applied, IN_PROGRESS, "", ""),
    (starting, IN_PROGRESS, IN_PROGRESS, ""),
    (serving, CURRENT, CURRENT, ""),
    (changed_unseen, IN_PROGRESS, CURRENT, ""),
    (releasing, IN_PROGRESS, IN_PROGRESS, ""),
    (promoted, CURRENT, CURRENT, ""),
    (rolled_back, FAILED, FAILED, "kubectl sluice retry digits"),
    (taken_back, CURRENT, FAILED, ""),
    (aborted, FAILED, FAILED, "alice"),
    (gone_back_by_hand, FAILED, CURRENT, "a person went back to it"),
    (superseded, CURRENT, CURRENT, ""),
    (intent_on_an_old_release, CURRENT, CURRENT, ""),
    (without_policy, FAILED, CURRENT, "no RolloutPolicy"),
    (of_no_policy, FAILED, CURRENT, "there is no RolloutPolicy 'absent'"),
    (frozen, IN_PROGRESS, CURRENT, "always"),
    (typo, FAILED, "", "did you mean onnx?"),
    (without_object, IN_PROGRESS, IN_PROGRESS, "there is no such bucket"),
    (still_without_object, FAILED, FAILED, "there is no such bucket"),
    (uploaded_at_last, CURRENT, CURRENT, ""),
]


@pytest.mark.parametrize(("state", "model", "release", "words"), MODELS, ids=[row[0].__name__ for row in MODELS])
def test_a_model_and_its_newest_release(state: Callable[[], Cluster], model: str, release: str, words: str) -> None:
    """release: empty where none has begun."""
    cluster = state()
    of_model, *of_releases = kstatus.verdicts(
        [cluster.objects["ModelDeployment", "digits"]]
        + [cluster.objects["ModelRollout", rollout.metadata.name] for rollout in cluster.rollouts()]
    )
    assert of_model.status == model, of_model.message
    assert words in of_model.message
    assert [each.status for each in of_releases[-1:]] == ([release] if release else []), of_releases
    assert {each.status for each in of_releases[:-1]} <= {CURRENT}


def running() -> BatchCluster:
    return make_cluster()


def complete() -> BatchCluster:
    cluster = make_cluster()
    completes(cluster, cluster.run_name())
    return cluster


def failed() -> BatchCluster:
    cluster = make_cluster()
    cluster.shard_fails(cluster.run_name(), 2, "ColumnMissing: there is no column age", code=42)
    cluster.step()
    return cluster


def batch_just_applied() -> BatchCluster:
    cluster = BatchCluster()
    cluster.user_applies(batch())
    return cluster


def batch_changed() -> BatchCluster:
    cluster = complete()
    cluster.user_applies(batch(batchSize=7))
    return cluster


def batch_begins_again() -> BatchCluster:
    cluster = batch_changed()
    cluster.step()
    return cluster


def waiting_for_its_model() -> BatchCluster:
    cluster = BatchCluster()
    cluster.user_applies(batch())
    cluster.step()
    return cluster


def still_without_its_model() -> BatchCluster:
    cluster = waiting_for_its_model()
    cluster.run(240, step=30)
    return cluster


def of_no_format() -> BatchCluster:
    return make_cluster(modelDeploymentRef=None, model={"format": "onx", "uri": V1})


def suspended() -> BatchCluster:
    return make_cluster(suspend=True)


def scheduled() -> BatchCluster:
    return make_cluster(schedule=HOURLY)


def scheduled_running() -> BatchCluster:
    cluster = scheduled()
    cluster.run(3700, step=100)
    assert cluster.condition() == ("False", "Running")
    return cluster


def scheduled_failed() -> BatchCluster:
    cluster = scheduled_running()
    cluster.shard_fails(cluster.run_name(), 2, "ColumnMissing: there is no column age", code=42)
    cluster.step()
    return cluster


def scheduled_after_a_failure() -> BatchCluster:
    cluster = scheduled_failed()
    cluster.run(3700, step=100)
    completes(cluster, cluster.run_name())
    return cluster


def scheduled_in_no_zone() -> BatchCluster:
    return make_cluster(schedule={**HOURLY, "timeZone": "Europe/Berln"})


BATCHES: list[tuple[Callable[[], BatchCluster], str, str]] = [
    (batch_just_applied, IN_PROGRESS, ""),
    (waiting_for_its_model, IN_PROGRESS, "digits"),
    (still_without_its_model, FAILED, "digits"),
    (running, IN_PROGRESS, "0 of 3 shards"),
    (complete, CURRENT, ""),
    (failed, FAILED, "there is no column age"),
    (batch_changed, IN_PROGRESS, ""),
    (batch_begins_again, IN_PROGRESS, "0 of 3 shards"),
    (of_no_format, FAILED, "onx"),
    (suspended, CURRENT, ""),
    (scheduled, CURRENT, ""),
    (scheduled_running, CURRENT, ""),
    (scheduled_failed, FAILED, "there is no column age"),
    (scheduled_after_a_failure, CURRENT, ""),
    (scheduled_in_no_zone, FAILED, "Europe/Berln"),
]


@pytest.mark.parametrize(("state", "want", "words"), BATCHES, ids=[row[0].__name__ for row in BATCHES])
def test_a_batch(state: Callable[[], BatchCluster], want: str, words: str) -> None:
    (said,) = kstatus.verdicts([state().objects["BatchInference", "churn"]])
    assert said.status == want, said.message
    assert words in said.message
