"""Why a pod does not serve: the kubelet's and the scheduler's states, in words for a person.

Reason and message must not alternate while the cause stays: the kubelet alternates between "pulling" and "backing off",
"running" and "crashed", and each change would be another write and event.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.parsing.podproblems import containers, ends, images, models, scheduling
from sluice_core.parsing.podproblems.creation import creation_problem, creation_remedy
from sluice_core.parsing.podproblems.podstate import (
    all_statuses,
    condition,
    load_seconds,
    quoted,
    ready_since,
    server_since,
    server_status,
)

__all__ = [
    "all_statuses",
    "batch_end",
    "batch_problem",
    "condition",
    "creation_problem",
    "creation_remedy",
    "job_problem",
    "load_seconds",
    "problem",
    "quoted",
    "ready_since",
    "server_since",
    "server_status",
]


Check: TypeAlias = Callable[[Object, float], Problem | None]
CHECKS: Final[tuple[Check, ...]] = (  # first that answers wins: a cause before its consequences
    scheduling.pod_rejected,
    scheduling.unschedulable,
    images.image_not_pulled,
    containers.credentials_not_found,
    containers.container_not_created,
    ends.out_of_memory,
    models.download_failed,
    models.model_not_loadable,
    models.not_warm,
    ends.sidecar_crashing,
    ends.crash_looping,
    models.sidecar_not_ready,
    models.model_not_ready,
)
JOB_CHECKS: Final[tuple[Check, ...]] = (
    scheduling.pod_rejected,
    scheduling.unschedulable,
    images.image_not_pulled,
    containers.container_not_created,
    ends.out_of_memory,
)
BATCH_CHECKS: Final[tuple[Check, ...]] = (
    scheduling.unschedulable,
    images.image_not_pulled,
    containers.data_credentials_not_found,
    containers.credentials_not_found,
    containers.container_not_created,
    ends.out_of_memory,
    models.download_failed,
    models.model_not_loadable,
    ends.sidecar_crashing,
)
END_CHECKS: Final[tuple[Check, ...]] = (
    ends.out_of_memory,
    models.download_failed,
    ends.ended_without_words,
    scheduling.pod_rejected,
)


def problem(pod: Object, now: float) -> Problem | None:
    """The pod's problem; None while it serves or starts normally."""
    if condition(pod, "Ready").get("status") == "True":
        return None
    return _first(CHECKS, pod, now)


def job_problem(pod: Object, now: float) -> Problem | None:
    """Why the pod of a Job does not work."""
    return _first(JOB_CHECKS, pod, now)


def batch_problem(pod: Object, now: float) -> Problem | None:
    """Why the pod of a running batch run does not work."""
    return _first(BATCH_CHECKS, pod, now)


def batch_end(pod: Object, now: float) -> Problem | None:
    """Why the pod of a batch run failed without giving a reason itself."""
    return _first(END_CHECKS, pod, now)


def _first(checks: tuple[Check, ...], pod: Object, now: float) -> Problem | None:
    answers = (check(pod, now) for check in checks)
    return next((answer for answer in answers if answer is not None), None)
