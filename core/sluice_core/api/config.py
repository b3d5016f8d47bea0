"""The operator's own configuration: `/etc/sluice/config.yaml`, written by the chart from `values.config`."""

import ipaddress
import json
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from sluice_core.api.base import ObjectName, OpaqueObject, Quantity
from sluice_core.api.reach import Reach as Reach
from sluice_core.api.reach import RoutingMode as RoutingMode
from sluice_core.api.v1alpha1.verification import SignatureTrust, VerificationMode
from sluice_core.api.v1alpha1.workload import Resources
from sluice_judge.schema.model import ApiModel, Name, Percent, no_items

MOST_NAMESPACES: Final = 30
"""Most namespaces that can be watched one by one: each takes 14 to 16 connections and 1.5 MiB of the chart's 256 MiB.
"""


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address or a network, such as 10.1.0.0/16: {error}") from error


Network = Annotated[str, Field(min_length=2, max_length=64), AfterValidator(_network)]
"""Addresses by their common prefix: 10.1.0.0/16, or a single one: 10.1.2.3."""


class NodeCache(ApiModel):
    """Where the init containers of a node keep models for its next pods; set one of hostPath and persistentVolumeClaim."""

    host_path: Annotated[str, Field(pattern=r"^/[^:]+$", max_length=1024)] | None = None
    """A folder on every node, writable for user 65532. Pods with it need a namespace that allows hostPath volumes."""
    persistent_volume_claim: ObjectName | None = None
    """A claim of this name in each model's namespace."""
    maximum_size: Quantity = "50Gi"
    """The most that all models in it may take together; the least recently used are removed first."""
    minimum_free: Percent = "15%"
    """The share of its disk that stays free: below 10% and 15% nodes begin to evict pods."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.host_path is None) == (self.persistent_volume_claim is None):
            raise ValueError("set exactly one of hostPath and persistentVolumeClaim")
        return self


class CaBundle(ApiModel):
    """Certificates of authorities that are trusted in addition to the public ones."""

    config_map: ObjectName
    """A ConfigMap of this name in each model's namespace, such as trust-manager distributes."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "ca.crt"
    """The key that has them, in PEM."""


class Proxy(ApiModel):
    """The proxy for connections to stores."""

    https: Annotated[str, Field(max_length=1024, pattern=r"^https?://")] | None = None
    """The proxy for https:// addresses, such as http://proxy.example:3128."""
    http: Annotated[str, Field(max_length=1024, pattern=r"^https?://")] | None = None
    """The proxy for http:// addresses."""
    exceptions: list[Annotated[str, Field(min_length=1, max_length=253)]] = Field(default_factory=no_items)
    """Hosts, domains (.svc, .cluster.local) and networks (10.0.0.0/8) that are reached without the proxy."""


class StorageInitializer(ApiModel):
    """The init container that downloads a model."""

    image: Annotated[str, Field(min_length=1)] = "ghcr.io/sluice-dev/storage-initializer:0.1.0"
    """Image of the downloader."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    resources: Resources = Field(
        default_factory=lambda: Resources(
            requests={"cpu": "100m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "1Gi"}
        )
    )
    """Compute resources of the init container."""
    image_volumes: bool = False
    """Whether oci:// models are mounted as image volumes, which the nodes pull and share. Needs Kubernetes 1.35, or
    1.33 with the feature gate ImageVolume, and a container runtime that supports them (containerd 2.1, CRI-O 1.33).
    Otherwise the init container pulls them."""
    plain_http_registries: list[Annotated[str, Field(min_length=1, max_length=253)]] = Field(default_factory=no_items)
    """Registries (host:port) of the cluster that speak HTTP; only for the init container, nodes have their own
    settings.
    """
    allowed_addresses: list[Network] = Field(default_factory=no_items)
    """Networks from which models may always come, even addresses of the node itself. Otherwise those and link-local
    addresses, such as a cloud's metadata server, are refused, whatever name or redirect leads to them."""
    private_addresses: bool = True
    """Whether models may come from private networks (10.0.0.0/8, fc00::/7, …), such as Services of the cluster;
    otherwise only from those in allowedAddresses."""
    ca_bundle: CaBundle | None = None
    """Certificates of your own authority for stores; none: only the public ones."""
    proxy: Proxy | None = None
    """A proxy for stores; none: they are reached directly."""
    maximum_model_size: Quantity = "256Gi"
    """The most that a model may take in its pod, packed and unpacked together: the size limit of the pod's volumes."""
    cache: NodeCache | None = None
    """A cache on each node of fetched models for its next pods; none: every pod fetches its model."""


