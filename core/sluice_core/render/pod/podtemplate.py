"""The pod that serves one revision: a downloader, then the model server of the ServingRuntime.

    storage-initializer --(writes)--> /models <--(reads)-- the ServingRuntime's init containers, then the model server

The template is rendered once, when the revision is created, and pinned in its ControllerRevision.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sluice_core.api.config import AcceleratorProfile, OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.api.v1alpha1.servingruntime import OnSignal, ServingRuntime, ServingRuntimeSpec
from sluice_core.api.v1alpha1.workload import Accelerator, Batching, RuntimeSpec
from sluice_core.kernel import naming
from sluice_core.render import common
from sluice_core.render.pod import adapters, downloader, placeholders, podextras, podnames, signatures, tuning, warmup

UNNAMED: Final = "{{revision}}"
"""Placeholder for the revision's name while the template is hashed, because the name contains that hash."""

EXIT_MARGIN_SECONDS: Final = 5
"""Between the end of the drain and the kill, for the server's own exit."""

SERVER_MOUNTS: Final = (
    {"name": podnames.MODELS_VOLUME, "mountPath": naming.MODEL_PATH, "readOnly": True},
    common.TMP_MOUNT,
    {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - a volume of the pod
)
DOWNLOADER_BATCHING: Final = (
    # (variable of the layouts, placeholder with its value)
    ("SLUICE_MAXIMUM_BATCH_SIZE", "batching.maximumBatchSize"),
    ("SLUICE_MAXIMUM_QUEUE_DELAY_MICROSECONDS", "batching.maximumQueueDelayMicroseconds"),
)


class BatchingNotSupported(ValueError):
    """A ModelDeployment asks for batching on a runtime that does not say how."""

    def __init__(self, runtime: str) -> None:
        super().__init__(
            f"spec.runtime.batching: ServingRuntime {runtime!r} does not say how its server batches; remove the "
            "field, or add spec.batching to the runtime"
        )


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

    Raises `placeholders.UnknownPlaceholder` when the runtime's containers use one that does not exist,
    `UnknownProfile`, `BatchingNotSupported`, `tuning.TuningNotSupported`, `adapters.AdaptersNotSupported`,
    `warmup.WarmupNotPossible` and `podextras.MountTaken`.
    """
    config = signatures.fetched(deployment, config)
    accelerator = accelerator_profile(deployment.spec.accelerator, config)
    if _wanted_batching(deployment.spec) is not None and runtime.spec.batching is None:
        raise BatchingNotSupported(runtime.metadata.name)
    tuning.require_supported(deployment.spec, runtime)
    adapters.require_supported(deployment, runtime)
    values = placeholder_values(deployment, runtime.spec, revision)
    mounts: list[Mapping[str, Any]] = [*SERVER_MOUNTS, *downloader.server_mounts(deployment, config)]
    return {
        "metadata": {
            "labels": podextras.labels(deployment, revision),
            "annotations": _annotations(deployment.spec, runtime.spec),
        },
        "spec": {
            **_beginning(deployment, runtime.spec, config, values, mounts),
            "containers": [
                *(servers := _servers(deployment, runtime.spec, values, accelerator, mounts)),
                *warmup.containers(deployment, runtime, config, servers[0]),
            ],
            "volumes": [
                *_volumes(deployment.spec, config),
                *downloader.volumes(deployment.spec.model, config),
                *warmup.volumes(deployment.spec),
                *(deployment.spec.volumes or ()),
            ],
            "terminationGracePeriodSeconds": _grace_seconds(deployment.spec, runtime.spec),
            **common.pod_fields(),
            "topologySpreadConstraints": podextras.spread(deployment.spec, revision),
            **_placement(deployment.spec, accelerator, downloader.pull_secrets(deployment.spec.model, config)),
        },
    }


def _volumes(spec: ModelDeploymentSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """Exceeding a disk volume ends the pod itself; memory volumes count towards the pod's memory limit."""
    return [
        {"name": podnames.MODELS_VOLUME, **podextras.model_volume(spec.model, config)},
        {"name": "tmp", "emptyDir": {"sizeLimit": config.storage_initializer.maximum_model_size}},
        {"name": "shm", **podextras.shared_memory(spec)},
    ]


def _beginning(
    deployment: ModelDeployment,
    runtime: ServingRuntimeSpec,
    config: OperatorConfig,
    values: Mapping[str, str],
    mounts: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Containers before the server: the model is fetched first, so that the runtime's init containers find it.

    Kubernetes stops the runtime's sidecars after the server: they need no pause of their own.
    """
    own = placeholders.filled(runtime.init_containers, values, "spec.initContainers")
    containers = [*_fetching(deployment, runtime, config), *(_hardened(container, 0, mounts) for container in own)]
    return {"initContainers": containers} if containers else {}


def _fetching(deployment: ModelDeployment, runtime: ServingRuntimeSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """The init containers that fetch the model and its adapters; none if the server's image carries it."""
    if deployment.spec.model.uri is None:
        return []
    container, *others = downloader.containers(deployment, runtime, config)
    batching = _wanted_batching(deployment.spec)
    if batching is not None:  # for layouts that write it into a configuration
        values = _batching_values(batching)
        env = [{"name": variable, "value": values[key]} for variable, key in DOWNLOADER_BATCHING]
        container["env"] = [*container["env"], *env]
    container["env"] = [*container["env"], *tuning.downloader_env(deployment.spec)]
    return [container, *others]


def _wanted_batching(spec: ModelDeploymentSpec) -> Batching | None:
    return spec.runtime.batching if spec.runtime is not None else None


def _batching_values(batching: Batching) -> dict[str, str]:
    delay = batching.maximum_queue_delay_microseconds
    return {
        "batching.maximumBatchSize": str(batching.maximum_batch_size),
        "batching.maximumQueueDelayMicroseconds": str(delay),
        "batching.maximumQueueDelaySeconds": f"{delay / 1e6:.6f}",
    }


def accelerator_profile(accelerator: Accelerator | None, config: OperatorConfig) -> AcceleratorProfile | None:
    """What the pods need for their devices; a bare resource needs nothing else. Raises `UnknownProfile`."""
    if accelerator is None:
        return None
    if accelerator.resource is not None:
        return AcceleratorProfile(name="resource", resource=accelerator.resource)
    profiles = {profile.name: profile for profile in config.accelerator_profiles}
    wanted = accelerator.profile or ""
    if wanted not in profiles:
        raise UnknownProfile(wanted, profiles)
    return profiles[wanted]


def _grace_seconds(spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> int:
    return runtime.drain.pre_stop_seconds + spec.drain_seconds + EXIT_MARGIN_SECONDS


def _annotations(spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> dict[str, str]:
    scrape = {}
    if runtime.metrics is not None:
        own_port = runtime.metrics.port == runtime.port
        port = common.served_port(spec, runtime) if own_port else runtime.metrics.port
        scrape = common.scraped(port, runtime.metrics.path)
    return {**scrape, **(spec.pod_annotations or {})}


def placeholder_values(deployment: ModelDeployment, runtime: ServingRuntimeSpec, revision: str) -> dict[str, str]:
    """Values of the placeholders in the runtime's containers."""
    wanted = deployment.spec.accelerator
    return {
        "model.name": common.served_name(deployment),
        "model.path": naming.MODEL_PATH,
        "revision": revision,
        "accelerator.count": str(wanted.count if wanted is not None else 0),
        "accelerator.shards": str(wanted.count if wanted is not None else 1),
        "drain.seconds": str(deployment.spec.drain_seconds),
        "port": str(common.served_port(deployment.spec, runtime)),
    }


def _servers(
    deployment: ModelDeployment,
    runtime: ServingRuntimeSpec,
    values: Mapping[str, str],
    accelerator: AcceleratorProfile | None,
    mounts: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    wanted = deployment.spec.accelerator
    containers = placeholders.filled(runtime.containers, values, "spec.containers")
    pause = _pause_seconds(deployment.spec, runtime)
    first, *others = [_hardened(container, pause, mounts) for container in containers]
    server = _batched(_for_format(first, deployment.spec.model.format, runtime), deployment.spec, runtime)
    tuned = tuning.server_env(deployment.spec, runtime)
    if tuned:
        server = {**server, "env": _merged_by_name(server.get("env", ()), tuned)}
    loaded = adapters.server_args(deployment, runtime)
    if loaded:
        server = {**server, "args": [*server.get("args", ()), *loaded]}
    server = _overridden(server, deployment.spec, runtime)
    if accelerator is not None and wanted is not None:
        server["resources"] = with_devices(server.get("resources") or {}, accelerator.resource, wanted.count)
    server = podextras.with_claims(podextras.with_mounts(server, deployment.spec), deployment.spec)
    return [server, *others]


def with_devices(resources: Mapping[str, Any], resource: str, count: int) -> dict[str, Any]:
    """Devices as a limit, which is their request as well; Kubernetes refuses two different numbers."""
    number = {resource: str(count)}
    requests = resources.get("requests") or {}
    return {
        **resources,
        "limits": {**(resources.get("limits") or {}), **number},
        **({"requests": {**requests, **number}} if resource in requests else {}),
    }


def _pause_seconds(spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> int:
    """From the pod's deletion to the signal: until no new requests come and, if the signal cuts, all are answered."""
    drain = runtime.drain
    return drain.pre_stop_seconds + (spec.drain_seconds if drain.on_signal is OnSignal.CUTS else 0)


def _hardened(container: Mapping[str, Any], pause_seconds: int, mounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The runtime's container with our defaults; the runtime's own values win."""
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
    if pause_seconds > 0:
        # The gateway needs a moment to learn that the pod is gone, and servers refuse requests right after SIGTERM.
        pause = {"preStop": {"sleep": {"seconds": pause_seconds}}}
        hardened["lifecycle"] = {**pause, **container.get("lifecycle", {})}
    return hardened


def _for_format(container: dict[str, Any], name: str, runtime: ServingRuntimeSpec) -> dict[str, Any]:
    """The model server's container with the settings for the model's format."""
    env = next((entry.env for entry in runtime.formats if entry.name == name), [])
    return {**container, "env": _merged_by_name(container.get("env", ()), env)} if env else container


def _batched(container: dict[str, Any], spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> dict[str, Any]:
    """The model server's container with batching, if requested."""
    wanted = _wanted_batching(spec)
    if wanted is None or runtime.batching is None or not runtime.batching.env:
        return container
    env = placeholders.filled(runtime.batching.env, _batching_values(wanted), "spec.batching.env")
    return {**container, "env": _merged_by_name(container.get("env", ()), env)}


def _overridden(container: dict[str, Any], spec: ModelDeploymentSpec, runtime: ServingRuntimeSpec) -> dict[str, Any]:
    """The model server's container with the user's overrides; the user's strings are taken literally."""
    overridden = dict(container)
    if spec.runtime is not None and spec.runtime.image is not None:
        overridden |= _of_own_image(container, spec.runtime, runtime.port)
    if spec.runtime is not None and spec.runtime.args:
        overridden["args"] = [*container.get("args", ()), *spec.runtime.args]
    if spec.runtime is not None and spec.runtime.env:
        overridden["env"] = _merged_by_name(container.get("env", ()), spec.runtime.env)
    if spec.resources is not None:
        overridden["resources"] = {key: value for key, value in spec.resources.to_wire().items() if value}
    return overridden


def _of_own_image(container: Mapping[str, Any], own: RuntimeSpec, port: int) -> dict[str, Any]:
    """Fields for the user's own image: its port, and the path that reports readiness."""
    fields: dict[str, Any] = {"image": own.image}
    wanted = own.port or port
    fields["ports"] = [
        {**entry, "containerPort": wanted} if entry.get("containerPort") == port else entry
        for entry in container.get("ports", ())
    ]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = own.readiness_path if name != "livenessProbe" else None
        if name in container:
            fields[name] = _redirected(container[name], path, port, wanted)
    return fields


def _redirected(probe: Mapping[str, Any], path: str | None, port: int, wanted: int) -> dict[str, Any]:
    """A probe of the server's HTTP port, redirected to another port, and to another path if given."""
    redirected = dict(probe)
    for way in ("httpGet", "tcpSocket"):
        target = probe.get(way)
        if target is not None and target.get("port") == port:
            new_path = {"path": path} if path is not None and way == "httpGet" else {}
            redirected[way] = {**target, **new_path, "port": wanted}
    return redirected


def _merged_by_name(base: Sequence[Mapping[str, Any]], extra: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Later entries replace earlier ones of the same name in place: the order of variables has a meaning."""
    merged = {entry.get("name"): dict(entry) for entry in base}
    merged.update({entry.get("name"): dict(entry) for entry in extra})
    return list(merged.values())


def _placement(
    spec: ModelDeploymentSpec, accelerator: AcceleratorProfile | None, pull_secrets: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The user's fields, with what the accelerator needs; of two values for a label the user's wins."""
    fields: dict[str, Any] = {
        "nodeSelector": {**(accelerator.node_selector if accelerator else {}), **(spec.node_selector or {})},
        "tolerations": [*(accelerator.tolerations if accelerator else ()), *(spec.tolerations or ())],
        "runtimeClassName": accelerator.runtime_class_name if accelerator else None,
        "affinity": spec.affinity,
        "imagePullSecrets": [*(ref.to_wire() for ref in spec.image_pull_secrets or ()), *pull_secrets],
        "serviceAccountName": spec.service_account_name,
        "priorityClassName": spec.priority_class_name,
        "schedulerName": spec.scheduler_name,
        "resourceClaims": spec.resource_claims,
    }
    return {name: value for name, value in fields.items() if value}
