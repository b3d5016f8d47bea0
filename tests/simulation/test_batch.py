"""Whole runs of batch inference on engine Job, with a virtual clock."""

from typing import Any

import pytest

from sluice_core.batch import report
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Delete, Patch
from sluice_judge import timestamps
from tests.support.simulated.batchcluster import BatchCluster, batch, make_cluster

HOURLY = {"cron": "0 * * * *"}


def seconds(text: str) -> float:
    return timestamps.seconds(f"2026-03-02T{text}Z")


def at(cluster: BatchCluster, text: str) -> None:
    """Advances to a time of day."""
    cluster.now = seconds(text)
    cluster.step()


def completes(cluster: BatchCluster, run: str, rows: int = 100) -> None:
    for index in range(3):
        cluster.shard_ends(run, index, rows)
    cluster.step()


# --- one run --------------------------------------------------------------------------------------------------------


def test_a_run_begins_goes_on_and_completes_and_then_nothing_happens() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    assert cluster.jobs() == [run]
    assert cluster.condition() == ("False", "Running")
    assert cluster.status()["run"]["uri"] == f"s3://data/scores/{run}"
    cluster.shard_ends(run, 1, rows=100, failed=2)
    cluster.step()
    assert cluster.status()["rows"] == {"read": 100, "written": 98, "failed": 2}
    assert cluster.status()["percent"] == 33
    cluster.shard_ends(run, 0)
    cluster.shard_ends(run, 2)
    cluster.step()
    status = cluster.status()
    assert cluster.condition() == ("True", "RunCompleted")
    assert (status["run"]["outcome"], status["percent"]) == ("Complete", 100)
    assert status["rows"] == {"total": 300, "read": 300, "written": 298, "failed": 2}
    assert status["shards"] == {"total": 3, "running": 0, "succeeded": 3, "failed": 0}
    assert [event.reason for event in cluster.events] == ["RunStarted", "RunCompleted"]
    assert cluster.requeue_after is None
    writes = len(cluster.writes)
    cluster.run(600)
    assert len(cluster.writes) == writes
    assert cluster.jobs() == [run], "it stays for its logs"


def test_no_selector_of_the_model_matches_the_pods() -> None:
    cluster = make_cluster()
    labels = cluster.pod(cluster.run_name(), 0)["metadata"]["labels"]
    assert labels[naming.LABEL_BATCH] == "churn"
    assert not {naming.LABEL_OWNER, naming.LABEL_REVISION} & set(labels)


def test_the_revision_stays_that_of_the_beginning() -> None:
    cluster = make_cluster()
    first = cluster.status()["run"]["revision"]
    cluster.model_serves("s3://models/digits/2")
    cluster.step()
    assert cluster.status()["run"]["revision"] == first
    assert len(cluster.jobs()) == 1


@pytest.mark.parametrize("which", ["Candidate", "the name of one"])
def test_another_revision_than_the_stable_one(which: str) -> None:
    cluster = BatchCluster()
    cluster.model_serves()
    wanted = cluster.model_serves("s3://models/digits/2", candidate=True)
    cluster.user_applies(
        batch(modelDeploymentRef={"name": "digits", "revision": "Candidate" if which == "Candidate" else wanted})
    )
    cluster.step()
    assert cluster.status()["run"]["revision"] == wanted
    (job,) = cluster.of_kind("Job")
    assert "s3://models/digits/2" in str(job["spec"]["template"])


def test_a_model_of_its_own_needs_no_model_deployment() -> None:
    cluster = BatchCluster()
    cluster.user_applies(batch(modelDeploymentRef=None, model={"format": "onnx", "uri": "s3://models/own/1"}))
    cluster.step()
    (job,) = cluster.of_kind("Job")
    assert "s3://models/own/1" in str(job["spec"]["template"])
    completes(cluster, cluster.run_name())
    assert cluster.condition() == ("True", "RunCompleted")


def test_a_shard_that_fails_and_is_tried_again_is_counted_once() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.shard_fails(run, 0, "StoreUnreachable: no answer from s3://data")
    cluster.step()
    assert cluster.condition() == ("False", "Running")
    assert cluster.message().endswith("retried after: shard 0: StoreUnreachable: no answer from s3://data")
    cluster.run(30)
    assert cluster.told("ShardRetried") == ["shard 0: StoreUnreachable: no answer from s3://data"]
    completes(cluster, run)
    assert cluster.status()["rows"]["read"] == 300


