"""What pods of a run say: answers while they run, and last words."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sluice_core.batch import decide
from sluice_core.parsing import batchsnapshot, jobs
from sluice_core.parsing.batchsnapshot import BatchSnapshot
from sluice_core.parsing.runstate import ShardProgress
from sluice_core.parsing.worlds import InvalidSpec
from tests.support.simulated.batchcluster import make_cluster

ANSWER = {"shard": 2, "splits": 8, "splitsDone": 3, "rowsTotal": 1000, "read": 400, "written": 390, "failed": 10}


def test_an_answer_is_read() -> None:
    assert jobs.read_progress(json.dumps({**ANSWER, "reasons": []})) == ShardProgress(2, 8, 3, 1000, 400, 390, 10)
    assert jobs.read_progress(json.dumps({**ANSWER, "rowsTotal": None})).rows_total is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "busy",
        "[]",
        "null",
        "{}",
        "[" * 60_000,
        json.dumps({**ANSWER, "read": "many"}),
        json.dumps({**ANSWER, "read": 1e999}),
        json.dumps({**ANSWER, "read": -1}),
        json.dumps({**ANSWER, "read": True}),
        json.dumps({**ANSWER, "rowsTotal": 10**30}),
        json.dumps({**ANSWER, "splitsDone": 10**400}),
    ],
)
def test_anything_else_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        jobs.read_progress(text)


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param({}, 0.4, id="by rows"),
        pytest.param({"rowsTotal": None}, 0.375, id="by splits"),
        pytest.param({"read": 2000}, 1.0, id="never more than all"),
        pytest.param({"rowsTotal": None, "splits": 0, "splitsDone": 0}, 0.0, id="before the plan"),
    ],
)
def test_the_share_of_a_shard(change: dict[str, Any], want: float) -> None:
    assert jobs.read_progress(json.dumps(ANSWER | change)).fraction == want


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        pytest.param({"exitCode": 1, "message": "StoreUnreachable: away"}, "StoreUnreachable", "shard 0: StoreU", id="said"),
        pytest.param({"exitCode": 1, "message": "log\nBatchFailed: a defect\n"}, "BatchFailed", "a defect", id="in a log"),
        pytest.param({"exitCode": 137, "reason": "OOMKilled"}, "OOMKilled", "raise spec.resources.limits", id="killed"),
        pytest.param({"exitCode": 139, "message": ""}, "ShardFailed", "exit code 139", id="said nothing"),
    ],
)  # fmt: skip
def test_why_a_run_failed(status: dict[str, Any], reason: str, words: str) -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    ended = [{"name": "batch", "state": {"terminated": status}}]
    cluster.pod(run, 0)["status"] = {"phase": "Failed", "containerStatuses": ended}
    cluster.job_ends(run, "Failed", "FailedIndexes")
    cluster.step()
    assert cluster.status()["run"]["reason"] == reason
    assert words in cluster.status()["run"]["message"]


def test_a_job_that_failed_without_a_pod_that_tells() -> None:
    cluster = make_cluster()
    cluster.job_ends(cluster.run_name(), "Failed", "FailedIndexes")
    cluster.step()
    assert cluster.status()["run"]["reason"] == "FailedIndexes"


def test_a_job_that_the_store_could_not_read_stops_every_decision() -> None:
    cluster = make_cluster()
    world = cluster.world("churn")
    job = {key: value for key, value in world.owned[0].items() if key in ("kind", "metadata")}
    seen = batchsnapshot.observed(replace(world, owned=({**job, "unreadable": "too deep"}, *world.owned[1:])))
    assert isinstance(seen, InvalidSpec)
    assert seen.message == "too deep"


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.7", "http://10.0.0.7:8090"), ("fd00::7", "http://[fd00::7]:8090")]
)
def test_who_is_asked(address: str, url: str) -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.pod(run, 1)["status"]["podIP"] = address
    cluster.pod(run, 0)["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    cluster.pod(run, 2)["metadata"]["deletionTimestamp"] = "2026-03-02T12:00:00Z"
    seen = batchsnapshot.observed(cluster.world("churn"))
    assert isinstance(seen, BatchSnapshot)
    assert [one.url for one in decide.questions(seen)] == [f"{url}/progress"]


@pytest.mark.parametrize(
    "message",
    ["[" * 3_000, '{"read": 1e999, "written": 1, "failed": 1}', '{"read": -1, "written": 1, "failed": 1}', "{}"],
)
def test_last_words_that_are_not_figures_are_not_counted(message: str) -> None:
    end = {"exitCode": 0, "message": message}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "batch", "state": {"terminated": end}}]}
    labels = {"batch.kubernetes.io/job-completion-index": "1"}
    assert (
        jobs.said([{"kind": "Pod", "metadata": {"name": "p", "labels": labels}, "status": status}], 0.0).finished == {}
    )
