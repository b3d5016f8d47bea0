"""Containers that cannot be created: a Secret or another part of their configuration is missing."""

from collections.abc import Iterable
from typing import Final

from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import PodReason, Reason
from sluice_core.parsing.podproblems import podstate
from sluice_core.render.pod import podnames

NOT_CREATED: Final = {
    PodReason.CREATE_CONTAINER_CONFIG_ERROR,
    PodReason.CREATE_CONTAINER_ERROR,
    PodReason.RUN_CONTAINER_ERROR,
}


def credentials_not_found(pod: Object, _now: float) -> Problem | None:
    """A downloader's Secret, or one of its keys, is missing."""
    statuses = podstate.statuses(pod, "initContainerStatuses")
    container, missing = _missing_secret(status for status in statuses if podnames.field_of(str(status.get("name"))))
    if not missing:
        return None
    field = podnames.field_of(container) or podnames.MODEL_FIELD
    remedy = f"create the Secret with {_required_keys(pod, container)}, or correct {field}.credentialsSecretRef"
    return Problem(Reason.CREDENTIALS_NOT_FOUND, f"{missing}; {remedy}")


def data_credentials_not_found(pod: Object, _now: float) -> Problem | None:
    """The Secret of a batch's data, or one of its keys, is missing."""
    _, missing = _missing_secret(podstate.statuses(pod, "containerStatuses"))
    if not missing:
        return None
    return Problem(
        Reason.CREDENTIALS_NOT_FOUND,
        f"{missing}; create the Secret with the keys of its store, or correct spec.input.credentialsSecretRef or "
        "spec.output.credentialsSecretRef",
    )


def _missing_secret(statuses: Iterable[Object]) -> tuple[str, str]:
    """A container, and the kubelet's message about a required Secret or key that is missing; empty: none."""
    for status in statuses:
        waiting = podstate.state(status, "waiting")
        message = waiting.get("message") or ""
        if waiting.get("reason") == PodReason.CREATE_CONTAINER_CONFIG_ERROR and "secret" in message.lower():
            return str(status.get("name")), podstate.quoted(message)
    return "", ""


def _required_keys(pod: Object, container: str) -> str:
    """The required keys of a downloader's Secret."""
    containers = pod.get("spec", {}).get("initContainers") or ()
    references = [
        (entry.get("valueFrom") or {}).get("secretKeyRef") or {}
        for one in containers
        if one.get("name") == container
        for entry in one.get("env") or ()
    ]
    return " and ".join(r["key"] for r in references if r and not r.get("optional")) or "the keys of its source"


def container_not_created(pod: Object, _now: float) -> Problem | None:
    for status in podstate.all_statuses(pod):
        waiting = podstate.state(status, "waiting")
        if waiting.get("reason") in NOT_CREATED:
            return Problem(
                PodReason(waiting["reason"]),
                f"container {status.get('name')} cannot be created{podstate.because(waiting.get('message'))}; "
                "check spec.runtime.env and the ServingRuntime",
            )
    return None