def test_two_pods_of_a_shard_that_both_end_well_are_counted_once() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.shard_ends(run, 0)
    cluster.step()
    cluster.start_pod(cluster.objects["Job", run], 0)
    cluster.shard_ends(run, 0)
    cluster.step()
    assert cluster.status()["rows"]["read"] == 100


def test_what_was_counted_stays_when_its_pod_is_gone() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.shard_ends(run, 0)
    cluster.step()
    cluster.objects = {
        key: object_
        for key, object_ in cluster.objects.items()
        if object_.get("status", {}).get("phase") != "Succeeded"
    }
    cluster.step()
    assert cluster.status()["rows"]["read"] == 100
    assert cluster.status()["counted"]["indexes"] == "0"


def test_a_job_whose_end_is_seen_before_the_last_words_of_its_pods_waits_for_them() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    late = cluster.pod(run, 2)
    for index in range(3):
        cluster.shard_ends(run, index)
    said, late["status"] = late["status"], {"phase": "Running"}
    cluster.reconcile()
    assert cluster.condition() == ("False", "Running")
    late["status"] = said
    cluster.reconcile()
    assert cluster.condition() == ("True", "RunCompleted")
    assert cluster.status()["rows"]["read"] == 300


def test_pods_that_are_seen_after_the_end_are_counted() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    completes(cluster, run)
    late = {key: object_ for key, object_ in cluster.objects.items() if key[0] == "Pod"}
    cluster = make_cluster()
    for pod in list(cluster.pods(cluster.run_name())):
        del cluster.objects["Pod", pod["metadata"]["name"]]
    cluster.job_ends(cluster.run_name(), "Complete")
    cluster.reconcile()
    assert cluster.status()["rows"]["read"] == 0
    cluster.objects |= late
    cluster.reconcile()
    assert cluster.status()["rows"]["read"] == 300


def test_bad_input_fails_the_run_with_the_reason_and_it_is_not_tried_again() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.shard_fails(run, 1, "StoreUnreachable: no answer")
    cluster.shard_fails(run, 2, "ColumnMissing: there is no column age; there are x, y", code=42)
    cluster.step()
    assert cluster.condition() == ("False", "ColumnMissing")
    assert cluster.condition("Failed") == ("True", "ColumnMissing")
    assert cluster.status()["run"]["outcome"] == "Failed"
    (told,) = cluster.told("RunFailed")
    assert "shard 2: ColumnMissing: there is no column age" in told
    assert "shard 1: StoreUnreachable" in told, "the first reasons, what no repetition cures before the others"
    writes = len(cluster.writes)
    cluster.run(600)
    assert len(cluster.writes) == writes


def test_a_job_that_took_too_long_says_so() -> None:
    cluster = make_cluster(activeDeadlineSeconds=60)
    (job,) = cluster.of_kind("Job")
    assert job["spec"]["activeDeadlineSeconds"] == 60
    cluster.job_ends(cluster.run_name(), "Failed", "DeadlineExceeded")
    cluster.step()
    assert cluster.condition() == ("False", "DeadlineExceeded")


def test_a_pod_that_cannot_start_is_reported_and_the_run_continues() -> None:
    cluster = make_cluster()
    pod = cluster.pod(cluster.run_name(), 0)
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod["status"] = {"phase": "Pending", "containerStatuses": [{"name": "batch", "image": "b", "state": waiting}]}
    cluster.step()
    assert cluster.condition() == ("False", "ImagePullBackOff")
    assert len(cluster.told("ImagePullBackOff")) == 1
    cluster.run(60)
    assert len(cluster.told("ImagePullBackOff")) == 1


# --- progress -------------------------------------------------------------------------------------------------------


def test_running_shards_tell_rows_speed_and_the_time_left() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    assert cluster.requeue_after == 10.0
    for index in range(3):
        cluster.says(run, index, read=100, total=1000)
    cluster.run(10)
    assert cluster.status()["rows"] == {"total": 3000, "read": 300, "written": 300, "failed": 0}
    assert cluster.status()["percent"] == 10
    for index in range(3):
        cluster.says(run, index, read=200, total=1000)
    cluster.run(10)
    status = cluster.status()
    assert (status["percent"], status["rowsPerSecond"]) == (20, "30")
    assert timestamps.seconds(status["estimatedCompletionTime"]) == cluster.now + 80


