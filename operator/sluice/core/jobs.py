"""Jobs and what their pods said: how they ended, and their last words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sluice.core import podproblems, rawobjects
from sluice.core.snapshot import Object

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
COMPLETE: Final = "Complete"
FAILED: Final = "Failed"
OVER: Final = frozenset({"Succeeded", "Failed"})


def end_of(job: Object) -> Mapping[str, Any]:
    """The condition that says how the Job ended, of type COMPLETE or FAILED; empty while it runs."""
    conditions = job.get("status", {}).get("conditions") or ()
    ended = (each for each in conditions if each.get("status") == "True" and each.get("type") in (COMPLETE, FAILED))
    return next(ended, {})


def pods_of(objects: Iterable[Object], job: str) -> list[Object]:
    """The pods that a Job has made, retries included."""
    return [pod for pod in rawobjects.of_kind(objects, "Pod") if rawobjects.labels(pod).get(JOB_NAME_LABEL) == job]


def running(pods: Iterable[Object]) -> bool:
    """Whether one of the pods may still say something."""
    return any(pod.get("status", {}).get("phase") not in OVER for pod in pods)


def ended(pods: Iterable[Object]) -> Iterator[Object]:
    """The state `terminated` of every container that has ended."""
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            end = (status.get("state") or {}).get("terminated")
            if end:
                yield end


def reports(pods: Iterable[Object]) -> Iterator[str]:
    """The termination messages of containers that have done their work."""
    return (end.get("message") or "" for end in ended(pods) if end.get("exitCode") == 0)


def last_words(pods: Iterable[Object]) -> Iterator[str]:
    """Those of containers that have failed, fit for a person."""
    for end in ended(pods):
        if end.get("exitCode") != 0 and end.get("message"):
            yield podproblems.quoted(end["message"])
