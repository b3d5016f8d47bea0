"""The state of a BatchInference, and the task instance that owns it. Pure: no clock, no network, no Airflow."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import yaml

from sluice_batch.failures import PASSING, FailureReason

Object = dict[str, Any]

GROUP: Final = "sluice.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "BatchInference"
PLURAL: Final = "batchinferences"

TASK_INSTANCE: Final = "sluice.dev/airflow-task-instance"
"""The object's owner; a task that finds another value leaves the object alone."""
TRY: Final = "sluice.dev/airflow-try"
"""The try that waits for it: the end of an older one must not stop a run that a newer one has taken over."""
COLLECTED: Final = "sluice.dev/airflow-collected"
"""The try that collected the result. Clearing such a task asks for another run, not the old result."""
SUSPENDED: Final = "sluice.dev/airflow-suspended"
"""The try that was killed and suspended it; only then does the next one resume it."""

LASTING: Final = frozenset(reason.value for reason in set(FailureReason) - PASSING - {FailureReason.INPUT_CHANGED}) | {
    "ChecksumMismatch",  # of the model, from the downloader; its other lasting reasons have the runner's names
}
"""Reasons of a failed run that recur with the same spec. InputChanged does not: a new run takes the input as it is
then. Any other reason, such as one of the kubelet's or of a newer Sluice, may pass."""

NAME_LENGTH: Final = 45  # the kind's own limit
NAME: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_HASH_LENGTH: Final = 8


class WhenKilled(StrEnum):
    """What happens to the object when the task is ended before the run."""

    DELETE = "Delete"
    SUSPEND = "Suspend"
    """Finished shards are kept; the next try of the task continues."""
    LEAVE = "Leave"


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """One task of one DAG run. map_index: -1 unless the task is mapped. try_number: from 1, the same after a deferral."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int

    @property
    def identity(self) -> str:
        """The same for all tries."""
        mapped = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"{self.dag_id}/{self.run_id}/{self.task_id}{mapped}"

    @property
    def object_name(self) -> str:
        """A DNS-1035 label of at most 45 characters, the same for all tries and for no other task instance."""
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.dag_id}-{self.task_id}".lower()).lstrip("-0123456789")
        digest = hashlib.sha256(self.identity.encode()).hexdigest()[:_HASH_LENGTH]
        return f"{words[: NAME_LENGTH - _HASH_LENGTH - 1].strip('-') or 'batch'}-{digest}"

    def manifest(self, name: str, spec: Object) -> Object:
        """What to apply."""
        annotations = {TASK_INSTANCE: self.identity, TRY: str(self.try_number)}
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": name, "annotations": annotations},
            "spec": spec,
        }

    def owns(self, found: Object) -> bool:
        return annotations_of(found).get(TASK_INSTANCE) == self.identity

    def holds(self, found: Object) -> bool:
        """Whether it is ours, and no later try has taken it over."""
        return self.owns(found) and annotations_of(found).get(TRY) == str(self.try_number)


class Ending(StrEnum):
    """How the wait ended."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    DELETED = "Deleted"
    UNREACHABLE = "Unreachable"
    """The API server did not answer; the state of the run is unknown."""
    REFUSED = "Refused"
    """The API server refused; the state of the run is unknown."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """A task's result.

    message: with the reason in front. reason: the object's own, in one word; empty where the run's state is unknown.
    run: name, revision, uri, … of status.run. rows: total, read, written and failed.
    """

    ending: Ending
    message: str = ""
    reason: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def fails_again(self) -> bool:
        """Whether another run of the same spec would also fail."""
        return self.ending is Ending.FAILED and self.reason in LASTING

    def event(self) -> dict[str, Any]:
        """The event that a trigger fires: JSON."""
        return {
            "ending": self.ending.value,
            "message": self.message,
            "reason": self.reason,
            "run": dict(self.run),
            "rows": dict(self.rows),
        }

    @staticmethod
    def of_event(event: Mapping[str, Any]) -> "TaskOutcome":
        return TaskOutcome(Ending(event["ending"]), event["message"], event["reason"], event["run"], event["rows"])


def checked_name(name: str) -> str:
    """A name that the user chose; raises ValueError when the kind does not allow it."""
    if len(name) > NAME_LENGTH or not NAME.fullmatch(name):
        raise ValueError(
            f"name: {name!r} is not allowed; use at most {NAME_LENGTH} of a-z, 0-9 and -, beginning with a letter "
            "and not ending with -"
        )
    return name


def checked_since(text: str) -> datetime:
    """A time with an offset; raises ValueError for anything else."""
    try:
        since = datetime.fromisoformat(text)
    except ValueError:
        since = datetime.min
    if since.tzinfo is None:
        raise ValueError(f"since: {text!r} is not a time with an offset, such as 2026-11-25T03:00:00+00:00")
    return since


def spec_of(
    *,
    model_deployment: str | None,
    revision: str | None,
    input_data: Object | None,
    output_data: Object | None,
    rest: Object | None,
) -> Object:
    """The spec from an operator's arguments; raises ValueError when they contradict each other."""
    if revision is not None and model_deployment is None:
        raise ValueError("revision: goes with model_deployment; in a spec it is modelDeploymentRef.revision")
    reference = {"name": model_deployment, "revision": revision} if revision else {"name": model_deployment}
    arguments = {
        "modelDeploymentRef": reference if model_deployment is not None else None,
        "input": input_data,
        "output": output_data,
    }
    given = {key: value for key, value in arguments.items() if value is not None}
    spec = rest or {}
    if twice := given.keys() & spec.keys():
        raise ValueError(f"spec: {', '.join(sorted(twice))} is given as an argument too; give it once")
    if "schedule" in spec:
        raise ValueError(
            "spec.schedule: the DAG has the schedule, and a task waits for one run; use BatchInferenceSensor to "
            "wait for runs of the cluster's own schedule"
        )
    return {**spec, **given}