def test_without_totals_splits_tell_the_share() -> None:
    cluster = make_cluster(engine={"shards": 2})
    run = cluster.run_name()
    cluster.says(run, 0, read=500, splits=(2, 4))
    cluster.says(run, 1, read=500, splits=(1, 4))
    cluster.run(10)
    assert cluster.status()["percent"] == 37
    assert "total" not in cluster.status()["rows"]


def test_no_news_moves_nothing_and_writes_nothing() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.says(run, 0, read=100, total=1000)
    cluster.run(10)
    before, writes = cluster.status(), len(cluster.writes)
    cluster.answers.clear()
    cluster.run(60)
    assert cluster.status() == before
    assert len(cluster.writes) == writes
    assert cluster.requeue_after == 10.0


def test_figures_never_go_back_when_a_pod_begins_its_split_again() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.says(run, 0, read=500, total=1000)
    cluster.run(10)
    cluster.says(run, 0, read=400, total=1000)
    cluster.run(10)
    assert cluster.status()["rows"]["read"] == 500
    assert cluster.status()["percent"] == 16


def test_events_of_pods_do_not_make_it_ask_more_often() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.says(run, 0, read=100, total=1000)
    cluster.run(10)
    cluster.says(run, 0, read=101, total=1000)
    cluster.now += 3
    cluster.step()
    assert cluster.status()["rows"]["read"] == 100
    assert cluster.requeue_after == pytest.approx(7.0)


def test_a_clock_that_is_put_back_keeps_no_shard_from_being_asked() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.says(run, 0, read=100, total=1000)
    cluster.run(10)
    cluster.now -= 600
    cluster.says(run, 0, read=200, total=1000)
    cluster.step()
    assert cluster.status()["rows"]["read"] == 200
    assert cluster.requeue_after == pytest.approx(10.0)
    cluster.says(run, 0, read=300, total=1000)
    cluster.run(10)
    assert cluster.status()["rowsPerSecond"] == "10"


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ({"name": "nobody"}, "ModelDeploymentNotFound"),
        ({"name": "digits", "revision": "digits-0000000000"}, "RevisionNotFound"),
        ({"name": "digits", "revision": "Candidate"}, "CandidateNotFound"),
    ],
)
def test_a_missing_object_is_awaited_and_reported_once(ref: dict[str, str], reason: str) -> None:
    cluster = make_cluster(modelDeploymentRef=ref)
    assert cluster.condition() == ("False", reason)
    assert cluster.jobs() == []
    cluster.run(60)
    assert len(cluster.told(reason)) == 1
    cluster.run(report.WAITS_SECONDS)
    assert len(cluster.told(reason)) == 1
    assert cluster.requeue_after is None, "an event of what is missing wakes it"


def test_a_candidate_that_appears_begins_the_run() -> None:
    cluster = make_cluster(modelDeploymentRef={"name": "digits", "revision": "Candidate"})
    wanted = cluster.model_serves("s3://models/digits/2", candidate=True)
    cluster.step()
    assert cluster.status()["run"]["revision"] == wanted


def test_a_model_without_a_stable_version_is_waited_for() -> None:
    cluster = BatchCluster()
    cluster.model_serves(candidate=True)
    cluster.user_applies(batch())
    cluster.step()
    assert cluster.condition() == ("False", "StableNotFound")


def test_a_revision_that_is_deleted_while_it_is_queued_is_waited_for() -> None:
    cluster = BatchCluster()
    name = cluster.model_serves()
    cluster.user_applies(batch(suspend=True))
    cluster.step()
    del cluster.objects["ControllerRevision", name]
    cluster.user_applies(batch())
    cluster.step()
    assert cluster.condition() == ("False", "RevisionNotFound")
    assert name in cluster.message()


def test_a_revision_that_is_deleted_once_the_run_has_its_job_is_not_missed() -> None:
    cluster = make_cluster()
    del cluster.objects["ControllerRevision", cluster.status()["run"]["revision"]]
    completes(cluster, cluster.run_name())
    assert cluster.condition() == ("True", "RunCompleted")


def test_a_deleted_job_is_recreated_and_without_its_revision_the_run_fails() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    del cluster.objects["Job", run]
    cluster.step()
    assert cluster.jobs() == [run]
    del cluster.objects["Job", run]
    del cluster.objects["ControllerRevision", cluster.status()["run"]["revision"]]
    cluster.step()
    assert cluster.condition("Failed") == ("True", "RevisionNotFound")
    assert len(cluster.told("RunFailed")) == 1


