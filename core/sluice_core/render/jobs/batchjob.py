"""The Indexed Job that runs a data set through a model, with a pod for each shard.

    storage-initializer --(writes)--> /models --(reads)--> batch              onnx: the model runs in the runner's process
    storage-initializer --(writes)--> /models --(reads)--> server <--HTTP-- batch    otherwise, on loopback

The pod is the revision's own, with the runner in place of the senders of requests.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sluice_core.api.config import AcceleratorProfile, BatchRunner, OperatorConfig
from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.batchinference import RUN_PLACEHOLDER, BatchInference, BatchRun, Engine, Output
from sluice_core.api.v1alpha1.common import LocalObjectRef
from sluice_core.api.v1alpha1.data import Input
from sluice_core.api.v1alpha1.workload import Accelerator, Resources
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common
from sluice_core.render.pod import downloader, podextras, podnames, podtemplate

INDEX_LABEL: Final = "batch.kubernetes.io/job-completion-index"
PROGRESS_PORT: Final = 8090
BAD_INPUT: Final = 42
"""Exit code of the runner for errors that retries do not cure."""
IN_PROCESS: Final = frozenset({"onnx"})
"""Formats that the runner's own library runs."""
SCRATCH: Final = "/scratch"
DATA: Final = "/data"
INPUT: Final = "input"
OUTPUT: Final = "output"
GRACE_SECONDS: Final = 30
LOAD_SECONDS: Final = 600
"""Default time in which a server must load its model."""
NOT_IN_A_SIDECAR: Final = {"lifecycle", "readinessProbe"}
"""No Service sends requests to it, and it ends after the runner."""
NOT_IN_A_BATCH: Final = {
    "containers",
    "initContainers",
    "priorityClassName",  # a batch preempts no serving pods
    "resourceClaims",
    "topologySpreadConstraints",
    "volumes",
}
"""Fields of the revision's pod that a batch omits or defines itself."""


class ProtocolNotSupported(ValueError):
    """The revision's server speaks no protocol of the runner's."""

    def __init__(self, revision: Revision) -> None:
        super().__init__(
            f"ServingRuntime {revision.runtime} of revision {revision.name} speaks neither V2 nor V1 over HTTP; batch "
            "inference needs one of them, or a model of format onnx"
        )


@dataclass(frozen=True, slots=True)
class Task:
    """The work of a Job's pods, and their resources."""

    run: str
    """Name of the run and its Job."""
    input: Input
    output: Output | None
    """None: nothing is written, and the answers are compared with `labels`."""
    labels: str
    """The column with the right answers; empty if there is an output."""
    batch_size: int
    maximum_failed_rows_percent: str
    engine: Engine
    resources: Resources | None = None
    accelerator: Accelerator | None = None
    image_pull_secrets: Sequence[LocalObjectRef] = ()
    """Pull secrets in addition to the revision's."""
    deadline_seconds: int | None = None
    suspend: bool = False


def desired_job(batch: BatchInference, run: BatchRun, revision: Revision, config: OperatorConfig) -> dict[str, Any]:
    """The Job of a run. Raises `ProtocolNotSupported` and `podtemplate.UnknownProfile`."""
    task = task_of(batch, run)
    labels = naming.batch_labels(batch.metadata.name)
    pod = template(task, revision, config, config.batch_runner, task.engine.shard_count, labels=labels)
    return job(task, pod, metadata(batch, run))


def task_of(batch: BatchInference, run: BatchRun) -> Task:
    """The task of a BatchInference's run."""
    spec = batch.spec
    return Task(
        run=run.name,
        input=spec.input.model_copy(update={"uri": run.input_uri or spec.input.uri}),
        output=spec.output.model_copy(update={"uri": run.uri or spec.output.uri.replace(RUN_PLACEHOLDER, run.name)}),
        labels="",
        batch_size=spec.batch_size,
        maximum_failed_rows_percent=spec.maximum_failed_rows_percent,
        engine=spec.engine,
        resources=spec.resources,
        accelerator=spec.accelerator,
        image_pull_secrets=spec.image_pull_secrets or (),
        deadline_seconds=spec.active_deadline_seconds,
        suspend=spec.suspend,
    )


def metadata(batch: BatchInference, run: BatchRun) -> dict[str, Any]:
    """The metadata of the object that executes a run."""
    return {
        "name": run.name,
        "namespace": batch.metadata.namespace,
        "labels": naming.batch_labels(batch.metadata.name),
        "ownerReferences": [common.owner_reference(batch)],
    }