class Optimizer(ApiModel):
    """The Job that creates a variant of a model."""

    image: Annotated[str, Field(min_length=1)] = "ghcr.io/sluice-dev/optimizer:0.1.0"
    """Image with ONNX Runtime's quantizer."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    resources: Resources = Field(
        default_factory=lambda: Resources(
            requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "2", "memory": "4Gi"}
        )
    )
    """Compute resources of the Job's container."""


class ObserverRunner(ApiModel):
    """The pod that counts features of copied requests (spec.observer)."""

    image: Annotated[str, Field(min_length=1)] = "ghcr.io/sluice-dev/observer:0.1.0"
    """Image of the observer."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    resources: Resources = Field(
        default_factory=lambda: Resources(
            requests={"cpu": "50m", "memory": "64Mi"}, limits={"cpu": "500m", "memory": "256Mi"}
        )
    )
    """Compute resources of the observer's container."""


class RegistryAccess(ApiModel):
    """How a namespace's resolver asks the registries that its models follow (spec.model.uri: models:/…)."""

    secret_name: ObjectName = "sluice-registry"  # noqa: S105 - its name
    """Name of the Secret in a model's namespace with the registry's address and credentials: MLFLOW_TRACKING_URI, and
    MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; for spec.model.follow HF_TOKEN,
    HF_ENDPOINT and .dockerconfigjson."""
    write_outcomes: bool = True
    """Whether a release's outcome is written to the registry, as tags of the version; this needs write access."""
    resources: Resources = Field(
        default_factory=lambda: Resources(
            requests={"cpu": "10m", "memory": "48Mi"}, limits={"cpu": "500m", "memory": "192Mi"}
        )
    )
    """Compute resources of the resolver's container; its image is that of storageInitializer."""


class BatchRunner(ApiModel):
    """The container that runs the model over the data of a BatchInference."""

    image: Annotated[str, Field(min_length=1)] = "ghcr.io/sluice-dev/batch:0.1.0"
    """Image with the runner, Apache Arrow and ONNX Runtime."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    resources: Resources = Field(
        default_factory=lambda: Resources(
            requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "2", "memory": "2Gi"}
        )
    )
    """Compute resources of the container; if it runs the model itself, spec.resources of a BatchInference wins."""


class SparkRunner(BatchRunner):
    """The driver and the executors of a BatchInference on Spark."""

    image: Annotated[str, Field(min_length=1)] = "ghcr.io/sluice-dev/spark:0.1.0"
    """Image with the runner and Spark."""
    resources: Resources = Field(
        default_factory=lambda: Resources(
            requests={"cpu": "200m", "memory": "2Gi"}, limits={"cpu": "2", "memory": "2Gi"}
        )
    )
    """Compute resources of the driver and of each executor."""
    service_account_names: Annotated[list[str], Field(max_length=64)] = Field(default=["spark"])
    """The ServiceAccounts of users' namespaces that a driver may run with: its code is the user's. `*`: any."""


class AcceleratorProfile(ApiModel):
    """A kind of accelerator under a name that users can ask for."""

    name: Name
    """Its name in `spec.accelerator.profile`."""
    resource: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9.-]+/[-A-Za-z0-9_.]+$")]
    """The resource that the device plugin offers, such as nvidia.com/gpu or nvidia.com/mig-1g.10gb."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the nodes that have it."""
    tolerations: list[OpaqueObject] = Field(default_factory=no_items)
    """Taints of these nodes to tolerate (Kubernetes Toleration)."""
    runtime_class_name: str | None = None
    """The RuntimeClass of the pods, where the device needs one."""


class Engines(ApiModel):
    """Projects of others that models may use; false: the operator uses none of their kinds and needs no rights to them."""

    keda: bool = True
    """KEDA's ScaledObjects, for autoscaling on metrics other than CPU and Memory."""
    spark_operator: bool = True
    """SparkApplications of a Spark operator; without them, engine Spark runs its driver in a Job."""


