"""What a BatchInference says, and whose it is."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sluice_batch.airflow import objects
from sluice_batch.airflow.objects import Ending, Object, TaskInstance

PAGE = Path(__file__).resolve().parents[3] / "docs" / "batch-airflow.md"
TASK = TaskInstance(dag_id="digits_nightly", run_id="scheduled__2026", task_id="score", map_index=-1, try_number=1)


def made(*, generation: int = 1, annotations: dict[str, str] | None = None, **status: Any) -> Object:
    metadata = {"name": "digits", "uid": "1", "generation": generation, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {}, "status": {"observedGeneration": 1, **status}}


def condition(kind: str, status: str = "True", reason: str = "Because") -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": "of that"}


@pytest.mark.parametrize(
    ("changed", "prefix"),
    [
        ({}, "digits-nightly-score-"),
        ({"dag_id": "2026.Übersicht"}, "bersicht-score-"),
        ({"dag_id": "d" * 250}, "d" * 36 + "-"),
        ({"dag_id": "12", "task_id": "34"}, "batch-"),
    ],
)
def test_a_name_is_allowed_whatever_the_ids_are(changed: dict[str, str], prefix: str) -> None:
    name = replace(TASK, **changed).object_name

    assert name.startswith(prefix)
    assert objects.checked_name(name) == name


def test_a_name_is_the_same_in_every_try_and_nowhere_else() -> None:
    assert replace(TASK, try_number=2).object_name == TASK.object_name
    others = [{"run_id": "manual__2026"}, {"task_id": "Score"}, {"map_index": 0}, {"map_index": 1}]
    names = {TASK.object_name} | {replace(TASK, **other).object_name for other in others}
    assert len(names) == 1 + len(others)


@pytest.mark.parametrize("name", ["Digits", "1digits", "digits-", "di.gits", "d" * 46])
def test_a_name_that_the_kind_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name: "):
        objects.checked_name(name)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ({"metadata": {"generation": 1}}, None),
        (made(), None),
        (made(conditions=[condition("Complete", "False"), condition("Failed", "False")]), None),
        (made(conditions=[condition("Complete")]), Ending.COMPLETE),
        (made(conditions=[condition("Complete", "False"), condition("Failed")]), Ending.FAILED),
        (made(generation=2, conditions=[condition("Complete")]), None),
    ],
    ids=["no status", "no condition", "runs", "complete", "failed", "complete, but of an older spec"],
)
def test_the_ending_of_a_run(found: Object, want: Ending | None) -> None:
    outcome = objects.outcome_of(found)

    assert (outcome and outcome.ending) == want
    assert outcome is None or outcome.message == "Because: of that"


LASTING = ["BadColumns", "EmptyInput", "OutputExists", "AccessDenied", "ObjectNotFound", "ChecksumMismatch"]
PASSING = ["StoreUnreachable", "InputChanged", "OOMKilled", "DeadlineExceeded", "RevisionNotFound", "NewsToUs", ""]


@pytest.mark.parametrize(
    ("reason", "want"), [*((reason, True) for reason in LASTING), *((reason, False) for reason in PASSING)]
)
def test_whether_another_run_would_fail_too(reason: str, want: bool) -> None:
    newest = objects.outcome_of(
        made(conditions=[condition("Complete", "False", reason), condition("Failed", reason=reason)])
    )
    scheduled = objects.outcome_since(
        made(run=run(3, "Failed") | {"reason": reason}), objects.checked_since("2026-11-25T03:00:00Z")
    )

    assert (newest and newest.fails_again, scheduled and scheduled.fails_again) == (want, want)


def test_the_documentation_names_the_lasting_reasons() -> None:
    (entry,) = (each for each in PAGE.read_text().split("\n- ") if each.startswith("`WouldFailAgain"))

    assert set(re.findall(r"`(\w+)`", entry)) == objects.LASTING


@pytest.mark.parametrize(
    ("found", "want"),
    [
        (made(), True),
        (made(conditions=[condition("Complete")]), True),
        (made(conditions=[condition("Complete")], annotations={objects.COLLECTED: "1"}), False),
        (made(conditions=[condition("Failed")]), False),
        ({"metadata": {"generation": 1, "deletionTimestamp": "2026-11-25T03:00:00Z"}}, False),
    ],
    ids=["runs", "complete", "collected", "failed", "being deleted"],
)
def test_what_another_try_takes_over(found: Object, want: bool) -> None:
    assert objects.is_worth_keeping(found) is want


def run(hour: int, outcome: str | None) -> Object:
    return {
        "name": f"churn-{hour}",
        "startTime": f"2026-11-25T{hour:02}:00:00Z",
        **({"outcome": outcome} if outcome else {}),
    }


@pytest.mark.parametrize(
    ("newest", "history", "want"),
    [
        (run(2, "Complete"), [], None),
        (run(3, "Complete"), [run(2, "Failed")], ("churn-3", Ending.COMPLETE, 7)),
        (run(4, "Complete"), [run(3, "Failed")], ("churn-3", Ending.FAILED, None)),
        (run(4, None), [run(3, "Complete")], ("churn-3", Ending.COMPLETE, None)),
        (run(4, None), [run(3, "Replaced")], None),
        (run(4, "Complete"), [run(3, "Replaced")], ("churn-4", Ending.COMPLETE, 7)),
        ({}, [], None),
    ],
    ids=["before", "newest", "first one failed", "first one complete", "replaced, runs", "replaced, complete", "none"],
)
def test_the_first_run_of_a_schedule_since_three(newest: Object, history: list[Object], want: object) -> None:
    found = made(run=newest, history=history, rows={"read": 7})

    outcome = objects.outcome_since(found, objects.checked_since("2026-11-25 03:00:00+00:00"))

    assert (outcome and (outcome.run["name"], outcome.ending, outcome.rows.get("read"))) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        (None, "does not exist yet"),
        ({"metadata": {}}, "not begun: Sluice's operator has not responded yet"),
        (made(conditions=[condition("Complete", "False")]), "not begun: Because: of that"),
        (
            made(run={"name": "digits-1"}, percent=3, rows={"read": 3000}, shards={"total": 2}, rowsPerSecond="50"),
            "3 %, 0 of 2 shards, 3,000 rows read, 0 failed, 50 rows/s",
        ),
        (
            made(run={"name": "digits-1"}, conditions=[condition("Complete", "False")]),
            "0 of 0 shards, 0 rows read, 0 failed, Because: of that",
        ),
    ],
    ids=["nothing", "new", "blocked", "runs", "in trouble"],
)
def test_a_line_of_progress(found: Object | None, want: str) -> None:
    assert objects.progress_of(found) == want


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-25T03:00:00"])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="since: "):
        objects.checked_since(text)


def spec_of(**given: Any) -> Object:
    nothing = dict.fromkeys(("model_deployment", "revision", "input_data", "output_data", "rest"))
    return objects.spec_of(**(nothing | given))


def test_a_spec_is_made_of_arguments_and_the_rest() -> None:
    assert spec_of(model_deployment="digits", revision="Candidate", input_data={"uri": "a"}, rest={"batchSize": 8}) == {
        "modelDeploymentRef": {"name": "digits", "revision": "Candidate"},
        "input": {"uri": "a"},
        "batchSize": 8,
    }


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"revision": "Stable"}, "revision: goes with model_deployment"),
        ({"input_data": {}, "rest": {"input": {}}}, "spec: input is given as an argument too"),
        ({"rest": {"schedule": {}}}, r"spec\.schedule: the DAG has the schedule"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(given: Object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        spec_of(**given)


def test_an_outcome_survives_its_way_through_the_triggerer() -> None:
    outcome = objects.TaskOutcome(Ending.FAILED, "done", "BadColumns", {"name": "digits-1"}, {"read": 1})

    assert objects.TaskOutcome.of_event(outcome.event()) == outcome
