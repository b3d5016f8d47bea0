"""What keeps a pod from serving: the kubelet's and the scheduler's states, in words for a person.

Reason and message must not alternate while the cause stays: the kubelet goes back and forth between "pulling" and
"backing off", "running" and "crashed", and each change would be another write and event.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from sluice.core.kernel import rawobjects, timestamps
from sluice.core.kernel.reasons import ForeignReason, PodReason, Reason
from sluice.core.kernel.snapshot import Object, Problem
from sluice.core.render.downloader import STORAGE_INITIALIZER
from sluice.core.render.warmup import WARM_UP

MODEL_LOAD_SECONDS: Final = 60
"""A running server whose model is not ready for this long has a problem."""

DETAIL_LIMIT: Final = 400
"""Characters quoted from others' messages, which may be whole log files."""

NOT_PULLED: Final = {
    PodReason.ERR_IMAGE_PULL,
    PodReason.IMAGE_PULL_BACK_OFF,
    PodReason.ERR_IMAGE_NEVER_PULL,
    PodReason.INVALID_IMAGE_NAME,
}
NOT_CREATED: Final = {
    PodReason.CREATE_CONTAINER_CONFIG_ERROR,
    PodReason.CREATE_CONTAINER_ERROR,
    PodReason.RUN_CONTAINER_ERROR,
}
DOWNLOAD_REMEDIES: Final = {  # by what the downloader's last line begins with
    PodReason.OBJECT_NOT_FOUND: "check spec.model.uri",
    PodReason.ACCESS_DENIED: "check the keys in the Secret of spec.model.credentialsSecretRef, and what they may read",
    PodReason.STORE_UNREACHABLE: "check the address in spec.model.uri, the endpoint (such as AWS_ENDPOINT_URL) in the "
    "Secret of spec.model.credentialsSecretRef, and the network",
    PodReason.UNSUPPORTED_MODEL: "check that spec.model.format and the files at spec.model.uri belong together",
    PodReason.VOLUME_TOO_SMALL: "the node needs more ephemeral storage for this model",
    PodReason.CHECKSUM_MISMATCH: "correct spec.model.sha256, or put the right file at spec.model.uri",
    PodReason.DOWNLOAD_INTERRUPTED: "it is tried again and continues; check the server and the network",
}
LOADING_REMEDIES: Final = {  # by what the server's termination message begins with
    PodReason.MODEL_NOT_LOADABLE: "check that the file at spec.model.uri is whole, and what spec.model.format says",
}
SCHEDULING_REMEDIES: Final = (
    ("ersistent", "create the PersistentVolumeClaim in the model's namespace, or correct spec.model.uri"),
    ("Insufficient", "lower spec.resources.requests, or add a node that has what is missing"),
    ("taint", "add the toleration to spec.tolerations, or a node without the taint"),
    ("affinity", "check spec.nodeSelector and spec.affinity against the labels of the nodes"),
    ("selector", "check spec.nodeSelector and spec.affinity against the labels of the nodes"),
)

WARM_UP_REASONS: Final = (PodReason.WARM_UP_FAILED, PodReason.WARM_UP_TOO_SLOW)

_WARM_UP: Final = re.compile(rf"^({'|'.join(WARM_UP_REASONS)}):[ \t]*(.*)$", re.MULTILINE)
_DOWNLOAD: Final = re.compile(rf"^({'|'.join(DOWNLOAD_REMEDIES)}):[ \t]*(.*)$", re.MULTILINE)
_LOADING: Final = re.compile(rf"^({'|'.join(LOADING_REMEDIES)}):[ \t]*(.*)$", re.MULTILINE)
_BACK_OFF: Final = re.compile(r'^Back-off pulling image "[^"]*"(: )?(ErrImagePull: )?')
_REFUSED_POD: Final = re.compile(r'pods? "[^"]*" is forbidden: ')

CREATION_REMEDIES: Final = (
    ("exceeded quota", "raise the ResourceQuota of the namespace, or lower spec.replicas or spec.resources"),
    ("service account", "create the ServiceAccount, or correct spec.serviceAccountName"),
    (
        "hostPath",
        "allow hostPath volumes in the namespace, or take a claim for storageInitializer.cache of the configuration",
    ),
    ("PodSecurity", "let the ServingRuntime's containers keep to the namespace's pod security standard"),
    ("LimitRange", "keep spec.resources within the LimitRange of the namespace"),
)

Check: TypeAlias = Callable[[Object, float], Problem | None]