_NAMES = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"


EVERYTHING: Final = "*"


class Grant(ApiModel):
    """What the platform allows some namespaces."""

    namespaces: Annotated[list[Annotated[str, Field(pattern=rf"^(\*|{_NAMES})$")]], Field(min_length=1)]
    """The names of these namespaces, or `*` for all."""

    def is_for(self, namespace: str) -> bool:
        """Whether it covers the namespace."""
        return not {EVERYTHING, namespace}.isdisjoint(self.namespaces)


class AddressGrant(Grant):
    """Addresses outside their own domain that some namespaces may use."""

    hostnames: list[Annotated[str, Field(pattern=rf"^(\*|(\*\.)?{_NAMES})$", max_length=253)]] = Field(
        default_factory=no_items
    )
    """Host names: `a.example.com`, `*.example.com` for all that end with `.example.com`, or `*` for all."""
    gateways: list[Annotated[str, Field(pattern=rf"^(\*|{_NAMES}/(\*|{_NAMES}))$")]] = Field(default_factory=no_items)
    """Gateways: `namespace/name`, `namespace/*`, or `*` for all."""


class FormatGrant(Grant):
    """Model formats that some namespaces may use."""

    formats: Annotated[
        list[Annotated[str, Field(pattern=r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")]], Field(min_length=1)
    ]
    """Formats, such as onnx, or `*` for all. `custom` also stands for images, arguments and variables in spec.runtime."""


class PriorityGrant(Grant):
    """Priority classes that pods of some namespaces may use."""

    classes: Annotated[list[Annotated[str, Field(pattern=rf"^(\*|{_NAMES})$", max_length=253)]], Field(min_length=1)]
    """Names of PriorityClasses, or `*` for all but Kubernetes' own (`system-…`), which must be named."""


class VolumeGrant(Grant):
    """Volumes beyond the restricted Pod Security Standard, for some namespaces."""

    host_paths: list[Annotated[str, Field(pattern=r"^/[^:]*$", max_length=1024)]] = Field(default_factory=no_items)
    """Folders of the node; a volume must name one exactly."""
    csi_drivers: list[Annotated[str, Field(pattern=rf"^{_NAMES}$", max_length=253)]] = Field(default_factory=no_items)
    """CSI drivers that may create a volume from a pod's own parameters, with the pod's identity."""


class VerificationGrant(Grant, SignatureTrust):
    """The signatures that models of some namespaces need."""

    mode: VerificationMode
    """What happens to a model that is not verified; Off exempts a namespace from the entry with `*`."""

    @model_validator(mode="after")
    def _some_signer_counts(self) -> Self:
        if (self.authorities or self.trusted_root) and not self.identities:
            raise ValueError("authorities and trustedRoot certify anybody: name the signers that count in identities")
        if self.mode is not VerificationMode.OFF and not self.names_somebody:
            raise ValueError(f"with mode {self.mode}, set publicKeys, or identities with authorities or trustedRoot")
        try:
            if not isinstance(json.loads(self.trusted_root or "{}"), dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"trustedRoot is not the text of Sigstore's trusted_root.json: {error}") from error
        return self


LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
LabelValue = Annotated[str, Field(pattern=r'^[^"\\{}\x00-\x1f]+$', max_length=256)]


def without_credentials(url: str) -> str:
    """The URL without user and password, for messages."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class OperatorConfig(Reach):
    """What the operator must know about its environment; the defaults fit the quickstart."""

    watch_namespaces: list[Name] = Field(default_factory=no_items)
    """The only namespaces whose models and batches are reconciled; the operator has rights only there. Empty: all."""
    gateway_preset: Annotated[str, Field(min_length=1)] = "contour"
    """The gateway's preset: the metrics that count its requests."""
    gateway_series: Annotated[dict[LabelName, LabelValue], Field(max_length=8)] | None = None
    """Labels that Prometheus gives only to the gateway's series, such as `{namespace: projectcontour}`; series without
    them do not count. None: `{namespace: projectcontour}` if gateway, preset and Prometheus are those of the
    quickstart; otherwise, as with `{}`, any series with the gateway's metric names counts."""
    domain: Annotated[str, Field(min_length=1)] = "models.local"
    """The default host name of a model is `{name}.{namespace}.{domain}`."""
    allowed_addresses: list[AddressGrant] = Field(default_factory=no_items)
    """The namespaces that may use host names outside their own `*.{namespace}.{domain}`, and Gateways other than
    `gateway`."""
    allowed_formats: list[FormatGrant] = Field(default_factory=lambda: [FormatGrant(namespaces=["*"], formats=["*"])])
    """The model formats that a namespace may use: most are programs, which the server runs when it loads the model."""
    allowed_priority_classes: list[PriorityGrant] = Field(default_factory=no_items)
    """The priority classes that a namespace's pods may use: a high one preempts other pods, the platform's included."""
    allowed_volumes: list[VolumeGrant] = Field(default_factory=no_items)
    """The node folders and CSI drivers that a namespace's volumes may use."""
    verification: list[VerificationGrant] = Field(default_factory=no_items)
    """The namespaces whose models must be signed, and by whom. An entry that names a namespace replaces the one with
    `*`; a spec can ask for more, never for less."""
    prometheus_url: Annotated[str, Field(pattern=r"^https?://")] = "http://prometheus.monitoring:9090"
    """Base address of the Prometheus that scrapes the gateway."""
    prometheus_secret_name: Annotated[str, Field(pattern=rf"^({_NAMES})?$", max_length=253)] = ""
    """A Secret in the operator's namespace with credentials for Prometheus: `ca.crt`, the authorities of its
    certificate; `token`, a bearer token, or `username` and `password`; `tls.crt` and `tls.key`, a client certificate
    and its key. The chart mounts it; a changed Secret counts without a restart."""
    keda_prometheus_url: Annotated[str, Field(pattern=r"^(https?://.*)?$")] = ""
    """The address at which KEDA asks for the load, without credentials, which no ScaledObject contains; empty:
    `prometheusUrl`."""
    query_namespace_label: Annotated[str, Field(pattern=r"^([a-zA-Z_][a-zA-Z0-9_]*)?$")] = "namespace"
    """The label with the namespace of a scraped pod. An objective's query counts only series of its own namespace.
    Empty: it counts all, for a Prometheus without such a label."""
    storage_initializer: StorageInitializer = Field(default_factory=StorageInitializer)
    """The downloader of models."""
    optimizer: Optimizer = Field(default_factory=Optimizer)
    """The maker of variants."""
    observer: ObserverRunner = Field(default_factory=ObserverRunner)
    """The observer of copied requests."""
    registry: RegistryAccess = Field(default_factory=RegistryAccess)
    """The resolver of models that a registry names."""
    batch_runner: BatchRunner = Field(default_factory=BatchRunner)
    """The runner of batch inference."""
    spark: SparkRunner = Field(default_factory=SparkRunner)
    """The same for engine Spark."""
    accelerator_profiles: list[AcceleratorProfile] = Field(default_factory=no_items)
    """The accelerators that users can ask for by name."""
    engines: Engines = Field(default_factory=Engines)
    """The optional projects that the operator may use if the cluster has them."""
    history_limit: Annotated[int, Field(ge=1, le=100)] = 10
    """Finished ModelRollouts that are kept for each ModelDeployment."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe level that is logged."""

    @field_validator("verification")
    @classmethod
    def _a_namespace_has_one_verification(cls, grants: list[VerificationGrant]) -> list[VerificationGrant]:
        names = [name for grant in grants for name in grant.namespaces]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"{twice!r} is named twice; let one entry say what its models need")
        return grants

    @property
    def gateway_namespaces(self) -> tuple[str, ...]:
        """The namespaces where Gateways are read; empty: all."""
        by_default = (self.gateway.namespace,) if self.routing is RoutingMode.GATEWAY else ()
        return tuple(dict.fromkeys((*self.watch_namespaces, *by_default))) if self.watch_namespaces else ()

    @field_validator("watch_namespaces")
    @classmethod
    def _namespaces_are_few_and_different(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError("name each namespace once")
        if len(names) > MOST_NAMESPACES:
            raise ValueError(
                f"at most {MOST_NAMESPACES} namespaces, not {len(names)}, since each takes watches of its own; leave the "
                "list empty to watch all of them at once, or install another operator for the others"
            )
        return names