# --- changes of the spec --------------------------------------------------------------------------------------------


def test_a_changed_spec_is_another_run_that_begins_when_the_pods_of_the_first_are_gone() -> None:
    cluster = make_cluster()
    first = cluster.run_name()
    cluster.grace = True
    cluster.user_applies(batch(batchSize=512))
    cluster.step()
    assert cluster.jobs() == []
    assert cluster.condition() == ("False", "Replacing")
    cluster.pods_end()
    cluster.step()
    second = cluster.run_name()
    assert second != first
    assert cluster.jobs() == [second]
    assert [(run["name"], run["outcome"]) for run in cluster.status()["history"]] == [(first, "Replaced")]
    assert len(cluster.told("RunReplaced")) == 1


def test_the_same_spec_for_a_second_time_is_a_run_of_its_own() -> None:
    cluster = make_cluster()
    first = cluster.run_name()
    cluster.user_applies(batch(batchSize=512))
    cluster.step()
    cluster.user_applies(batch())
    cluster.step()
    assert cluster.run_name() != first


def test_a_spec_that_is_taken_back_while_its_run_is_being_stopped_runs_anew() -> None:
    cluster = make_cluster()
    first = cluster.run_name()
    cluster.grace = True
    cluster.user_applies(batch(batchSize=512))
    cluster.step()
    cluster.user_applies(batch())
    cluster.step()
    assert cluster.condition() == ("False", "Replacing")
    cluster.pods_end()
    cluster.step()
    assert cluster.run_name() != first
    assert cluster.condition() == ("False", "Running")


@pytest.mark.parametrize("change", [{"ttlSecondsAfterFinished": 600}, {"suspend": True}, {"activeDeadlineSeconds": 5}])
def test_a_change_that_matters_to_no_row_is_no_other_run(change: dict[str, Any]) -> None:
    cluster = make_cluster()
    first = cluster.run_name()
    cluster.user_applies(batch(**change))
    cluster.step()
    assert cluster.run_name() == first


def test_suspend_holds_the_job_and_lets_it_go_on() -> None:
    cluster = make_cluster()
    run = cluster.run_name()
    cluster.shard_ends(run, 0)
    cluster.says(run, 1, read=10, total=100)
    cluster.run(20)
    cluster.user_applies(batch(suspend=True))
    cluster.step()
    assert cluster.objects["Job", run]["spec"]["suspend"] is True
    assert cluster.condition("Suspended") == ("True", "SuspendedBySpec")
    assert cluster.condition() == ("False", "Suspended")
    assert "rowsPerSecond" not in cluster.status()
    assert cluster.requeue_after is None
    cluster.run(3600, step=600)
    cluster.user_applies(batch())
    cluster.step()
    assert cluster.objects["Job", run]["spec"]["suspend"] is False
    assert cluster.condition() == ("False", "Running")
    cluster.shard_ends(run, 1)
    cluster.shard_ends(run, 2)
    cluster.step()
    assert cluster.status()["rows"]["read"] == 300
    patches = [write for write in cluster.writes if isinstance(write, Patch)]
    assert [patch.change["spec"]["suspend"] for patch in patches] == [True, False]


def test_a_shard_that_had_failed_before_it_was_held_is_no_news_again_and_again() -> None:
    cluster = make_cluster()
    cluster.shard_fails(cluster.run_name(), 0, "StoreUnreachable: away")
    cluster.user_applies(batch(suspend=True))
    cluster.run(60)
    assert cluster.told("ShardRetried") == []
    cluster.user_applies(batch())
    cluster.run(60)
    assert len(cluster.told("ShardRetried")) == 1


def test_what_is_suspended_from_the_start_begins_when_it_no_longer_is() -> None:
    cluster = make_cluster(suspend=True)
    assert cluster.jobs() == []
    assert cluster.condition() == ("False", "Suspended")
    cluster.user_applies(batch())
    cluster.step()
    assert cluster.condition() == ("False", "Running")


# --- afterwards -----------------------------------------------------------------------------------------------------


def test_after_its_time_the_job_goes_and_is_not_made_again() -> None:
    cluster = make_cluster(ttlSecondsAfterFinished=120)
    completes(cluster, cluster.run_name())
    assert cluster.requeue_after == 120
    cluster.run(110)
    assert len(cluster.jobs()) == 1
    cluster.run(20)
    assert cluster.jobs() == []
    writes = len(cluster.writes)
    cluster.run(600)
    assert (cluster.jobs(), len(cluster.writes)) == ([], writes)
    assert cluster.condition() == ("True", "RunCompleted")