def problem(pod: Object, now: float) -> Problem | None:
    """The pod's problem, or None while it serves or is on a normal way there."""
    if condition(pod, "Ready").get("status") == "True":
        return None
    return next((found for check in CHECKS if (found := check(pod, now)) is not None), None)


def creation_problem(deployment: Object) -> Problem | None:
    """Why the API server refuses to create the Deployment's pods: there is no pod then that could tell."""
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    text = quoted(_REFUSED_POD.sub("", failure.get("message") or ""))
    remedy = creation_remedy(text) or "see what it says"
    return Problem(
        _camel(failure.get("reason")) or PodReason.FAILED_CREATE, f"pods cannot be created: {text}; {remedy}"
    )


def creation_remedy(refusal: str) -> str | None:
    """What to do where the API server refuses to create a pod; None where its words are not known."""
    return next((advice for word, advice in CREATION_REMEDIES if word in refusal), None)


def condition(object_: Object, type_: str) -> Object:
    """The condition of a pod (or of a Deployment), or an empty object."""
    conditions = object_.get("status", {}).get("conditions") or ()
    return next((entry for entry in conditions if entry.get("type") == type_), {})


def server_status(pod: Object) -> Object:
    """The status of the model server's container, the first one of the template; empty while unknown."""
    containers = pod.get("spec", {}).get("containers") or ()
    name = containers[0].get("name") if containers else None
    return next((status for status in _statuses(pod, "containerStatuses") if status.get("name") == name), {})


def pod_rejected(pod: Object, _now: float) -> Problem | None:
    """The kubelet refused or evicted it."""
    status = pod.get("status", {})
    if status.get("phase") != rawobjects.Phase.FAILED:
        return None
    return Problem(
        _camel(status.get("reason")) or Reason.POD_FAILED,
        f"pod {_name(pod)}: {quoted(status.get('message') or 'failed')}; check the node's free resources",
    )


def unschedulable(pod: Object, _now: float) -> Problem | None:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != PodReason.UNSCHEDULABLE:
        return None
    text = quoted(scheduled.get("message"))
    remedy = next((advice for word, advice in SCHEDULING_REMEDIES if word in text), "add a node that fits")
    return Problem(PodReason.UNSCHEDULABLE, f"no node for pod {_name(pod)}: {text}; {remedy}")


def image_not_pulled(pod: Object, _now: float) -> Problem | None:
    for status in all_statuses(pod):
        waiting = _state(status, "waiting")
        if waiting.get("reason") not in NOT_PULLED:
            continue
        reason = PodReason(waiting["reason"])
        if reason is PodReason.ERR_IMAGE_PULL:
            reason = PodReason.IMAGE_PULL_BACK_OFF
        detail = _BACK_OFF.sub("", waiting.get("message") or "")
        model = next((image for image in _image_volumes(pod) if image in (waiting.get("message") or "")), None)
        if model is not None:
            return Problem(
                reason,
                f"the model's image {model} cannot be pulled{_because(detail)}; check spec.model.uri, the registry, and the "
                "Secret of spec.model.credentialsSecretRef",
            )
        return Problem(
            reason, f"image {_image(pod, status)} cannot be pulled{_because(detail)}; {_image_remedy(reason, status)}"
        )
    return None


def _image_volumes(pod: Object) -> Iterator[str]:
    for volume in pod.get("spec", {}).get("volumes") or ():
        reference = (volume.get("image") or {}).get("reference")
        if reference:
            yield reference


def _image_remedy(reason: PodReason, status: Object) -> str:
    if status.get("name") == STORAGE_INITIALIZER:
        return "check storageInitializer in the operator's configuration"
    if reason == PodReason.ERR_IMAGE_NEVER_PULL:
        return "bring the image to the node, or change imagePullPolicy in the ServingRuntime"
    return "check its name in the ServingRuntime, the registry, and spec.imagePullSecrets"


def credentials_not_found(pod: Object, _now: float) -> Problem | None:
    """The downloader's Secret, or one of its keys, is missing."""
    missing = _missing_secret(_statuses(pod, "initContainerStatuses"))
    if not missing:
        return None
    remedy = f"create the Secret with {_required_keys(pod)}, or correct spec.model.credentialsSecretRef"
    return Problem(Reason.CREDENTIALS_NOT_FOUND, f"{missing}; {remedy}")


