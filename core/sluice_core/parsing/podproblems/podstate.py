"""The states of a pod and its containers, and how they are quoted."""

import re
from collections.abc import Iterator
from typing import Any, Final

from sluice_core.kernel import commands, rawobjects
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import ForeignReason
from sluice_judge import timestamps

DETAIL_LIMIT: Final = 400
"""Characters quoted from others' messages, which may be whole log files."""


def condition(object_: Object, type_: str) -> Object:
    """The condition of a pod (or of a Deployment), or an empty object."""
    conditions = object_.get("status", {}).get("conditions") or ()
    return next((entry for entry in conditions if entry.get("type") == type_), {})


def server_status(pod: Object) -> Object:
    """The status of the model server's container, the first one of the template; empty while unknown."""
    containers = pod.get("spec", {}).get("containers") or ()
    name = containers[0].get("name") if containers else None
    return next((status for status in statuses(pod, "containerStatuses") if status.get("name") == name), {})


def server_since(pod: Object) -> float | None:
    """Since when the model server's container has been running, in seconds since the epoch; None while it is not."""
    started = state(server_status(pod), "running").get("startedAt")
    return None if started is None else timestamps.seconds(started)


def log_command(pod: Object, status: Object, *options: str) -> str:
    """The command that shows the log of a status's container."""
    container = str(status.get("name"))
    return commands.kubectl("logs", name(pod), "-c", container, *options, namespace=rawobjects.namespace(pod))


def load_seconds(pod: Object) -> float | None:
    """Seconds from when a pod was scheduled to when it last became ready; None while it is not ready."""
    ends = [condition(pod, type_) for type_ in ("PodScheduled", "Ready")]
    moments = [time for end in ends if end.get("status") == "True" and (time := end.get("lastTransitionTime"))]
    if len(moments) < len(ends):
        return None
    scheduled, ready = map(timestamps.seconds, moments)
    return max(0.0, ready - scheduled)


def ready_since(pod: Object) -> float | None:
    """When a pod last became ready, in seconds since the epoch; None while it is not ready, or if unknown."""
    end = condition(pod, "Ready")
    time = end.get("lastTransitionTime") if end.get("status") == "True" else None
    return None if not time else timestamps.seconds(time)


def statuses(pod: Object, field: str) -> Iterator[Object]:
    yield from pod.get("status", {}).get(field) or ()


def all_statuses(pod: Object) -> Iterator[Object]:
    """The statuses of the pod's containers, init containers first."""
    yield from statuses(pod, "initContainerStatuses")
    yield from statuses(pod, "containerStatuses")


def state(status: Object, name: str) -> Object:
    detail: Object = (status.get("state") or {}).get(name) or {}
    return detail


def last_end(status: Object) -> Object:
    """How the container last ended; empty if it never did."""
    end: Object = state(status, "terminated") or (status.get("lastState") or {}).get("terminated") or {}
    return end


def image(pod: Object, status: Object) -> Any:
    """The image as the template names it; the status may say a digest."""
    spec = pod.get("spec", {})
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    names = (entry.get("image") for entry in containers if entry.get("name") == status.get("name"))
    return next(names, None) or status.get("image")


def name(pod: Object) -> str:
    return str(pod.get("metadata", {}).get("name", ""))


def quoted(text: Any) -> str:
    """One line of bounded length, from the end of the text: a log's end says more than its beginning."""
    line = " ".join(str(text or "").split()).rstrip(".; ")
    return line if len(line) <= DETAIL_LIMIT else f"…{line[-DETAIL_LIMIT:]}"


def because(text: Any) -> str:
    detail = quoted(text)
    return f": {detail}" if detail else ""


def camel(text: Any) -> ForeignReason:
    """The text in a form that a condition's reason may have."""
    return ForeignReason(re.sub(r"[^A-Za-z0-9]", "", str(text or "")))
