"""Containers that end: for lack of memory, repeatedly, or without a message."""

from collections.abc import Iterable

from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import PodReason, Reason
from sluice_core.parsing.podproblems import podstate
from sluice_core.render.pod import podnames


def out_of_memory(pod: Object, _now: float) -> Problem | None:
    for status in podstate.all_statuses(pod):
        if podstate.last_end(status).get("reason") != PodReason.OOM_KILLED:
            continue
        remedy = "raise spec.resources.limits.memory"
        if podnames.field_of(str(status.get("name"))):
            remedy = "raise storageInitializer.resources in the operator's configuration"
        return Problem(
            PodReason.OOM_KILLED, f"container {status.get('name')} needs more memory than its limit; {remedy}"
        )
    return None


def crash_looping(pod: Object, _now: float) -> Problem | None:
    """It ended and was started again, or waits for that; whichever of the two is seen now."""
    return _crashed(pod, podstate.statuses(pod, "containerStatuses"))


def sidecar_crashing(pod: Object, _now: float) -> Problem | None:
    """The same for a container that starts before those: a sidecar, or one that has not finished."""
    statuses = podstate.statuses(pod, "initContainerStatuses")
    return _crashed(
        pod,
        (status for status in statuses if not podnames.field_of(str(status.get("name"))) and not _done(status)),
    )


def _done(status: Object) -> bool:
    end = podstate.state(status, "terminated")
    return bool(end) and end.get("exitCode") == 0


def _crashed(pod: Object, statuses: Iterable[Object]) -> Problem | None:
    for status in statuses:
        end = podstate.last_end(status)
        if not end:
            continue
        return Problem(
            PodReason.CRASH_LOOP_BACK_OFF,
            f"container {status.get('name')} ended with exit code {end.get('exitCode')} "
            f"({status.get('restartCount', 0)} restarts){podstate.because(end.get('message'))}; "
            f"see `{podstate.log_command(pod, status, '--previous')}`",
        )
    return None


def ended_without_words(pod: Object, _now: float) -> Problem | None:
    """A container of a Job ended with only an exit code, or a log."""
    for status in podstate.statuses(pod, "containerStatuses"):
        end = podstate.state(status, "terminated")
        if end:
            what = f"container {status.get('name')} ended with exit code {end.get('exitCode')}"
            return Problem(Reason.SHARD_FAILED, f"{what}{podstate.because(end.get('message'))}")
    return None