def data_credentials_not_found(pod: Object, _now: float) -> Problem | None:
    """The Secret of a batch's data, or one of its keys, is missing."""
    missing = _missing_secret(_statuses(pod, "containerStatuses"))
    if not missing:
        return None
    return Problem(
        Reason.CREDENTIALS_NOT_FOUND,
        f"{missing}; create the Secret with the keys of its store, or correct spec.input.credentialsSecretRef or "
        "spec.output.credentialsSecretRef",
    )


def _missing_secret(statuses: Iterable[Object]) -> str:
    """What the kubelet says of a Secret, or a key of it, that a container cannot start without; empty where it is there."""
    for status in statuses:
        waiting = _state(status, "waiting")
        message = waiting.get("message") or ""
        if waiting.get("reason") == PodReason.CREATE_CONTAINER_CONFIG_ERROR and "secret" in message.lower():
            return quoted(message)
    return ""


def _required_keys(pod: Object) -> str:
    """The keys of its Secret that the downloader cannot do without."""
    containers = pod.get("spec", {}).get("initContainers") or ()
    references = [
        (entry.get("valueFrom") or {}).get("secretKeyRef") or {} for one in containers for entry in one.get("env") or ()
    ]
    return " and ".join(r["key"] for r in references if r and not r.get("optional")) or "the keys of its source"


def container_not_created(pod: Object, _now: float) -> Problem | None:
    for status in all_statuses(pod):
        waiting = _state(status, "waiting")
        if waiting.get("reason") in NOT_CREATED:
            return Problem(
                PodReason(waiting["reason"]),
                f"container {status.get('name')} cannot be created{_because(waiting.get('message'))}; "
                "check spec.runtime.env and the ServingRuntime",
            )
    return None


def out_of_memory(pod: Object, _now: float) -> Problem | None:
    for status in all_statuses(pod):
        if _last_end(status).get("reason") != PodReason.OOM_KILLED:
            continue
        remedy = "raise spec.resources.limits.memory"
        if status.get("name") == STORAGE_INITIALIZER:
            remedy = "raise storageInitializer.resources in the operator's configuration"
        return Problem(
            PodReason.OOM_KILLED, f"container {status.get('name')} needs more memory than its limit; {remedy}"
        )
    return None


def download_failed(pod: Object, _now: float) -> Problem | None:
    for status in _statuses(pod, "initContainerStatuses"):
        end = _last_end(status)
        if status.get("name") != STORAGE_INITIALIZER or not end or end.get("exitCode") == 0:
            continue
        text = end.get("message") or ""
        known = list(_DOWNLOAD.finditer(text))
        if known:
            reason, text = known[-1].groups()
            return Problem(PodReason(reason), _with_remedy(quoted(text), DOWNLOAD_REMEDIES[PodReason(reason)]))
        return Problem(
            Reason.MODEL_DOWNLOAD_FAILED,
            f"the model could not be downloaded (exit code {end.get('exitCode')}){_because(text)}; "
            f"see `kubectl logs {_name(pod)} -c {status.get('name')}`",
        )
    return None


def model_not_loadable(pod: Object, _now: float) -> Problem | None:
    """The server ended because the model is none, and said so."""
    for status in all_statuses(pod):
        said = _LOADING.search(_last_end(status).get("message") or "")
        if said:
            reason, text = said.groups()
            return Problem(PodReason(reason), f"{quoted(text)}; {LOADING_REMEDIES[PodReason(reason)]}")
    return None


def not_warm(pod: Object, _now: float) -> Problem | None:
    """The first requests were refused, or are still too slow."""
    for status in _statuses(pod, "containerStatuses"):
        said = _WARM_UP.search(_last_end(status).get("message") or "") if status.get("name") == WARM_UP else None
        if said:
            reason, text = said.groups()
            return Problem(PodReason(reason), quoted(text))
    return None


def crash_looping(pod: Object, _now: float) -> Problem | None:
    """It ended and was started again, or waits for that; whichever of the two is seen now."""
    return _crashed(pod, _statuses(pod, "containerStatuses"))


def sidecar_crashing(pod: Object, _now: float) -> Problem | None:
    """The same of a server beside the container that does the work."""
    statuses = _statuses(pod, "initContainerStatuses")
    return _crashed(pod, (status for status in statuses if status.get("name") != STORAGE_INITIALIZER))


def _crashed(pod: Object, statuses: Iterable[Object]) -> Problem | None:
    for status in statuses:
        end = _last_end(status)
        if not end:
            continue
        return Problem(
            PodReason.CRASH_LOOP_BACK_OFF,
            f"container {status.get('name')} ended with exit code {end.get('exitCode')} "
            f"({status.get('restartCount', 0)} restarts){_because(end.get('message'))}; "
            f"see `kubectl logs {_name(pod)} -c {status.get('name')} --previous`",
        )
    return None