def read_spec(text: str) -> Object:
    """The spec in a YAML file, which may hold the whole manifest. Raises ValueError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"spec: the text is not YAML: {error}") from error
    spec = found.get("spec") if isinstance(found, dict) and "kind" in found else found
    if not isinstance(spec, dict):
        raise ValueError("spec: the text must have the fields of a BatchInference's spec, or its manifest")
    return spec


def annotations_of(found: Object) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def is_being_deleted(found: Object) -> bool:
    return "deletionTimestamp" in found["metadata"]


def is_worth_keeping(found: Object) -> bool:
    """Whether another try may wait for it, instead of creating it anew; see `BatchInferences.take`."""
    if is_being_deleted(found):
        return False
    outcome = outcome_of(found)
    return outcome is None or (outcome.ending is Ending.COMPLETE and COLLECTED not in annotations_of(found))


def outcome_of(found: Object) -> TaskOutcome | None:
    """The outcome of the run for the object's present spec; None before it ends, or before the operator has observed
    the spec."""
    status = found.get("status") or {}
    if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
        return None
    for condition in status.get("conditions", ()):
        if condition["status"] == "True" and condition["type"] in (Ending.COMPLETE, Ending.FAILED):
            return TaskOutcome(
                ending=Ending(condition["type"]),
                message=_because(condition.get("reason", ""), condition.get("message", "")),
                reason=condition.get("reason", ""),
                run=status.get("run") or {},
                rows=status.get("rows") or {},
            )
    return None


def outcome_since(found: Object, since: datetime) -> TaskOutcome | None:
    """The outcome of the first run that began at `since` or later, for an object with a schedule; a replaced run does
    not count.

    rows: only those of the newest run, which the status counts.
    """
    status = found.get("status") or {}
    newest = status.get("run") or {}
    runs = [newest, *status.get("earlierRuns", ()), *status.get("history", ())]
    for run in sorted(_begun_since(runs, since), key=lambda run: str(run["startTime"])):
        match run.get("outcome"):
            case None:
                return None
            case "Complete" | "Failed" as outcome:
                return TaskOutcome(
                    ending=Ending(outcome),
                    message=_because(run.get("reason", ""), run.get("message", "")),
                    reason=run.get("reason", ""),
                    run=run,
                    rows=(status.get("rows") or {}) if run is newest else {},
                )
    return None


def run_of(found: Object | None, since: datetime | None = None) -> str:
    """The current or last run, if it began at `since` or later; empty before the first."""
    run: Mapping[str, Any] = ((found or {}).get("status") or {}).get("run") or {}
    if since is not None and not _begun_since([run], since):
        return ""
    return str(run.get("name", ""))


def progress_of(found: Object | None) -> str:
    """One line for the log."""
    if found is None:
        return "does not exist yet"
    status = found.get("status") or {}
    if not status.get("run"):
        return _why_not_begun(status)
    shards, rows = status.get("shards") or {}, status.get("rows") or {}
    parts = [
        f"{status['percent']} %" if status.get("percent") is not None else "",
        f"{shards.get('succeeded', 0)} of {shards.get('total', 0)} shards",
        f"{rows.get('read', 0):,} rows read, {rows.get('failed', 0):,} failed",
        f"{status['rowsPerSecond']} rows/s" if status.get("rowsPerSecond") else "",
        f"done at about {status['estimatedCompletionTime']}" if status.get("estimatedCompletionTime") else "",
        _trouble(status),
    ]
    return ", ".join(part for part in parts if part)


def milestone_of(found: Object | None) -> tuple[object, ...]:
    """Changes when another line of progress is due, so that logs stay short: whole percents, shards, conditions."""
    if found is None:
        return ()
    status = found.get("status") or {}
    shards = status.get("shards") or {}
    told = [(each["type"], each["status"], each.get("reason", "")) for each in status.get("conditions", ())]
    return (run_of(found), status.get("percent"), shards.get("succeeded"), *told)


def _begun_since(runs: Iterable[Mapping[str, Any]], since: datetime) -> list[Mapping[str, Any]]:
    return [run for run in runs if run.get("startTime") and datetime.fromisoformat(str(run["startTime"])) >= since]


def _trouble(status: Mapping[str, Any]) -> str:
    """What keeps a run from progressing: the reason of Complete is Running while all is well."""
    for each in status.get("conditions", ()):
        if each["type"] == Ending.COMPLETE and each["status"] == "False" and each.get("reason") != "Running":
            return _because(each.get("reason", ""), each.get("message", ""))
    return ""


def _why_not_begun(status: Mapping[str, Any]) -> str:
    reasons = [
        _because(each.get("reason", ""), each.get("message", ""))
        for each in status.get("conditions", ())
        if each.get("message")
    ]
    return f"not begun: {'; '.join(reasons)}" if reasons else "not begun: Sluice's operator has not responded yet"


def _because(reason: str, message: str) -> str:
    return ": ".join(part for part in (reason, message) if part)
