"""What people see of a BatchInference."""

from typing import Any

import pytest

from kubectl_sluice.views import batch
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_judge import timestamps

NOW = 1_780_000_000.0
STARTED, LATER = "2026-05-28T20:25:40Z", "2026-05-28T20:27:40Z"
"""60 s before NOW, and 60 s after it."""
Raw = dict[str, Any]


def make_raw(spec: Raw | None = None, *, generation: int = 1, **status: Any) -> Raw:
    """A BatchInference of the stable version of digits over a folder, as the API server sends it."""
    usual = {
        "modelDeploymentRef": {"name": "digits"},
        "input": {"uri": "s3://data/images", "format": "Parquet"},
        "output": {"uri": "s3://data/answers", "format": "Parquet"},
        "engine": {"shards": 4},
    }
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "BatchInference",
        "metadata": {"name": "nightly", "namespace": "default", "generation": generation, "uid": "u"},
        "spec": {**usual, **(spec or {})},
        "status": {"observedGeneration": 1, **status},
    }


def make_view(spec: Raw | None = None, *, generation: int = 1, **status: Any) -> batch.BatchView:
    return batch.batch_view(BatchInference.model_validate(make_raw(spec, generation=generation, **status)), now=NOW)


def make_condition(type_: str, status: str, reason: str, message: str) -> Raw:
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": STARTED}


RUN: Raw = {"name": "nightly-1", "revision": "digits-abc", "uri": "s3://data/answers", "startTime": STARTED}
HALF: Raw = {
    "run": RUN,
    "percent": 50,
    "rows": {"total": 2000, "read": 1000, "written": 990, "failed": 10},
    "rowsPerSecond": "16.7",
    "estimatedCompletionTime": LATER,
    "shards": {"total": 4, "running": 2, "succeeded": 2, "failed": 0},
}


def test_a_run_in_the_middle() -> None:
    view = make_view(**HALF)
    assert (view.state, view.ended) == ("Running", False)
    assert view.model == "digits-abc (Stable of ModelDeployment digits)"
    assert view.progress is not None
    assert view.progress.seconds_left == 60
    assert batch.line(view) == (
        "Running, 50 %, 1,000 of 2,000 rows read, 990 written, 10 failed, 16.7 rows/s, 1m00s left, "
        "2 of 4 shards done, 2 running"
    )


def test_a_run_whose_size_nobody_knows_has_no_percentage() -> None:
    view = make_view(run=RUN, rows={"read": 10, "written": 10})
    assert batch.line(view) == "Running, 10 rows read, 10 written"


@pytest.mark.parametrize("outcome", ["Complete", "Failed"])
def test_an_end(outcome: str) -> None:
    told = make_condition(outcome, "True", "BadInput", "there is no column x")
    run = {**RUN, "completionTime": STARTED, "outcome": outcome, "reason": "BadInput", "message": "no column x"}
    view = make_view(run=run, conditions=[told])
    assert (view.state, view.ended) == (outcome, True)
    assert view.run is not None
    assert (view.run.duration_seconds, view.run.age_seconds) == (0, 60)
    assert view.run.message == ("BadInput: no column x" if outcome == "Failed" else "")


def test_what_it_waits_for_is_said() -> None:
    view = make_view(conditions=[make_condition("Complete", "False", "RevisionNotFound", "there is no digits-abc")])
    assert (view.state, view.headline) == ("Waiting", "RevisionNotFound: there is no digits-abc")


def test_a_run_of_an_older_spec_is_no_end() -> None:
    """Right after the spec was changed the operator still speaks of what was asked for before."""
    view = make_view(generation=2, run={**RUN, "outcome": "Complete", "completionTime": STARTED})
    assert (view.state, view.ended) == ("Waiting", False)
    assert "not seen" in view.headline


def test_suspended_with_a_run_that_was_stopped() -> None:
    view = make_view(**HALF, conditions=[make_condition("Suspended", "True", "Suspended", "spec.suspend is true")])
    assert (view.state, view.ended, view.headline) == ("Suspended", False, "spec.suspend is true")


def test_the_next_run_of_a_schedule_and_the_runs_before() -> None:
    schedule = {"schedule": {"cron": "0 3 * * *"}, "output": {"uri": "s3://data/{{run}}", "format": "CSV"}}
    before = {**RUN, "name": "nightly-0", "outcome": "Failed", "completionTime": STARTED, "message": "m", "reason": "R"}
    view = make_view(schedule, **HALF, nextScheduleTime=LATER, history=[before])
    assert view.next_run == LATER
    assert [(run.name, run.outcome, run.message) for run in view.history] == [("nightly-0", "Failed", "R: m")]
    assert make_view({**schedule, "suspend": True}, nextScheduleTime=LATER).next_run == ""


def test_where_the_next_run_reads_and_writes_is_shown_before_it_begins() -> None:
    dated = {"uri": "s3://data/{{scheduledDate-1d:%Y/%m/%d}}", "format": "CSV"}
    schedule = {
        "schedule": {"cron": "0 3 * * *"},
        "input": dated,
        "output": {"uri": "s3://out/{{run}}", "format": "CSV"},
    }
    view = make_view(schedule, nextScheduleTime="2026-03-02T03:00:00Z")
    assert view.next_input == "s3://data/2026/03/01"
    assert view.next_output == f"s3://out/{view.name}-{timestamps.seconds('2026-03-02T03:00:00Z') // 60:.0f}"
    running = make_view(
        schedule, run={**RUN, "inputUri": "s3://data/2026/02/28"}, nextScheduleTime="2026-03-02T03:00:00Z"
    )
    assert running.input == "s3://data/2026/02/28 (CSV)"


def test_a_model_of_its_own() -> None:
    own = {"modelDeploymentRef": None, "model": {"format": "onnx", "uri": "s3://models/digits/2"}}
    assert make_view(own).model == "s3://models/digits/2"


def test_spark() -> None:
    assert make_view({"engine": {"type": "Spark"}}).engine == "Spark, 2 executors"