def model_not_ready(pod: Object, now: float) -> Problem | None:
    status = server_status(pod)
    started = _state(status, "running").get("startedAt")
    if status.get("ready") or started is None or now - timestamps.seconds(started) < MODEL_LOAD_SECONDS:
        return None
    return Problem(
        Reason.MODEL_NOT_READY,
        f"the model server runs for more than {MODEL_LOAD_SECONDS} s, but the model is not ready; if it is still "
        f"loading, wait; otherwise see `kubectl logs {_name(pod)} -c {status.get('name')}`",
    )


CHECKS: Final[tuple[Check, ...]] = (  # first that answers wins: a cause before what follows from it
    pod_rejected,
    unschedulable,
    image_not_pulled,
    credentials_not_found,
    container_not_created,
    out_of_memory,
    download_failed,
    model_not_loadable,
    not_warm,
    crash_looping,
    model_not_ready,
)


JOB_CHECKS: Final[tuple[Check, ...]] = (
    pod_rejected,
    unschedulable,
    image_not_pulled,
    container_not_created,
    out_of_memory,
)


def job_problem(pod: Object, now: float) -> Problem | None:
    """What keeps the pod of a Job from its work."""
    return next((found for check in JOB_CHECKS if (found := check(pod, now)) is not None), None)


def ended_without_words(pod: Object, _now: float) -> Problem | None:
    """A container of a Job ended with nothing but a number, or a log."""
    for status in _statuses(pod, "containerStatuses"):
        end = _state(status, "terminated")
        if end:
            what = f"container {status.get('name')} ended with exit code {end.get('exitCode')}"
            return Problem(Reason.SHARD_FAILED, f"{what}{_because(end.get('message'))}")
    return None


BATCH_CHECKS: Final[tuple[Check, ...]] = (
    unschedulable,
    image_not_pulled,
    data_credentials_not_found,
    credentials_not_found,
    container_not_created,
    out_of_memory,
    download_failed,
    model_not_loadable,
    sidecar_crashing,
)
END_CHECKS: Final[tuple[Check, ...]] = (out_of_memory, download_failed, ended_without_words, pod_rejected)


def batch_problem(pod: Object, now: float) -> Problem | None:
    """What keeps the pod of a batch run, which has not ended, from its work."""
    return next((found for check in BATCH_CHECKS if (found := check(pod, now)) is not None), None)


def batch_end(pod: Object, now: float) -> Problem | None:
    """Why the pod of a batch run failed that gave no reason itself."""
    return next((found for check in END_CHECKS if (found := check(pod, now)) is not None), None)


def _statuses(pod: Object, field: str) -> Iterator[Object]:
    yield from pod.get("status", {}).get(field) or ()


def all_statuses(pod: Object) -> Iterator[Object]:
    """Of its containers, those that run before the others first."""
    yield from _statuses(pod, "initContainerStatuses")
    yield from _statuses(pod, "containerStatuses")


def _state(status: Object, name: str) -> Object:
    state: Object = (status.get("state") or {}).get(name) or {}
    return state


def _last_end(status: Object) -> Object:
    """How the container ended last; empty when it never did."""
    end: Object = _state(status, "terminated") or (status.get("lastState") or {}).get("terminated") or {}
    return end


def _image(pod: Object, status: Object) -> Any:
    """The image as the template names it; the status may say a digest."""
    spec = pod.get("spec", {})
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    names = (entry.get("image") for entry in containers if entry.get("name") == status.get("name"))
    return next(names, None) or status.get("image")


def _name(pod: Object) -> str:
    return str(pod.get("metadata", {}).get("name", ""))


def quoted(text: Any) -> str:
    """One line of bounded length; the end of a log says more than its beginning."""
    line = " ".join(str(text or "").split()).rstrip(".; ")
    return line if len(line) <= DETAIL_LIMIT else f"…{line[-DETAIL_LIMIT:]}"


def _with_remedy(text: str, remedy: str) -> str:
    """The downloader says `what happened; what to do` where it can."""
    return text if ";" in text else f"{text}; {remedy}"


def _because(text: Any) -> str:
    detail = quoted(text)
    return f": {detail}" if detail else ""


def _camel(text: Any) -> ForeignReason:
    """As a condition may say it."""
    return ForeignReason(re.sub(r"[^A-Za-z0-9]", "", str(text or "")))
