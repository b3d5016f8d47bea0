"""The model: its download, its loading, its warm-up, and a server that runs without it."""

import re
from typing import Final

from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import PodReason, Reason
from sluice_core.parsing.podproblems import podstate
from sluice_core.render.pod import podnames
from sluice_judge import timestamps

MODEL_LOAD_SECONDS: Final = 60
"""A running server whose model is not ready for this long has a problem."""
DOWNLOAD_REMEDIES: Final = {  # by the beginning of the downloader's last line
    PodReason.OBJECT_NOT_FOUND: "check spec.model.uri",
    PodReason.ACCESS_DENIED: "check the keys in the Secret of spec.model.credentialsSecretRef, and what they may read",
    PodReason.STORE_UNREACHABLE: "check the address in spec.model.uri, the endpoint (such as AWS_ENDPOINT_URL) in the "
    "Secret of spec.model.credentialsSecretRef, and the network",
    PodReason.UNSUPPORTED_MODEL: "check that spec.model.format matches the files at spec.model.uri",
    PodReason.VOLUME_TOO_SMALL: "the node needs more ephemeral storage for this model",
    PodReason.CHECKSUM_MISMATCH: "correct spec.model.sha256, or put the right file at spec.model.uri",
    PodReason.VERIFICATION_FAILED: "have the model signed by somebody who is trusted, or put back what was signed",
    PodReason.DOWNLOAD_INTERRUPTED: "the download is retried and continues; check the server and the network",
}
LOADING_REMEDIES: Final = {  # by the beginning of the server's termination message
    PodReason.MODEL_NOT_LOADABLE: "check that the file at spec.model.uri is complete, and check spec.model.format",
}
ZIPMAP: Final = "export the model with tensors only (skl2onnx: options={'zipmap': False})"
_TRITON_ENDS: Final = "failed to load all models"
_TRITON_CAUSE: Final = re.compile(
    r"failed to load '[^']+' version [^:]*: (.+?)\"?$|UNAVAILABLE: (.+?) *\|", re.MULTILINE
)
"""A line of its log, or of its table of models."""
_NO_TENSOR: Final = re.compile("ONNX_TYPE_(SEQUENCE|MAP)")
_SOURCE: Final = re.compile(r"\bspec\.model\.(uri|sha256|credentialsSecretRef)\b")
"""The downloader's names for its fields, since it knows only one source."""
WARM_UP_REASONS: Final = (PodReason.WARM_UP_FAILED, PodReason.WARM_UP_TOO_SLOW)
_WARM_UP: Final = re.compile(rf"^({'|'.join(WARM_UP_REASONS)}):[ \t]*(.*)$", re.MULTILINE)
_DOWNLOAD: Final = re.compile(rf"^({'|'.join(DOWNLOAD_REMEDIES)}):[ \t]*(.*)$", re.MULTILINE)
_LOADING: Final = re.compile(rf"^({'|'.join(LOADING_REMEDIES)}):[ \t]*(.*)$", re.MULTILINE)


def download_failed(pod: Object, _now: float) -> Problem | None:
    for status in podstate.statuses(pod, "initContainerStatuses"):
        end = podstate.last_end(status)
        field = podnames.field_of(str(status.get("name")))
        if not field or not end or end.get("exitCode") == 0:
            continue
        text = end.get("message") or ""
        known = list(_DOWNLOAD.finditer(text))
        if known:
            reason, text = known[-1].groups()
            message = _with_remedy(podstate.quoted(text), DOWNLOAD_REMEDIES[PodReason(reason)])
            return Problem(PodReason(reason), _SOURCE.sub(rf"{field}.\1", message))
        return Problem(
            Reason.MODEL_DOWNLOAD_FAILED,
            f"{'the model' if field == podnames.MODEL_FIELD else field} could not be downloaded (exit code {end.get('exitCode')}){podstate.because(text)}; "
            f"see `{podstate.log_command(pod, status)}`",
        )
    return None


def model_not_loadable(pod: Object, _now: float) -> Problem | None:
    """The server ended because the model is invalid, and reported it."""
    for status in podstate.all_statuses(pod):
        log = podstate.last_end(status).get("message") or ""
        said = _LOADING.search(log)
        if said:
            reason, text = said.groups()
            return Problem(PodReason(reason), _with_remedy(podstate.quoted(text), LOADING_REMEDIES[PodReason(reason)]))
        if _TRITON_ENDS in log:
            return Problem(PodReason.MODEL_NOT_LOADABLE, _by_triton(log, pod, status))
    return None


def _by_triton(log: str, pod: Object, status: Object) -> str:
    """The message of NVIDIA's own image. The kubelet keeps the end of its log, which often begins after the cause."""
    found = _TRITON_CAUSE.search(log)
    if found is None:
        command = f"{podstate.log_command(pod, status, '--previous')} | grep 'failed to load'"
        return f"Triton could not load the model; see why: `{command}`. ONNX_TYPE_SEQUENCE in it means: {ZIPMAP}"
    cause = podstate.quoted(next(filter(None, found.groups())))
    remedy = ZIPMAP if _NO_TENSOR.search(cause) else LOADING_REMEDIES[PodReason.MODEL_NOT_LOADABLE]
    return f"Triton could not load the model: {cause}; {remedy}"


def not_warm(pod: Object, _now: float) -> Problem | None:
    """The first requests were refused, or are still too slow."""
    for status in podstate.statuses(pod, "containerStatuses"):
        said = (
            _WARM_UP.search(podstate.last_end(status).get("message") or "")
            if status.get("name") == podnames.WARM_UP
            else None
        )
        if said:
            reason, text = said.groups()
            return Problem(PodReason(reason), podstate.quoted(text))
    return None


def model_not_ready(pod: Object, now: float) -> Problem | None:
    status = podstate.server_status(pod)
    started = podstate.state(status, "running").get("startedAt")
    if status.get("ready") or started is None or now - timestamps.seconds(started) < MODEL_LOAD_SECONDS:
        return None
    return Problem(
        Reason.MODEL_NOT_READY,
        f"the model server has been running for more than {MODEL_LOAD_SECONDS} s, but the model is not ready; if it "
        f"is still loading, wait; otherwise see `{podstate.log_command(pod, status)}`",
    )


def sidecar_not_ready(pod: Object, now: float) -> Problem | None:
    """A container of the ServingRuntime that starts before the server works for long, or is not ready beside it."""
    for status in podstate.statuses(pod, "initContainerStatuses"):
        started = podstate.state(status, "running").get("startedAt")
        if podnames.field_of(str(status.get("name"))) or status.get("ready") or started is None:
            continue
        if now - timestamps.seconds(started) >= MODEL_LOAD_SECONDS:
            return Problem(
                Reason.MODEL_NOT_READY,
                f"container {status.get('name')} of the ServingRuntime has been running for more than "
                f"{MODEL_LOAD_SECONDS} s, and the pod waits for it; if it is still at work, wait; otherwise see "
                f"`{podstate.log_command(pod, status)}`",
            )
    return None


def _with_remedy(text: str, remedy: str) -> str:
    """Downloaders and servers report `what happened; what to do` where they can."""
    return text if ";" in text else f"{text}; {remedy}"