def job(task: Task, pod: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The Job of a task with a pod for each of its shards."""
    bad_input = {"containerName": naming.BATCH_CONTAINER, "operator": "In", "values": [BAD_INPUT]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": dict(metadata),
        "spec": {
            "completionMode": "Indexed",
            "completions": task.engine.shard_count,
            "parallelism": task.engine.pods_at_once,
            "backoffLimitPerIndex": task.engine.retries,
            "maxFailedIndexes": 0,
            "suspend": task.suspend,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": bad_input},
                    # A drained node or a preempted pod says nothing about the shard.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            **({"activeDeadlineSeconds": task.deadline_seconds} if task.deadline_seconds is not None else {}),
            "template": pod,
        },
    }


def template(
    task: Task,
    revision: Revision,
    config: OperatorConfig,
    runner: BatchRunner,
    parts: int,
    *,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """The pod that runs data through the model. parts: number of pods that share the work, which decides how finely it
    is split.

    Its labels are not the revision's: no Service and no budget of a model may select the pod.
    Raises `ProtocolNotSupported` and `podtemplate.UnknownProfile`.
    """
    pinned = revision.template["spec"]
    accelerator = podtemplate.accelerator_profile(task.accelerator, config)
    server, *others = _servers(revision)
    server = _with_resources(server, task, accelerator)
    alone = _runs_in_process(revision, server)
    sidecars = [] if alone else [_sidecar(container) for container in (server, *others)]
    container = _runner(task, revision, runner, parts, server if alone else None)
    before = [each for each in pinned.get("initContainers", ()) if not (alone and common.is_sidecar(each))]
    init = [*before, *sidecars]
    volumes = [*pinned.get("volumes", ()), {"name": "scratch", "emptyDir": {}}, *_data_volumes(task)]
    return {
        "metadata": {
            "labels": dict(labels),
            "annotations": {
                **revision.template["metadata"].get("annotations", {}),
                **common.scraped(PROGRESS_PORT, "/metrics"),
            },
        },
        "spec": {
            **{name: value for name, value in pinned.items() if name not in NOT_IN_A_BATCH},
            **_placement(pinned, accelerator),
            **_claims(pinned, init),
            **_pull_secrets(pinned, task),
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "initContainers": init,
            "containers": [container],
            "volumes": list(_mounted(volumes, [*init, container])),
        },
    }


def require_protocol(revision: Revision) -> None:
    """Raises `ProtocolNotSupported` if `template` would, for a task that requests no resources of its own."""
    server, *_ = _servers(revision)
    if not _runs_in_process(revision, server):
        _asked_server(revision)


def _servers(revision: Revision) -> list[Mapping[str, Any]]:
    """The revision's containers, the model server first, without senders of requests."""
    return [container for container in revision.template["spec"]["containers"] if container["name"] != podnames.WARM_UP]


def _runs_in_process(revision: Revision, server: Mapping[str, Any]) -> bool:
    """Not a user's own image, whose treatment of the model is unknown, nor a model that needs its server's device."""
    served = revision.served
    assert served is not None
    return served.format in IN_PROCESS and not served.own_image and not _devices(server) and not _claimed(server)


def _devices(container: Mapping[str, Any]) -> list[str]:
    """The extended resources that it requests."""
    return [name for name in (container.get("resources") or {}).get("limits") or {} if "/" in name]


def _claimed(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pod's claims that are its own."""
    return list((container.get("resources") or {}).get("claims") or ())


def _claims(pinned: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The revision's claims of devices, without those of omitted containers."""
    used = {claim["name"] for container in containers for claim in _claimed(container)}
    kept = [claim for claim in pinned.get("resourceClaims", ()) if claim["name"] in used]
    return {"resourceClaims": kept} if kept else {}


def _pull_secrets(pinned: Mapping[str, Any], task: Task) -> dict[str, Any]:
    own = [ref.to_wire() for ref in task.image_pull_secrets]
    return {"imagePullSecrets": podextras.pull_secrets(pinned.get("imagePullSecrets", ()), own)} if own else {}


def _with_resources(server: Mapping[str, Any], task: Task, accelerator: AcceleratorProfile | None) -> dict[str, Any]:
    """The server with the task's resources in place of the revision's."""
    resources = dict(server.get("resources") or {})
    if task.resources is not None:
        devices = {name: resources["limits"][name] for name in _devices(server)}
        claims = _claimed(server)
        resources = {name: value for name, value in task.resources.to_wire().items() if value}
        if claims:
            resources["claims"] = claims
        if devices:
            resources["limits"] = {**resources.get("limits", {}), **devices}
    if task.accelerator is not None and accelerator is not None:
        plain = {
            kind: {name: amount for name, amount in amounts.items() if "/" not in name}
            for kind, amounts in resources.items()
            if kind != "claims"  # the revision's: the task's devices replace them
        }
        resources = podtemplate.with_devices(plain, accelerator.resource, task.accelerator.count)
    return {**server, "resources": resources}


def _placement(pinned: Mapping[str, Any], accelerator: AcceleratorProfile | None) -> dict[str, Any]:
    """Where the task's devices are."""
    if accelerator is None:
        return {}
    fields: dict[str, Any] = {
        "nodeSelector": {**pinned.get("nodeSelector", {}), **accelerator.node_selector},
        "tolerations": [*pinned.get("tolerations", ()), *accelerator.tolerations],
        "runtimeClassName": accelerator.runtime_class_name,
    }
    return {name: value for name, value in fields.items() if value}


def _sidecar(container: Mapping[str, Any]) -> dict[str, Any]:
    """A native sidecar: the runner begins when its startup probe reports that the model is loaded."""
    startup = container.get("startupProbe") or _while_loading(container.get("readinessProbe"))
    return {
        **{name: value for name, value in container.items() if name not in NOT_IN_A_SIDECAR},
        **({"startupProbe": startup} if startup else {}),
        "restartPolicy": "Always",
    }


def _while_loading(readiness: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A readiness probe as a startup probe, which ends the server when it fails for good."""
    if readiness is None:
        return None
    tries = LOAD_SECONDS // int(readiness.get("periodSeconds", 10))
    return {**readiness, "failureThreshold": max(1, tries), "successThreshold": 1}


def _runner(
    task: Task, revision: Revision, runner: BatchRunner, parts: int, model: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The container that reads, asks and writes; `model`: the server whose model it runs itself."""
    own = task.resources.to_wire() if task.resources is not None and model is not None else {}
    asked = _asked_model() if model is not None else _asked_server(revision)
    return {
        "name": naming.BATCH_CONTAINER,
        "image": runner.image,
        "imagePullPolicy": runner.image_pull_policy,
        "args": [common.literal(argument) for argument in (*_arguments(task, parts), *asked)],
        "env": [
            variable
            for name, data, _ in _data(task)
            for variable in downloader.credentials(data.uri, data.credentials_secret_ref, f"{name.upper()}_")
        ],
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT}],
        "resources": {name: value for name, value in own.items() if value} or runner.resources.to_wire(),
        "volumeMounts": [
            *(_model_mounts(model) if model is not None else ()),
            common.TMP_MOUNT,
            {"name": "scratch", "mountPath": SCRATCH},
            *_data_mounts(task),
        ],
        "securityContext": common.sealed(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _arguments(task: Task, parts: int) -> list[str]:
    output = task.output
    written = (
        {
            "--output": _local(OUTPUT, output.uri),
            "--output-format": output.format.value,
            "--mode": output.mode.value,
            **({"--keep": ",".join(output.columns)} if output.columns else {}),
        }
        if output is not None
        else {"--labels": task.labels}
    )
    arguments = {
        "--run": task.run,
        "--shards": str(parts),
        "--input": _local(INPUT, task.input.uri),
        "--input-format": task.input.format.value,
        **({"--columns": ",".join(task.input.columns)} if task.input.columns else {}),
        **written,
        "--batch-size": str(task.batch_size),
        "--maximum-failed-rows-percent": task.maximum_failed_rows_percent.removesuffix("%"),
        "--progress-port": str(PROGRESS_PORT),
        "--scratch": SCRATCH,
    }
    return [part for pair in arguments.items() for part in pair]


def _asked_model() -> list[str]:
    return ["--model", naming.MODEL_PATH]


def _asked_server(revision: Revision) -> list[str]:
    served = revision.served
    if served is None or not served.protocol:
        raise ProtocolNotSupported(revision)
    endpoint = f"http://127.0.0.1:{revision.port}"
    return ["--endpoint", endpoint, "--protocol", served.protocol, "--model-name", served.name]


def _model_mounts(server: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where the server would find the model: in the downloader's volume, or through links into a mounted one."""
    volumes = {"models", podnames.MODEL_VOLUME}
    return [{**mount, "readOnly": True} for mount in server.get("volumeMounts", ()) if mount["name"] in volumes]


def _data_volumes(task: Task) -> list[dict[str, Any]]:
    return [
        {"name": name, "persistentVolumeClaim": {"claimName": sources.claim_and_path(data.uri)[0]} | read_only}
        for name, data, read_only in _data(task)
        if sources.scheme(data.uri) == "pvc"
    ]


def _data_mounts(task: Task) -> list[dict[str, Any]]:
    """Mounts the whole claim: a missing path must be reported, and mounting a part would create it."""
    return [
        {"name": name, "mountPath": f"{DATA}/{name}"} | read_only
        for name, data, read_only in _data(task)
        if sources.scheme(data.uri) == "pvc"
    ]


def _data(task: Task) -> Iterator[tuple[str, Input | Output, dict[str, bool]]]:
    """Name, value, and mount options of its volume."""
    yield INPUT, task.input, {"readOnly": True}
    if task.output is not None:
        yield OUTPUT, task.output, {}


def _local(name: str, uri: str) -> str:
    """The URI for the runner: what the pod mounts is a file there."""
    if sources.scheme(uri) != "pvc":
        return uri
    _, path = sources.claim_and_path(uri)
    return f"file://{DATA}/{name}/{path}".rstrip("/")


def _mounted(
    volumes: Iterable[Mapping[str, Any]], containers: Sequence[Mapping[str, Any]]
) -> Iterable[Mapping[str, Any]]:
    """The volumes without those of omitted containers."""
    used = {mount["name"] for container in containers for mount in container.get("volumeMounts", ())}
    return (volume for volume in volumes if volume["name"] in used)