def test_a_job_that_goes_at_once_does_so_after_its_end_is_written() -> None:
    cluster = make_cluster(ttlSecondsAfterFinished=0)
    completes(cluster, cluster.run_name())
    assert cluster.jobs() == []
    assert cluster.status()["rows"]["read"] == 300


# --- schedule -------------------------------------------------------------------------------------------------------


def test_the_dates_of_a_run_are_those_of_its_moment_for_good() -> None:
    """Recorded when it begins; a Job deleted hours later is recreated with the same ones."""
    dated = {"uri": "s3://data/{{scheduledDate-1d:%Y/%m/%d}}", "format": "Parquet"}
    cluster = make_cluster(schedule=HOURLY, input=dated)
    cluster.run(3700)
    run = cluster.status()["run"]
    assert run["inputUri"].startswith("s3://data/20")
    assert run["inputUri"] in arguments(cluster, run["name"])
    cluster.user_applies(batch(schedule=HOURLY, input={**dated, "uri": "s3://data/{{scheduledDate}}"}))
    del cluster.objects["Job", run["name"]]
    cluster.step()
    assert cluster.status()["run"] == run
    assert run["inputUri"] in arguments(cluster, run["name"])


def arguments(cluster: BatchCluster, run: str) -> list[str]:
    found: list[str] = cluster.objects["Job", run]["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


def test_each_moment_of_the_schedule_has_a_run() -> None:
    cluster = make_cluster(schedule=HOURLY)
    assert cluster.condition() == ("False", "Scheduled")
    assert cluster.status()["nextScheduleTime"] == "2026-03-02T13:00:00Z"
    assert cluster.requeue_after == 3600
    at(cluster, "13:00:00")
    first = cluster.run_name()
    assert first == f"churn-{int(seconds('13:00:00') // 60)}"
    completes(cluster, first)
    assert cluster.condition() == ("True", "RunCompleted")
    second_revision = cluster.model_serves("s3://models/digits/2")
    at(cluster, "14:00:00")
    run = cluster.status()["run"]
    assert run["name"] != first
    assert run["revision"] == second_revision, "chosen when the run begins"
    assert [run["name"] for run in cluster.status()["history"]] == [first]
    assert cluster.status()["lastScheduleTime"] == "2026-03-02T14:00:00Z"


def test_forbid_leaves_out_what_overlaps() -> None:
    cluster = make_cluster(schedule=HOURLY)
    at(cluster, "13:00:00")
    first = cluster.run_name()
    at(cluster, "14:00:00")
    assert cluster.jobs() == [first]
    (told,) = cluster.told("ScheduleSkipped")
    assert "2026-03-02T14:00:00Z" in told
    assert first in told
    completes(cluster, first)
    assert cluster.jobs() == [first], "what was left out is not made up for"


def test_replace_stops_what_overlaps() -> None:
    cluster = make_cluster(schedule={**HOURLY, "concurrencyPolicy": "Replace"})
    at(cluster, "13:00:00")
    first = cluster.run_name()
    at(cluster, "14:00:00")
    assert cluster.jobs() == [cluster.run_name()]
    assert cluster.run_name() != first
    assert [(run["name"], run["outcome"]) for run in cluster.status()["history"]] == [(first, "Replaced")]


def test_allow_runs_both_and_each_ends_for_itself() -> None:
    cluster = make_cluster(schedule={**HOURLY, "concurrencyPolicy": "Allow"})
    at(cluster, "13:00:00")
    first = cluster.run_name()
    at(cluster, "14:00:00")
    second = cluster.run_name()
    assert cluster.jobs() == [first, second]
    assert [run["name"] for run in cluster.status()["earlierRuns"]] == [first]
    completes(cluster, first)
    assert [run["outcome"] for run in cluster.status()["history"]] == ["Complete"]
    assert "earlierRuns" not in cluster.status() or cluster.status()["earlierRuns"] == []
    assert cluster.condition() == ("False", "Running")
    completes(cluster, second)
    assert cluster.condition() == ("True", "RunCompleted")
    assert len(cluster.told("RunCompleted")) == 2


def test_never_more_than_ten_at_once() -> None:
    cluster = make_cluster(schedule={"cron": "* * * * *", "concurrencyPolicy": "Allow"})
    cluster.run(15 * 60, step=60)
    assert len(cluster.jobs()) == 10
    assert cluster.told("ScheduleSkipped")


def test_of_several_missed_moments_one_is_made_up_for() -> None:
    cluster = make_cluster(schedule=HOURLY)
    at(cluster, "16:20:00")
    assert cluster.jobs() == [f"churn-{int(seconds('16:00:00') // 60)}"]
    completes(cluster, cluster.run_name())
    assert len(cluster.jobs()) == 1


def test_what_is_too_late_is_left_out() -> None:
    cluster = make_cluster(schedule={**HOURLY, "startingDeadlineSeconds": 600})
    at(cluster, "13:20:00")
    assert cluster.jobs() == []
    assert len(cluster.told("ScheduleSkipped")) == 1
    at(cluster, "14:05:00")
    assert len(cluster.jobs()) == 1


def test_a_run_that_waits_for_its_model_is_left_out_when_it_is_too_late() -> None:
    cluster = make_cluster(
        schedule={**HOURLY, "startingDeadlineSeconds": 600},
        modelDeploymentRef={"name": "digits", "revision": "Candidate"},
    )
    at(cluster, "13:00:00")
    assert cluster.condition() == ("False", "CandidateNotFound")
    assert cluster.requeue_after == 600
    cluster.now += 601
    cluster.step()
    assert cluster.condition() == ("False", "Scheduled")
    assert len(cluster.told("ScheduleSkipped")) == 1


def test_while_it_is_suspended_nothing_begins_and_afterwards_one_is_made_up_for() -> None:
    cluster = make_cluster(schedule=HOURLY, suspend=True)
    assert cluster.requeue_after is None
    at(cluster, "15:30:00")
    assert cluster.jobs() == []
    assert "nextScheduleTime" not in cluster.status()
    cluster.user_applies(batch(schedule=HOURLY))
    cluster.step()
    assert len(cluster.jobs()) == 1


def test_limits_keep_the_newest_runs_and_their_jobs() -> None:
    limits = {"successfulRunsHistoryLimit": 2, "failedRunsHistoryLimit": 1}
    cluster = make_cluster(schedule={**HOURLY, **limits})
    names = []
    for hour in range(13, 19):
        at(cluster, f"{hour}:00:00")
        names.append(cluster.run_name())
        if hour % 2:
            completes(cluster, names[-1])
        else:
            cluster.shard_fails(names[-1], 0, "Corrupt: part-3 is no Parquet", code=42)
            cluster.step()
    assert cluster.jobs() == sorted([names[2], names[4], names[5]])
    kept = [run["name"] for run in cluster.status()["history"]]
    assert kept == [names[4], names[2]]
    assert sum(isinstance(write, Delete) for write in cluster.writes) == 3


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"cron": "61 * * * *"}, "spec.schedule.cron"),
        ({"cron": "0 3 * * *", "timeZone": "Europe/Atlantis"}, "spec.schedule.timeZone"),
    ],
)
def test_a_schedule_that_names_no_moments_says_so(schedule: dict[str, str], said: str) -> None:
    cluster = make_cluster(schedule=schedule)
    assert cluster.condition() == ("False", "InvalidSchedule")
    assert said in cluster.message()


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("survives", [0, 1])
def test_a_crash_between_two_writes_is_completed_by_the_next_reconcile(survives: int) -> None:
    cluster = BatchCluster()
    cluster.model_serves()
    cluster.user_applies(batch())
    for write in cluster.plan().writes[:survives]:
        cluster.apply(write)
    cluster.step()
    assert cluster.jobs() == [cluster.run_name()]
    completes(cluster, cluster.run_name())
    assert cluster.status()["rows"]["read"] == 300


def test_a_status_that_cannot_be_read_begins_no_run_again() -> None:
    cluster = make_cluster()
    completes(cluster, cluster.run_name())
    cluster.status()["run"]["outcome"] = "Splendid"
    writes = len(cluster.writes)
    cluster.step()
    assert len(cluster.writes) == writes


def test_a_defect_of_a_spec_is_reported() -> None:
    cluster = make_cluster()
    broken = batch()
    broken["spec"]["batchSize"] = "many"
    cluster.user_applies(broken)
    cluster.reconcile()
    assert cluster.condition() == ("False", "InvalidSpec")
    assert "spec.batchSize" in cluster.message()
