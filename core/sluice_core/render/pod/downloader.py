"""The init containers that fetch the model and its adapters, and lay them out for the server."""

from dataclasses import dataclass
from typing import Any, Final

from sluice_core.api.config import NodeCache, OperatorConfig, StorageInitializer
from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.common import LocalObjectRef
from sluice_core.api.v1alpha1.modeldeployment import Adapter, ModelDeployment, ModelSpec
from sluice_core.api.v1alpha1.servingruntime import ModelLayout, ServingRuntimeSpec
from sluice_core.kernel import differ, naming
from sluice_core.render import common
from sluice_core.render.pod import formats, podextras, podnames, signatures

CACHE_VOLUME: Final = "cache"
CACHE_PATH: Final = "/var/cache/sluice"
FORMAT: Final = "SLUICE_FORMAT"
READ_BY: Final = "SLUICE_READ_BY"
SELECTIVE: Final = ("hf", "oci")
"""Sources of which only the files for the format's servers are fetched."""
CERTIFICATES: Final = "certificates"
CERTIFICATES_PATH: Final = "/etc/sluice/certificates"


@dataclass(frozen=True, slots=True)
class Download:
    """What one init container fetches into the pod: the model, or one of its adapters."""

    source: ModelSpec | Adapter
    number: int | None = None
    """The adapter's number, from 0; None: the model."""

    @property
    def uri(self) -> str:
        """Empty if the server's image carries the model."""
        return self.source.uri or ""

    @property
    def scheme(self) -> str:
        return sources.scheme(self.uri)

    @property
    def field(self) -> str:
        """The spec field that names it."""
        return podnames.field_of(f"{podnames.STORAGE_INITIALIZER}{self.suffix}")

    @property
    def suffix(self) -> str:
        """The suffix of its names in the pod."""
        return "" if self.number is None else f"-{self.number}"

    @property
    def volume(self) -> str:
        """The volume that it is written to."""
        return podnames.MODELS_VOLUME if self.number is None else podnames.ADAPTERS_VOLUME

    def below(self, model: str, adapters: str) -> str:
        """The single folder of a model, or an adapter's in the adapters' folder."""
        return model if self.number is None else f"{adapters}/{self.source.name}"


def downloads(model: ModelSpec) -> list[Download]:
    """The model first, then its adapters; empty if the server's image carries it."""
    if model.uri is None:
        return []
    return [Download(model), *(Download(adapter, number) for number, adapter in enumerate(model.adapters))]


def containers(
    deployment: ModelDeployment, runtime: ServingRuntimeSpec, config: OperatorConfig
) -> list[dict[str, Any]]:
    """One for each source, so that none has another's credentials. Adapters are laid out unchanged."""
    model = deployment.spec.model
    return [
        _container(
            download, deployment, ModelLayout.PLAIN if download.number is not None else runtime.model_layout, config
        )
        for download in downloads(model)
    ]


