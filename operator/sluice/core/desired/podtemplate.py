"""The pod that serves one revision: a downloader, then the model server of the ServingRuntime.

    storage-initializer --(writes)--> /models (emptyDir) <--(reads)-- model server

The template is rendered once, when the revision is made, and pinned in its ControllerRevision.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sluice.api.config import AcceleratorProfile, OperatorConfig
from sluice.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice.api.v1alpha1.servingruntime import ServingRuntime, ServingRuntimeSpec
from sluice.core import naming
from sluice.core.desired import common, downloader, placeholders

UNNAMED: Final = "{{revision}}"
"""Stands for the revision's name while the template is hashed, because the name contains that hash."""

USER_ID: Final = 65532
"""The user `nonroot` of the usual minimal images."""

EXIT_MARGIN_SECONDS: Final = 5
"""Between the end of the drain and the kill, for the server's own exit."""

VOLUMES: Final = (
    {"name": "models", "emptyDir": {}},
    {"name": "tmp", "emptyDir": {}},
    # Servers pass tensors between processes through shared memory; the container's default of 64 MiB is too small.
    {"name": "shm", "emptyDir": {"medium": "Memory"}},
)
SERVER_MOUNTS: Final = (
    {"name": "models", "mountPath": naming.MODEL_PATH, "readOnly": True},
    {"name": "tmp", "mountPath": "/tmp"},
    {"name": "shm", "mountPath": "/dev/shm"},
)
SPREAD_OVER: Final = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


