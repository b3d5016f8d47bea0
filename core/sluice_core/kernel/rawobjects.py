"""Raw Kubernetes objects, and readers for fields of any kind."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

from sluice_core.kernel.naming import FIELD_MANAGER

Object: TypeAlias = Mapping[str, Any]
"""A Kubernetes object as the API server sent it; never modified."""

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"

UNREADABLE: Final = "unreadable"
"""Why an object could not be read, in place of its content: beside kind, metadata and, if decisions need it, status."""


class Phase(StrEnum):
    """The phase of a pod."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


OVER: Final = {Phase.SUCCEEDED, Phase.FAILED}
"""Phases of a pod that has ended."""


def of_kind(objects: Iterable[Object], kind: str) -> Iterator[Object]:
    return (object_ for object_ in objects if object_.get("kind") == kind)


def name(object_: Object) -> str:
    return str(object_.get("metadata", {}).get("name", ""))


def uid(object_: Object) -> str:
    return str(object_.get("metadata", {}).get("uid", ""))


def unreadable(object_: Object) -> str:
    """Why the object could not be read; empty if it could."""
    return str(object_.get(UNREADABLE, ""))


def namespace(object_: Object) -> str:
    return str(object_.get("metadata", {}).get("namespace", ""))


def labels(object_: Object) -> Object:
    found: Object = object_.get("metadata", {}).get("labels") or {}
    return found


def annotations(object_: Object) -> Object:
    found: Object = object_.get("metadata", {}).get("annotations") or {}
    return found


def is_going(object_: Object) -> bool:
    """Whether it is being deleted."""
    return object_["metadata"].get("deletionTimestamp") is not None


def generation(object_: Object) -> int:
    return int(object_["metadata"].get("generation", 0))


def unmet_condition(conditions: Iterable[Object], types: Sequence[str], generation: int, where: str) -> str:
    """The first of the conditions that is not True at this generation, in words; empty if all are."""
    by_type = {condition.get("type"): condition for condition in conditions}
    for type_ in types:
        condition = by_type.get(type_)
        if condition is None or int(condition.get("observedGeneration", generation)) < generation:
            return f"{where}: {type_} is not known yet; is its controller running?"
        if condition.get("status") != "True":
            said = (condition.get("status"), condition.get("reason"), condition.get("message"))
            return f"{where}: {type_} is {': '.join(text for text in said if text)}"
    return ""


def spec_writes(object_: Object) -> list[Object]:
    """The `managedFields` entries that say which writers wrote the spec, and when last."""
    entries = object_.get("metadata", {}).get("managedFields") or ()
    return [each for each in entries if not each.get("subresource") and "f:spec" in (each.get("fieldsV1") or {})]


def status_writes(object_: Object) -> list[Object]:
    """The same for the operator's writes of the status."""
    entries = object_.get("metadata", {}).get("managedFields") or ()
    return [each for each in entries if each.get("subresource") == "status" and each.get("manager") == FIELD_MANAGER]


def is_over(pod: Object) -> bool:
    """Whether a pod has ended."""
    return pod.get("status", {}).get("phase") in OVER


def pods_of_job(objects: Iterable[Object], job: str) -> list[Object]:
    """The pods of a Job, sorted by name, so that the same pod is reported first each time."""
    return sorted((pod for pod in of_kind(objects, "Pod") if labels(pod).get(JOB_NAME_LABEL) == job), key=name)