def _container(
    download: Download, deployment: ModelDeployment, layout: ModelLayout, config: OperatorConfig
) -> dict[str, Any]:
    initializer, fetched = config.storage_initializer, _is_fetched(download, config)
    held = download.number is None and formats.held(deployment.metadata.namespace, config)
    read_by = {"name": READ_BY, "value": deployment.spec.model.format}
    return {
        "name": f"{podnames.STORAGE_INITIALIZER}{download.suffix}",
        "image": initializer.image,
        "imagePullPolicy": initializer.image_pull_policy,
        "args": [common.literal(argument) for argument in _arguments(download, deployment, layout, config)],
        "env": [
            *(credentials(download.uri, download.source.credentials_secret_ref) if fetched else []),
            *(proxies(config) if fetched else []),
            *([{"name": FORMAT, "value": deployment.spec.model.format}] if held else []),
            *([read_by] if fetched and download.scheme in SELECTIVE else []),
        ],
        "resources": initializer.resources.to_wire()
        if download.number is not None
        else podextras.downloader_resources(deployment.spec.model, config),
        "volumeMounts": [
            {
                "name": download.volume,
                "mountPath": naming.MODEL_PATH if download.number is None else naming.ADAPTERS_PATH,
            },
            common.TMP_MOUNT,
            *_mounted(download, deployment.spec.model, config),
            *(certificate_mounts(config) if fetched else []),
            *([{"name": CACHE_VOLUME, "mountPath": CACHE_PATH}] if _cached(download, config) else []),
        ],
        "securityContext": common.sealed(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def volumes(model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """The pod's volumes for its sources, beside the volume of the model itself."""
    every = downloads(model)
    fetched = any(_is_fetched(download, config) for download in every)
    limit = {"sizeLimit": config.storage_initializer.maximum_model_size}
    return [
        *([{"name": podnames.ADAPTERS_VOLUME, "emptyDir": limit}] if model.adapters else []),
        *(certificate_volumes(config) if fetched else []),
        *(_cache_volumes(config.storage_initializer.cache) if fetched else []),
        *(source for download in every for source in _source_volume(download, model, config)),
    ]


def _source_volume(download: Download, model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    name = f"{podnames.MODEL_VOLUME}{download.suffix}"
    if _is_image_volume(download, config):
        return [{"name": name, "image": {"reference": sources.image(download.uri), "pullPolicy": "IfNotPresent"}}]
    if download.scheme != "pvc" or _volume_name(download, model) != name:
        return []
    claim, _ = sources.claim_and_path(download.uri)
    return [{"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def _volume_name(download: Download, model: ModelSpec) -> str:
    """A claim is one volume of a pod, whatever is read from it."""
    claims = {sources.claim_and_path(each.uri)[0]: each for each in reversed(downloads(model)) if each.scheme == "pvc"}
    first = claims[sources.claim_and_path(download.uri)[0]] if download.scheme == "pvc" else download
    return f"{podnames.MODEL_VOLUME}{first.suffix}"


def _cache_volumes(cache: NodeCache | None) -> list[dict[str, Any]]:
    if cache is None:
        return []
    if cache.host_path is not None:
        return [{"name": CACHE_VOLUME, "hostPath": {"path": cache.host_path, "type": "DirectoryOrCreate"}}]
    return [{"name": CACHE_VOLUME, "persistentVolumeClaim": {"claimName": cache.persistent_volume_claim}}]


def certificate_volumes(config: OperatorConfig) -> list[dict[str, Any]]:
    """Optional, so that a missing ConfigMap is reported in the log, not by a pod that hangs."""
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


def server_mounts(deployment: ModelDeployment, config: OperatorConfig) -> list[dict[str, Any]]:
    """Mounts for links to what is not fetched; the server sees no more of a claim than what it serves.

    It sees nothing of a verified claim: the copy was inspected, and others may write to the claim.
    """
    model = deployment.spec.model
    found = (
        [{"name": podnames.ADAPTERS_VOLUME, "mountPath": naming.ADAPTERS_PATH, "readOnly": True}]
        if model.adapters
        else []
    )
    if signatures.arguments(deployment, config):
        return found
    for download in downloads(model):
        for mount in _mounted(download, model, config):
            path = sources.claim_and_path(download.uri)[1] if download.scheme == "pvc" else ""
            found.append({**mount, "mountPath": f"{mount['mountPath']}/{path}", "subPath": path} if path else mount)
    return found


def pull_secrets(model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    """Pull secrets for image volumes, which the kubelet pulls with the pod's Secrets."""
    secrets = {
        download.source.credentials_secret_ref.name: download.source.credentials_secret_ref.to_wire()
        for download in downloads(model)
        if download.source.credentials_secret_ref is not None and _is_image_volume(download, config)
    }
    return list(secrets.values())


def _is_image_volume(download: Download, config: OperatorConfig) -> bool:
    return config.storage_initializer.image_volumes and download.scheme == "oci"


def _is_fetched(download: Download, config: OperatorConfig) -> bool:
    return download.scheme != "pvc" and not _is_image_volume(download, config)


def _cached(download: Download, config: OperatorConfig) -> NodeCache | None:
    """The cache for what is fetched."""
    return config.storage_initializer.cache if _is_fetched(download, config) else None


def _mounted(download: Download, model: ModelSpec, config: OperatorConfig) -> list[dict[str, Any]]:
    if _is_fetched(download, config):
        return []
    path = download.below(naming.MOUNT_PATH, naming.ADAPTERS_MOUNT_PATH)
    return [{"name": _volume_name(download, model), "mountPath": path, "readOnly": True}]


def _arguments(
    download: Download, deployment: ModelDeployment, layout: ModelLayout, config: OperatorConfig
) -> list[str]:
    plain = (
        download.scheme == "oci" and sources.registry(download.uri) in config.storage_initializer.plain_http_registries
    )
    cache = _cached(download, config)
    maximum = config.storage_initializer.maximum_model_size
    if download.number is None:
        maximum = podextras.maximum_size(deployment.spec.model, config)
    arguments = {
        "--uri": download.uri,
        "--layout": layout.value,
        "--model-name": common.served_name(deployment),
        "--destination": download.below(naming.MODEL_PATH, naming.ADAPTERS_PATH),
        **(
            {}
            if _is_fetched(download, config)
            else {"--mount": download.below(naming.MOUNT_PATH, naming.ADAPTERS_MOUNT_PATH)}
        ),
        **({"--sha256": download.source.sha256} if download.source.sha256 else {}),
        **signatures.arguments(deployment, config, adapter=download.number is not None),
        **_maximum_arguments(maximum),
        **(_cache_arguments(cache, deployment.metadata.namespace) if cache is not None else {}),
    }
    return [
        *(part for pair in arguments.items() for part in pair),
        *(connection_arguments(config) if _is_fetched(download, config) else []),
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
    """The argument for the maximum size; none for the default, so that an older image still works."""
    default = StorageInitializer.model_fields["maximum_model_size"].default
    return {} if size == default else {"--maximum-bytes": _bytes(size)}


def connection_arguments(config: OperatorConfig) -> list[str]:
    """Arguments for the allowed addresses of models and the trusted certificates."""
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
    """Variables from the keys of a Secret for a source, each by name.

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
