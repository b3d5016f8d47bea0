"""What the tasks do to the API server, with no more than the permissions that docs/batch-airflow.md asks for."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lab.apiserver import ApiServer
from sluice_batch.airflow import errors, objects
from sluice_batch.airflow.client import BatchInferences
from tests.support.live.kube import Kube, Object, wait_until

PAGE = Path(__file__).resolve().parents[3] / "docs" / "batch-airflow.md"
NAMESPACE = "models"
NAME = "digits"
OBJECT = f"/apis/sluice.dev/v1alpha1/namespaces/{NAMESPACE}/batchinferences/{NAME}"
TASK = objects.TaskInstance(dag_id="nightly", run_id="manual__1", task_id="score", map_index=-1, try_number=1)
NEXT_TRY = replace(TASK, try_number=2)
SPEC: Object = {
    "modelDeploymentRef": {"name": "digits"},
    "input": {"uri": "s3://data/digits", "format": "Parquet"},
    "output": {"uri": "s3://scores/digits", "format": "Parquet"},
}


@pytest.fixture(scope="module")
def account(kube: Kube, api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the kubeconfig of a service account that has the Role of the page, in its namespace."""
    (role,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "airflow", "namespace": NAMESPACE}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "airflow", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": "airflow", "namespace": NAMESPACE}],
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for each in (namespace, account, role, binding):
        kube.apply(each, manager="tests").raise_for_status()
    token = kube.http.post(
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/airflow/token",
        json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    ).raise_for_status()
    config = yaml.safe_load(api_server.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token.json()["status"]["token"]}
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.fixture
def cluster(kube: Kube, account: str, monkeypatch: pytest.MonkeyPatch) -> BatchInferences:
    """As that service account; the object is not there."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_LIMITED", f'{{"conn_type": "kubernetes", "extra": {{"kube_config_path": "{account}"}}}}'
    )
    kube.http.delete(OBJECT)
    wait_until(lambda: kube.http.get(OBJECT).status_code == 404)
    return BatchInferences("limited", NAMESPACE, unreachable_seconds=0)


def take(cluster: BatchInferences, task: objects.TaskInstance = TASK, spec: Object = SPEC) -> Object:
    return asyncio.run(cluster.take(NAME, spec, task_instance=task))


def stop(cluster: BatchInferences, how: objects.WhenKilled, task: objects.TaskInstance = TASK) -> str:
    return asyncio.run(cluster.stop(NAME, task_instance=task, how=how))


def end(kube: Kube, found: Object, kind: str) -> None:
    """As Sluice's operator does when a run is over."""
    over = {
        "type": kind,
        "status": "True",
        "reason": "Over",
        "message": "",
        "lastTransitionTime": "2026-11-25T03:00:00Z",
    }
    status = {"observedGeneration": found["metadata"]["generation"], "conditions": [over]}
    kube.patch(found, {"status": status}, subresource="/status").raise_for_status()


def test_the_next_try_takes_the_same_object_over(cluster: BatchInferences) -> None:
    first, second = take(cluster), take(cluster, NEXT_TRY)

    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["generation"] == 1
    assert objects.annotations_of(second)[objects.TRY] == "2"


def test_a_spec_that_was_edited_between_tries_is_applied(cluster: BatchInferences) -> None:
    take(cluster)

    second = take(cluster, NEXT_TRY, SPEC | {"batchSize": 8})

    assert (second["spec"]["batchSize"], second["metadata"]["generation"]) == (8, 2)


@pytest.mark.parametrize(("kind", "same"), [("Complete", True), pytest.param("Failed", False, marks=pytest.mark.slow)])
def test_only_a_failed_run_is_made_anew(cluster: BatchInferences, kube: Kube, kind: str, same: bool) -> None:
    first = take(cluster)
    end(kube, first, kind)

    second = take(cluster, NEXT_TRY)

    assert (second["metadata"]["uid"] == first["metadata"]["uid"]) is same


def test_a_result_that_was_collected_is_not_collected_twice(cluster: BatchInferences, kube: Kube) -> None:
    first = take(cluster)
    end(kube, first, "Complete")
    asyncio.run(cluster.mark_collected(NAME, task_instance=TASK))

    assert take(cluster, NEXT_TRY)["metadata"]["uid"] != first["metadata"]["uid"]


def test_an_object_of_somebody_else_is_left_alone(cluster: BatchInferences, kube: Kube) -> None:
    take(cluster, replace(TASK, run_id="manual__2"))

    with pytest.raises(errors.NotOurs, match="models/digits belongs to the task instance nightly/manual__2/score"):
        take(cluster)
    assert stop(cluster, objects.WhenKilled.DELETE) == "is left: it is not this try's"


def test_the_end_of_an_old_try_does_not_stop_the_new_one(cluster: BatchInferences, kube: Kube) -> None:
    take(cluster)
    take(cluster, NEXT_TRY)

    assert stop(cluster, objects.WhenKilled.DELETE) == "is left: it is not this try's"
    assert stop(cluster, objects.WhenKilled.DELETE, NEXT_TRY) == "is deleted"
    wait_until(lambda: kube.http.get(OBJECT).status_code == 404)  # the garbage collector has looked for its pods


def test_a_suspended_run_is_resumed_by_the_next_try_only_if_a_kill_suspended_it(
    cluster: BatchInferences, kube: Kube
) -> None:
    first = take(cluster)
    assert stop(cluster, objects.WhenKilled.SUSPEND) == "is suspended"
    assert take(cluster, NEXT_TRY)["spec"]["suspend"] is False

    kube.patch(first, {"spec": {"suspend": True}}).raise_for_status()  # a person

    assert take(cluster, replace(TASK, try_number=3))["spec"]["suspend"] is True


def test_a_run_that_is_over_keeps_its_object_at_a_kill(cluster: BatchInferences, kube: Kube) -> None:
    end(kube, take(cluster), "Complete")

    assert stop(cluster, objects.WhenKilled.DELETE) == "is left: its run has ended"


def test_a_spec_that_is_not_valid_is_refused_in_the_server_s_words(cluster: BatchInferences) -> None:
    with pytest.raises(errors.SpecRefused, match=r"spec\.batchSize"):
        take(cluster, spec=SPEC | {"batchSize": 0})


def test_a_missing_permission_is_said(cluster: BatchInferences) -> None:
    elsewhere = BatchInferences("limited", "default", unreachable_seconds=0)

    with pytest.raises(errors.ApiServerRefused, match=r'cannot list resource "batchinferences".*"default"'):
        take(elsewhere)


def test_a_server_that_does_not_answer_is_named_by_its_connection(
    cluster: BatchInferences, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load(Path(account).read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    extra = f'{{"kube_config_path": "{tmp_path / "kubeconfig"}"}}'
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", f'{{"conn_type": "kubernetes", "extra": {extra}}}')

    with pytest.raises(errors.ApiServerUnreachable, match="the connection 'away' did not answer for 0 s"):
        take(BatchInferences("away", NAMESPACE, unreachable_seconds=0))