class UnknownProfile(ValueError):
    """A ModelDeployment names an accelerator that the operator's configuration does not have."""

    def __init__(self, profile: str, known: Iterable[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"spec.accelerator.profile: there is no accelerator profile {profile!r}; available: {names}; use one of "
            "these, add it to acceleratorProfiles of the operator's configuration, or name a resource instead"
        )


def render_template(
    deployment: ModelDeployment, runtime: ServingRuntime, config: OperatorConfig, revision: str = UNNAMED
) -> dict[str, Any]:
    """The pod template `{"metadata": …, "spec": …}` of a revision.

    Raises `placeholders.UnknownPlaceholder` when the runtime's containers use one that does not exist, and
    `UnknownProfile`.
    """
    accelerator = _accelerator(deployment.spec, config)
    labels = naming.owned_labels(deployment.metadata.name, revision)
    return {
        "metadata": {
            "labels": {**labels, "app.kubernetes.io/name": deployment.metadata.name},
            "annotations": _annotations(deployment.spec, runtime.spec),
        },
        "spec": {
            "initContainers": [downloader.container(deployment, runtime.spec, config)],
            "containers": _servers(
                deployment, runtime.spec, revision, accelerator, downloader.server_mounts(deployment.spec.model, config)
            ),
            "volumes": [*(dict(volume) for volume in VOLUMES), *downloader.volumes(deployment.spec.model, config)],
            "terminationGracePeriodSeconds": _grace_seconds(deployment.spec, runtime.spec),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER_ID,
                "runAsGroup": USER_ID,
                "fsGroup": USER_ID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "topologySpreadConstraints": [_spread(key, revision) for key in SPREAD_OVER],
            **_placement(deployment.spec, accelerator, downloader.pull_secrets(deployment.spec.model, config)),
        },
    }


def _accelerator(spec: ModelDeploymentSpec, config: OperatorConfig) -> AcceleratorProfile | None:
    """What the pods need for their devices; a bare resource needs nothing else."""
    if spec.accelerator is None:
        return None
    if spec.accelerator.resource is not None:
        return AcceleratorProfile(name="resource", resource=spec.accelerator.resource)
    profiles = {profile.name: profile for profile in config.accelerator_profiles}
    wanted = spec.accelerator.profile or ""
    if wanted not in profiles:
        raise UnknownProfile(wanted, profiles)
    return profiles[wanted]


def _grace_seconds(spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> int:
    return runtime.drain.pre_stop_seconds + spec.drain_seconds + EXIT_MARGIN_SECONDS


def _annotations(spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> dict[str, str]:
    scrape = {}
    if runtime.metrics is not None:
        scrape = {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(runtime.metrics.port),
            "prometheus.io/path": runtime.metrics.path,
        }
    return {**scrape, **(spec.pod_annotations or {})}


def _servers(
    deployment: ModelDeployment,
    runtime: ServingRuntimeSpec,
    revision: str,
    accelerator: AcceleratorProfile | None,
    model_mounts: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    wanted = deployment.spec.accelerator
    values = {
        "model.name": common.served_name(deployment),
        "model.path": naming.MODEL_PATH,
        "revision": revision,
        "accelerator.count": str(wanted.count if wanted is not None else 0),
    }
    containers = placeholders.filled(runtime.containers, values, "spec.containers")
    mounts: list[Mapping[str, Any]] = [*SERVER_MOUNTS, *model_mounts]
    first, *others = [_hardened(container, runtime, mounts) for container in containers]
    server = _overridden(first, deployment.spec)
    if accelerator is not None and wanted is not None:
        server["resources"] = _with_devices(server.get("resources") or {}, accelerator.resource, wanted.count)
    return [server, *others]


def _with_devices(resources: Mapping[str, Any], resource: str, count: int) -> dict[str, Any]:
    """Devices as a limit, which is their request as well; Kubernetes refuses two different numbers."""
    number = {resource: str(count)}
    requests = resources.get("requests") or {}
    return {
        **resources,
        "limits": {**(resources.get("limits") or {}), **number},
        **({"requests": {**requests, **number}} if resource in requests else {}),
    }


def _hardened(
    container: Mapping[str, Any], runtime: ServingRuntimeSpec, mounts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The runtime's container with our defaults; what the runtime says itself wins."""
    own_paths = {mount.get("mountPath") for mount in container.get("volumeMounts", ())}
    hardened = {
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **container,
        "securityContext": {**common.restricted(), **container.get("securityContext", {})},
        "volumeMounts": [
            *container.get("volumeMounts", ()),
            *(dict(mount) for mount in mounts if mount["mountPath"] not in own_paths),
        ],
    }
    if runtime.drain.pre_stop_seconds > 0:
        # The gateway needs a moment to learn that the pod is gone, and servers refuse requests right after SIGTERM.
        pause = {"preStop": {"sleep": {"seconds": runtime.drain.pre_stop_seconds}}}
        hardened["lifecycle"] = {**pause, **container.get("lifecycle", {})}
    return hardened


def _overridden(container: dict[str, Any], spec: ModelDeploymentSpec) -> dict[str, Any]:
    """The model server's container with what the user asks for; the user's strings are taken literally."""
    overridden = dict(container)
    if spec.runtime is not None and spec.runtime.args:
        overridden["args"] = [*container.get("args", ()), *spec.runtime.args]
    if spec.runtime is not None and spec.runtime.env:
        overridden["env"] = _merged_by_name(container.get("env", ()), spec.runtime.env)
    if spec.resources is not None:
        overridden["resources"] = {key: value for key, value in spec.resources.to_wire().items() if value}
    return overridden


def _merged_by_name(base: Sequence[Mapping[str, Any]], extra: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Later entries of a name replace earlier ones in their place: the order of variables has a meaning."""
    merged = {entry.get("name"): dict(entry) for entry in base}
    merged.update({entry.get("name"): dict(entry) for entry in extra})
    return list(merged.values())


def _spread(topology_key: str, revision: str) -> dict[str, Any]:
    """Soft: a full or small cluster still runs the model."""
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {naming.LABEL_REVISION: revision}},
    }


def _placement(
    spec: ModelDeploymentSpec, accelerator: AcceleratorProfile | None, pull_secrets: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The user's fields, beside what the accelerator needs; of two values for a label the user's wins."""
    fields: dict[str, Any] = {
        "nodeSelector": {**(accelerator.node_selector if accelerator else {}), **(spec.node_selector or {})},
        "tolerations": [*(accelerator.tolerations if accelerator else ()), *(spec.tolerations or ())],
        "runtimeClassName": accelerator.runtime_class_name if accelerator else None,
        "affinity": spec.affinity,
        "imagePullSecrets": [*(ref.to_wire() for ref in spec.image_pull_secrets or ()), *pull_secrets],
        "serviceAccountName": spec.service_account_name,
    }
    return {name: value for name, value in fields.items() if value}
