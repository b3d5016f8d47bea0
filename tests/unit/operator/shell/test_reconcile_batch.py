"""A reconcile over a BatchInference: the same writes, errors and rest as for a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sluice.shell.cache.keys import Key, identity_of
from sluice.shell.order.workqueue import Done, Retry
from sluice.shell.reconciler.reconcile import CONFIRM_SECONDS, Reconciler
from sluice_core import errors
from sluice_core.batch import decide as batch_decide
from sluice_core.kernel.naming import LABEL_BATCH
from sluice_core.kernel.plan import Patch, Plan, Write
from sluice_core.kernel.rawobjects import JOB_NAME_LABEL
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing.runstate import Answers, Asked, ShardProgress
from tests.support.away import make_reconciler
from tests.support.cases import builders
from tests.unit.operator.shell.builders import FakeClock, FakeCluster, make_object, make_store

KEY = Key("team", "churn", "BatchInference")
SPEC = {
    "model": {"format": "onnx", "uri": "s3://models/digits/1"},
    "input": {"uri": "s3://data/today", "format": "Parquet"},
    "output": {"uri": "s3://data/scores", "format": "Parquet"},
}


@dataclass
class Pods:
    """What pods say, and who was asked."""

    answers: dict[str, ShardProgress] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def progress(self, asked: Sequence[Asked]) -> Answers:
        self.asked += (one.url for one in asked)
        return self.answers


@dataclass
class Pass:
    reconciler: Reconciler
    cluster: FakeCluster
    pods: Pods

    def stored(self, kind: str, name: str = "churn") -> dict[str, Any]:
        return self.cluster.stored[(kind, "team", name)]

    def run(self) -> str:
        return str(self.stored("BatchInference")["status"]["run"]["name"])

    def complete(self) -> dict[str, Any]:
        conditions = self.stored("BatchInference")["status"]["conditions"]
        return next(c for c in conditions if c["type"] == "Complete")


Given = Callable[..., Pass]


@pytest.fixture
def given() -> Given:
    def build(refuse: Callable[[Write], errors.ApiError | None] = lambda _: None, **spec: Any) -> Pass:
        batch = make_object("BatchInference", "churn", spec={**SPEC, **spec})
        batch["apiVersion"] = "sluice.dev/v1alpha1"
        batch["metadata"]["creationTimestamp"] = "2026-03-02T12:00:00Z"
        store, cluster, pods, clock = make_store(), FakeCluster(refuse=refuse), Pods(), FakeClock(1_790_000_000.0)
        for item in (batch, builders.manifest(builders.make_runtime())):
            store.put(item)
            cluster.stored[identity_of(item)] = item
        reconciler = make_reconciler(store, cluster, clock, progress=pods)
        return Pass(reconciler, cluster, pods)

    return build


async def test_the_record_comes_before_the_job_and_then_it_rests(given: Given) -> None:
    case = given()
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert case.cluster.writes == [("ApplyStatus", "BatchInference"), ("Apply", "Job")]
    assert [event.reason for event in case.cluster.events] == ["RunStarted"]
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert len(case.cluster.writes) == 2


async def test_running_pods_are_asked_and_their_rows_are_in_the_status(given: Given) -> None:
    case = given()
    await case.reconciler.reconcile(KEY)
    labels = {LABEL_BATCH: "churn", JOB_NAME_LABEL: case.run(), "batch.kubernetes.io/job-completion-index": "0"}
    status = {"name": "batch", "state": {"running": {"startedAt": "t"}}}
    pod: Object = make_object(
        "Pod", "p", status={"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [status]}
    )
    case.reconciler.store.put({**pod, "metadata": {**pod["metadata"], "labels": labels}})
    case.pods.answers = {"p": ShardProgress(0, 4, 1, 100, 25, 25, 0)}
    assert await case.reconciler.reconcile(KEY) == Done(10.0)
    assert case.pods.asked == ["http://10.0.0.1:8090/progress"]
    assert case.stored("BatchInference")["status"]["rows"]["read"] == 25
    assert case.stored("BatchInference")["status"]["percent"] == 25


def refusing(kind: str, error: errors.ApiError) -> Callable[[Write], errors.ApiError | None]:
    def refuse(write: Write) -> errors.ApiError | None:
        return error if not hasattr(write, "ref") and write.manifest["kind"] == kind else None

    return refuse


async def test_what_the_operator_fails_at_is_said_in_the_condition(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(_: object) -> Plan:
        raise RecursionError

    monkeypatch.setattr(batch_decide, "questions", defect)
    case = given()
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert case.complete()["reason"] == "OperatorDefect"


async def test_a_job_that_the_api_server_refuses_is_a_condition_and_tried_again(given: Given) -> None:
    case = given(refusing("Job", errors.Refused("422: spec.template")))
    result = await case.reconciler.reconcile(KEY)
    assert isinstance(result, Done)
    assert result.after is not None
    assert case.complete()["reason"] == "Refused"
    assert "422: spec.template" in case.complete()["message"]
    case.cluster.refuse = lambda _: None
    await case.reconciler.reconcile(KEY)
    await case.reconciler.reconcile(KEY)
    assert case.complete()["reason"] == "Running"
    assert ("Job", "team", case.run()) in case.cluster.stored


async def test_what_passes_is_tried_again(given: Given) -> None:
    case = given(refusing("Job", errors.Unavailable("503")))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)


async def test_what_is_gone_is_left_alone(given: Given) -> None:
    case = given()
    assert await case.reconciler.reconcile(Key("team", "churn")) == Done(None), "a key names a kind"
    assert await case.reconciler.reconcile(Key("team", "other", "BatchInference")) == Done(None)
    assert case.cluster.writes == []


async def test_a_job_is_held_by_a_patch(given: Given) -> None:
    seen: list[Write] = []
    case = given(lambda write: seen.append(write))
    await case.reconciler.reconcile(KEY)
    held = {**case.stored("BatchInference"), "spec": {**SPEC, "suspend": True}}
    held["metadata"] = {**held["metadata"], "resourceVersion": "900", "generation": 2}
    case.reconciler.store.put(held)
    await case.reconciler.reconcile(KEY)
    (patch,) = [write for write in seen if isinstance(write, Patch)]
    assert (patch.ref.name, patch.change) == (case.run(), {"spec": {"suspend": True}})
    assert case.stored("Job", case.run())["spec"]["suspend"] is True


async def test_in_a_namespace_that_ends_the_jobs_are_deleted_and_nothing_is_written(given: Given) -> None:
    case = given()
    await case.reconciler.reconcile(KEY)
    namespace = make_object("Namespace", "team", namespace="")
    namespace["metadata"]["deletionTimestamp"] = "2026-03-02T12:00:00Z"
    case.reconciler.store.put(namespace)
    case.cluster.writes.clear()
    await case.reconciler.reconcile(KEY)
    assert case.cluster.writes == [("Delete", "Job")]
    await case.reconciler.reconcile(KEY)
    assert case.cluster.writes == [("Delete", "Job")]
