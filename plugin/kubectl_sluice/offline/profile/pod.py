"""The profiled pod: one more of a revision, known only to the load generator.

    ControllerRevision ──pinned template──> pod sluice.dev/profile=NAME
                                              server     as it serves, without probes that could end it
                                              load       the generator, beside it: 127.0.0.1, no network between

It has none of the labels by which a Service, a PodDisruptionBudget, an autoscaler or the operator finds the pods of a
revision. It never restarts, and ends by itself when its command was killed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from sluice_core.api.base import GROUP
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import differ, naming
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.parsing import podproblems
from sluice_core.render import common
from sluice_core.render.pod.podnames import STORAGE_INITIALIZER, WARM_UP

LABEL: Final = f"{GROUP}/profile"
"""Label with the ModelDeployment of a profiled pod."""
ANNOTATION_REVISION: Final = f"{GROUP}/profiled-revision"
MANAGER: Final = "kubectl-sluice"
GENERATOR: Final = "load"
"""Annotations that would make Prometheus count the load among the model's requests."""
PLAN: Final = "SLUICE_PROFILE"
PAYLOAD: Final = "SLUICE_PAYLOAD_"
CHUNK: Final = 100_000
"""The most characters of one environment variable; Linux allows 128 KiB."""
LARGEST_PAYLOAD: Final = 1_000_000
"""The most characters of a packed payload: the whole pod must fit into 1.5 MiB of etcd."""
THREAD_VARIABLES: Final = ("SLUICE_ONNX_THREADS", "OMP_NUM_THREADS")
"""Variables that set the threads of one inference: ours, and those that most numerical libraries heed."""
TRITON: Final = "tritonserver"


def selector(deployment: str) -> str:
    """Finds the profiled pods of a ModelDeployment, including those left by an earlier run."""
    return f"{LABEL}={deployment}"


def pod_name(revision: str) -> str:
    return f"{revision}-profile"


def profiled_pod(
    revision: Revision,
    deployment: ModelDeployment,
    *,
    threads: int | None,
    generator: Object | None,
    deadline_seconds: int,
) -> dict[str, Any]:
    """The manifest. generator: the container that sends the load; None where it runs elsewhere."""
    template, spec = revision.template, revision.template["spec"]
    first, *others = (_unguarded(each) for each in spec["containers"] if each["name"] != WARM_UP)
    annotations = template.get("metadata", {}).get("annotations") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(revision.name),
            "namespace": deployment.metadata.namespace,
            "labels": {naming.LABEL_MANAGED_BY: MANAGER, LABEL: deployment.metadata.name},
            "annotations": {
                **{name: value for name, value in annotations.items() if not name.startswith(common.SCRAPED)},
                ANNOTATION_REVISION: revision.name,
            },
            "ownerReferences": [{**common.owner_reference(deployment), "controller": False}],
        },
        "spec": {
            **{name: value for name, value in spec.items() if name != "priorityClassName"},  # it preempts no other pod
            "containers": [_steerable(_threaded(first, threads)), *others, *([generator] if generator else ())],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": deadline_seconds,
            "terminationGracePeriodSeconds": 1,
            "shareProcessNamespace": True,  # the generator reads the server's processor time
        },
    }


@dataclass(frozen=True, slots=True)
class Image:
    """An image that contains Python."""

    name: str
    pull_policy: str


def image_of(template: Object) -> Image | None:
    """The downloader's image, which the nodes of this revision already have; None where nothing is downloaded."""
    downloader = next((c for c in _init_containers(template) if c["name"] == STORAGE_INITIALIZER), None)
    return Image(downloader["image"], downloader.get("imagePullPolicy", "IfNotPresent")) if downloader else None


def generator(image: Image, *, program: str, plan: str, payload: str) -> dict[str, Any]:
    """The load generator's container.

    image: only its Python is used; program: source text; payload: packed, empty for none.
    """
    return {
        "name": GENERATOR,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "command": ["python3", "-I", "-c", common.literal(program)],
        "env": [{"name": name, "value": common.literal(value)} for name, value in variables(plan, payload).items()],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "securityContext": common.sealed(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def variables(plan: str, payload: str) -> dict[str, str]:
    """The environment of the generator; Linux limits the size of a variable."""
    chunks = [payload[start : start + CHUNK] for start in range(0, len(payload), CHUNK)]
    return {PLAN: plan, **{f"{PAYLOAD}{number}": chunk for number, chunk in enumerate(chunks)}}


def processor_limit(template: Object) -> float | None:
    """Processors that the containers of a pod may use together; None where one of them has no limit."""
    limits = [
        differ.quantity(((each.get("resources") or {}).get("limits") or {}).get("cpu"))
        for each in template["spec"]["containers"]
        if each["name"] != WARM_UP
    ]
    set_limits = [limit for limit in limits if limit is not None]
    return float(sum(set_limits)) if len(set_limits) == len(limits) else None


def ended(pod: Object) -> str | None:
    """Why it cannot be measured (any more): a container other than the generator has ended; None while it can."""
    for status in podproblems.all_statuses(pod):
        over = (status.get("state") or {}).get("terminated")
        initial = status in ((pod.get("status") or {}).get("initContainerStatuses") or ())
        if over is None or status.get("name") == GENERATOR or (initial and over.get("exitCode") == 0):
            continue
        said = podproblems.quoted(over.get("message"))
        why = over.get("reason") or "Error"
        return f"container {status.get('name')} ended with status {over.get('exitCode')} ({why}){f': {said}' if said else ''}"
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        return f"the pod has failed: {status.get('message') or status.get('reason') or 'its node does not say why'}"
    return None


def generator_ended(pod: Object) -> bool:
    return any(
        status.get("name") == GENERATOR and (status.get("state") or {}).get("terminated") is not None
        for status in podproblems.all_statuses(pod)
    )


def waits_for(pod: Object, now: float) -> str:
    """Why it has not started, with a remedy; empty without a reason."""
    problem = podproblems.problem(pod, now)
    return problem.message if problem is not None else ""


def refusal_remedy(message: str) -> str:
    """The remedy where the API server refuses the pod."""
    if "exceeded quota" in message:
        return "a profile needs room for one more pod of this revision; raise the ResourceQuota of the namespace"
    return podproblems.creation_remedy(message) or (
        "a profile creates its own pod: you need get, list, create and delete of pods, and get of pods/log; "
        "docs/profile.md has the Role"
    )


def _init_containers(template: Object) -> Sequence[Mapping[str, Any]]:
    return template["spec"].get("initContainers") or ()


def _unguarded(container: Mapping[str, Any]) -> dict[str, Any]:
    """Without probes that could end it under load, and without the pause in which a gateway forgets a pod."""
    return {key: value for key, value in container.items() if key not in ("livenessProbe", "lifecycle")}


def _threaded(container: dict[str, Any], threads: int | None) -> dict[str, Any]:
    if threads is None:
        return container
    kept = [each for each in container.get("env") or () if each.get("name") not in THREAD_VARIABLES]
    return {**container, "env": [*kept, *({"name": name, "value": str(threads)} for name in THREAD_VARIABLES)]}


def _steerable(container: dict[str, Any]) -> dict[str, Any]:
    """Triton accepts another configuration of a model only in explicit model control."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    arguments = [str(word) for word in words]
    if not arguments or PurePosixPath(arguments[0]).name != TRITON:
        return container
    if any(word.startswith("--model-control-mode") for word in arguments):
        return container
    load = [] if any(word.startswith("--load-model") for word in arguments) else ["--load-model=*"]
    return {**container, "args": [*(container.get("args") or ()), "--model-control-mode=explicit", *load]}
