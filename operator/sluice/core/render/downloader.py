"""The init container that fetches the model and lays it out for its server."""

from typing import Any, Final

from sluice.api.config import NodeCache, OperatorConfig, StorageInitializer
from sluice.api.v1alpha1 import sources
from sluice.api.v1alpha1.common import LocalObjectRef
from sluice.api.v1alpha1.modeldeployment import ModelDeployment, ModelSpec
from sluice.api.v1alpha1.servingruntime import ServingRuntimeSpec
from sluice.core.kernel import differ, naming
from sluice.core.render import common, formats, podextras

STORAGE_INITIALIZER: Final = "storage-initializer"
MODEL_VOLUME: Final = "source"
CACHE_VOLUME: Final = "cache"
CACHE_PATH: Final = "/var/cache/sluice"
FORMAT: Final = "SLUICE_FORMAT"
CERTIFICATES: Final = "certificates"
CERTIFICATES_PATH: Final = "/etc/sluice/certificates"


def container(deployment: ModelDeployment, runtime: ServingRuntimeSpec, config: OperatorConfig) -> dict[str, Any]:
    model, initializer = deployment.spec.model, config.storage_initializer
    return {
        "name": STORAGE_INITIALIZER,
        "image": initializer.image,
        "imagePullPolicy": initializer.image_pull_policy,
        "args": [common.literal(argument) for argument in _arguments(deployment, runtime, config)],
        "env": [
            *(credentials(_uri(model), model.credentials_secret_ref) if _is_fetched(model, config) else []),
            *(proxies(config) if _is_fetched(model, config) else []),
            *([{"name": FORMAT, "value": model.format}] if formats.held(deployment.metadata.namespace, config) else []),
        ],
        "resources": podextras.downloader_resources(model, config),
        "volumeMounts": [
            {"name": "models", "mountPath": naming.MODEL_PATH},
            common.TMP_MOUNT,
            *_mounted_model(model, config),
            *(certificate_mounts(config) if _is_fetched(model, config) else []),
            *([{"name": CACHE_VOLUME, "mountPath": CACHE_PATH}] if _cached(model, config) else []),
        ],
        "securityContext": common.sealed(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def volumes(model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """What the pod needs for its model's source, beside the volume that every model lies in."""
    if _is_fetched(model, config):
        return [*certificate_volumes(config), *_cache_volumes(config.storage_initializer.cache)]
    if _is_image_volume(model, config):
        image = {"reference": sources.image(_uri(model)), "pullPolicy": "IfNotPresent"}
        return [{"name": MODEL_VOLUME, "image": image}]
    if _scheme(model) != "pvc":
        return []
    claim, _ = sources.claim_and_path(_uri(model))
    return [{"name": MODEL_VOLUME, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def _cache_volumes(cache: NodeCache | None) -> list[dict[str, Any]]:
    if cache is None:
        return []
    if cache.host_path is not None:
        return [{"name": CACHE_VOLUME, "hostPath": {"path": cache.host_path, "type": "DirectoryOrCreate"}}]
    return [{"name": CACHE_VOLUME, "persistentVolumeClaim": {"claimName": cache.persistent_volume_claim}}]


def certificate_volumes(config: OperatorConfig) -> list[dict[str, Any]]:
    """Optional, so that a ConfigMap that is missing is told in the log, and not by a pod that hangs."""
    bundle = config.storage_initializer.ca_bundle
    if bundle is None:
        return []
    return [{"name": CERTIFICATES, "configMap": {"name": bundle.config_map, "optional": True}}]


def certificate_mounts(config: OperatorConfig) -> list[dict[str, Any]]:
    if config.storage_initializer.ca_bundle is None:
        return []
    return [{"name": CERTIFICATES, "mountPath": CERTIFICATES_PATH, "readOnly": True}]


def proxies(config: OperatorConfig) -> list[dict[str, Any]]:
    """Variables that every client of a store reads."""
    proxy = config.storage_initializer.proxy
    if proxy is None:
        return []
    values = {"HTTPS_PROXY": proxy.https, "HTTP_PROXY": proxy.http, "NO_PROXY": ",".join(proxy.exceptions)}
    return [{"name": name, "value": common.literal(value)} for name, value in values.items() if value]


def server_mounts(model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """The links of a model that was not fetched lead there; the server sees no more of a claim than its model."""
    mounts = _mounted_model(model, config)
    if _scheme(model) == "pvc":
        _, path = sources.claim_and_path(_uri(model))
        return [
            {**mount, "mountPath": f"{mount['mountPath']}/{path}", "subPath": path} if path else mount
            for mount in mounts
        ]
    return mounts


def pull_secrets(model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """An image volume is pulled by the kubelet, with the pod's Secrets."""
    if model.credentials_secret_ref is None or not _is_image_volume(model, config):
        return []
    return [model.credentials_secret_ref.to_wire()]


def _uri(model: ModelSpec) -> str:
    """Empty where the server's image carries the model."""
    return model.uri or ""


def _scheme(model: ModelSpec) -> str:
    return sources.scheme(_uri(model))


def _is_image_volume(model: ModelSpec, config: OperatorConfig) -> bool:
    return config.storage_initializer.image_volumes and _scheme(model) == "oci"


def _is_fetched(model: ModelSpec, config: OperatorConfig) -> bool:
    return model.uri is not None and _scheme(model) != "pvc" and not _is_image_volume(model, config)


def _cached(model: ModelSpec, config: OperatorConfig) -> NodeCache | None:
    """The cache of a model that is fetched."""
    return config.storage_initializer.cache if _is_fetched(model, config) else None


def _mounted_model(model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    return [
        {"name": MODEL_VOLUME, "mountPath": naming.MOUNT_PATH, "readOnly": True}
        for volume in volumes(model, config)
        if volume["name"] == MODEL_VOLUME
    ]


def _arguments(deployment: ModelDeployment, runtime: ServingRuntimeSpec, config: OperatorConfig) -> list[str]:
    model = deployment.spec.model
    plain = _scheme(model) == "oci" and (
        sources.registry(_uri(model)) in config.storage_initializer.plain_http_registries
    )
    cache = _cached(model, config)
    arguments = {
        "--uri": _uri(model),
        "--layout": runtime.model_layout.value,
        "--model-name": common.served_name(deployment),
        "--destination": naming.MODEL_PATH,
        **({"--mount": naming.MOUNT_PATH} if _mounted_model(model, config) else {}),
        **({"--sha256": model.sha256} if model.sha256 else {}),
        **_maximum_arguments(podextras.maximum_size(model, config)),
        **(_cache_arguments(cache, deployment.metadata.namespace) if cache is not None else {}),
    }
    return [
        *(part for pair in arguments.items() for part in pair),
        *(connection_arguments(config) if _is_fetched(model, config) else []),
        *(["--plain-http"] if plain else []),
    ]


def _cache_arguments(cache: NodeCache, namespace: str) -> dict[str, str]:
    return {
        "--namespace": namespace,
        "--cache": CACHE_PATH,
        "--cache-bytes": _bytes(cache.maximum_size),
        "--cache-reserve-percent": cache.minimum_free.removesuffix("%"),
    }


def _maximum_arguments(size: str) -> dict[str, str]:
    """Not where it is the default, so that an image of before still serves."""
    default = StorageInitializer.model_fields["maximum_model_size"].default
    return {} if size == default else {"--maximum-bytes": _bytes(size)}


def connection_arguments(config: OperatorConfig) -> list[str]:
    """From where models may come, and whose certificates count."""
    initializer = config.storage_initializer
    bundle = initializer.ca_bundle
    return [
        *(["--ca-bundle", f"{CERTIFICATES_PATH}/{bundle.key}"] if bundle is not None else []),
        *(part for network in initializer.allowed_addresses for part in ("--allow-addresses", network)),
        *([] if initializer.private_addresses else ["--no-private-addresses"]),
    ]


def _bytes(size: str) -> str:
    return str(int(differ.quantity(size) or 0))


def credentials(uri: str, secret: LocalObjectRef | None, prefix: str = "") -> list[dict[str, Any]]:
    """Variables with the keys of a Secret for a source, each by name.

    Never `envFrom`: a Secret with more keys must not be able to set other variables.
    """
    if secret is None:
        return []
    return [
        {
            "name": f"{prefix}{sources.VARIABLES.get(key, key)}",
            "valueFrom": {"secretKeyRef": {"name": secret.name, "key": key} | ({"optional": True} if optional else {})},
        }
        for key, optional in sources.SECRET_KEYS.get(sources.scheme(uri), ())
    ]
