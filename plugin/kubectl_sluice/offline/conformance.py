"""Objects that `kubectl sluice runtime check` creates to try a ServingRuntime; all are deleted with the
ModelDeployment.

ModelDeployment ──operator──> revision, two pods
    ├─owns─> pod …-wrong    the revision's pod once more, with every file of the model overwritten before the server starts
    ├─owns─> Service …-client
    └─owns─> pod …-client   asks that Service at a steady rate while the two pods are replaced
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kubectl_sluice.offline.profile import pod
from kubectl_sluice.offline.profile.sweep import infer_path
from sluice_core.api.base import API_VERSION, GROUP
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import Protocol, ServingRuntime
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.render import common
from sluice_core.render.pod.podnames import STORAGE_INITIALIZER
from sluice_core.render.traffic.service import desired_service
from sluice_core.render.workload import NOT_IN_A_POD

LABEL: Final = f"{GROUP}/runtime-check"
"""Annotation with the ServingRuntime that an object was made to try."""
REPLICAS: Final = 2
DRAIN_SECONDS: Final = 10
LONGEST_NAME: Final = 36
SPOILER: Final = "spoiler"
SPOIL: Final = f"""
import os
from pathlib import Path
for folder, folders, files in os.walk("{naming.MODEL_PATH}"):
    for path in (Path(folder, name) for name in [*folders, *files]):
        if path.is_symlink() or path.is_file():
            path.unlink()  # never written through: a link may lead to the node's cache
            path.write_text("this is no model")
"""


@dataclass(frozen=True, slots=True)
class RuntimeTrial:
    """The runtime to try, and its inputs."""

    runtime: ServingRuntime
    namespace: str
    format: str
    uri: str | None
    """None: the image carries the model."""
    model_name: str
    credentials_secret: str | None
    image: str | None
    port: int | None
    readiness_path: str | None
    spec: Object = field(default_factory=dict)
    """The rest of a ModelDeployment's spec, as given."""

    @property
    def name(self) -> str:
        """The ModelDeployment's name."""
        return f"{self.runtime.metadata.name.replace('.', '-')[:LONGEST_NAME].rstrip('-')}-check"


def trial_deployment(trial: RuntimeTrial) -> dict[str, Any]:
    """The ModelDeployment. It takes the fields that affect pods from the trial's spec."""
    given = {name: value for name, value in trial.spec.items() if name not in NOT_IN_A_POD}
    secret = {"name": trial.credentials_secret} if trial.credentials_secret is not None else None
    model = {"name": trial.model_name, "format": trial.format, "uri": trial.uri, "credentialsSecretRef": secret}
    runtime = {
        "name": trial.runtime.metadata.name,
        "image": trial.image,
        "port": trial.port,
        "readinessPath": trial.readiness_path,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": ModelDeployment.kind,
        "metadata": {
            "name": trial.name,
            "namespace": trial.namespace,
            "labels": _labels(trial.runtime.metadata.name),
        },
        "spec": {
            **given,
            "model": {**(given.get("model") or {}), **_without_none(model)},
            "runtime": {**(given.get("runtime") or {}), **_without_none(runtime)},
            "replicas": REPLICAS,
            "drainSeconds": DRAIN_SECONDS,
        },
    }


def is_ours(deployment: ModelDeployment) -> bool:
    """Whether a check created it, and so may remove it."""
    return LABEL in deployment.metadata.labels


def wrong_pod(revision: Revision, deployment: ModelDeployment) -> dict[str, Any] | None:
    """The revision's pod with a model that no server can load; None where the image contains the model."""
    spec = revision.template["spec"]
    downloader = next((c for c in spec.get("initContainers") or () if c["name"] == STORAGE_INITIALIZER), None)
    if downloader is None:
        return None
    spoiler = {**downloader, "name": SPOILER, "command": ["python3", "-I", "-c", SPOIL], "args": [], "env": []}
    servers = [{key: value for key, value in each.items() if key != "lifecycle"} for each in spec["containers"]]
    changes = {"initContainers": [*spec["initContainers"], spoiler], "containers": servers}
    return _pod(deployment, f"{revision.name}-wrong", {**spec, **changes, "terminationGracePeriodSeconds": 1})


def client_pod(
    revision: Revision, deployment: ModelDeployment, container: Object, *, deadline_seconds: int
) -> dict[str, Any]:
    """The pod that sends requests. container: from `profile.pod.generator`; deadline_seconds: it ends by itself after
    that."""
    secrets = revision.template["spec"].get("imagePullSecrets")
    spec = {
        "containers": [container],
        "activeDeadlineSeconds": deadline_seconds,
        "terminationGracePeriodSeconds": 1,
        **common.pod_fields(),
        **({"imagePullSecrets": secrets} if secrets else {}),
    }
    return _pod(deployment, f"{revision.name}-client", spec)


def client_service(revision: Revision, deployment: ModelDeployment) -> dict[str, Any]:
    """The Service that the client uses. The revision's own may be for gateways only: without an address."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(deployment, f"{revision.name}-client"),
        "spec": desired_service(revision, deployment)["spec"],
    }


def stream_plan(
    revision: Revision, deployment: ModelDeployment, *, path: str, pod_address: str, rate: float, seconds: int
) -> dict[str, Any]:
    """The plan for `kubectl_sluice.loadgen`: one request to a pod, its metrics, then `rate` requests/s through the
    Service."""
    annotations: Mapping[str, str] = revision.template.get("metadata", {}).get("annotations") or {}
    port = annotations.get(f"{common.SCRAPED}port")
    return {
        "host": pod_address,
        "port": revision.port,
        "model": common.served_name(deployment),
        "path": path,
        "readyPath": common.ready_path(revision.template["spec"]["containers"][0]),
        "readySeconds": 30,
        "metrics": {"host": pod_address, "port": int(port), "path": annotations[f"{common.SCRAPED}path"]}
        if port
        else None,
        "stream": {
            "host": f"{revision.name}-client.{deployment.metadata.namespace}.svc",
            "port": naming.SERVICE_PORT,
        },
        "rate": rate,
        "seconds": seconds,
    }


def predict_path(runtime: ServingRuntime, model: str) -> str | None:
    """The inference path in the first of the runtime's protocols that has one; None: only the user knows."""
    paths = {
        Protocol.V2: infer_path(model),
        Protocol.V1: f"/v1/models/{model}:predict",
        Protocol.OPENAI: "/v1/completions",
    }
    return next((paths[protocol] for protocol in paths if protocol in runtime.spec.protocols), None)


def _pod(deployment: ModelDeployment, name: str, spec: Object) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(deployment, name),
        "spec": {**spec, "restartPolicy": "Never"},
    }


def _metadata(deployment: ModelDeployment, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": deployment.metadata.namespace,
        "labels": _labels(deployment.metadata.labels[LABEL]),
        "ownerReferences": [{**common.owner_reference(deployment), "controller": False}],
    }


def _labels(runtime: str) -> dict[str, str]:
    return {naming.LABEL_MANAGED_BY: pod.MANAGER, LABEL: runtime[:63].rstrip("-.")}


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
