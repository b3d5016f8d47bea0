"""ModelDeployment: which model version should serve."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from sluice_core.api.base import ObjectMeta, ObjectName, Time
from sluice_core.api.v1alpha1 import registry
from sluice_core.api.v1alpha1.autoscaling import Autoscaling
from sluice_core.api.v1alpha1.common import SHORT_NAME, Conditions, LocalObjectRef, PullSecrets, Strategy
from sluice_core.api.v1alpha1.observer import Observer
from sluice_core.api.v1alpha1.podfields import (
    Affinity,
    PodLabels,
    PodResourceClaim,
    Toleration,
    TopologySpreadConstraint,
)
from sluice_core.api.v1alpha1.registry import ResolvedModel
from sluice_core.api.v1alpha1.routing import Routing
from sluice_core.api.v1alpha1.sources import ModelUri, Sha256, Uri
from sluice_core.api.v1alpha1.strategies import Rollout
from sluice_core.api.v1alpha1.variants import Variant, VariantStatus
from sluice_core.api.v1alpha1.verification import ModelVerification, VerificationStatus
from sluice_core.api.v1alpha1.volumes import Volume, VolumeMount
from sluice_core.api.v1alpha1.watchstatus import WatchStatus
from sluice_core.api.v1alpha1.workload import Accelerator, ModelVolume, Resources, RuntimeSpec, SharedMemory, Warmup
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Name, no_items

IMAGE_SCHEME: Final = "image://"
"""Names a version that its server's image carries; no spec contains it."""


ServedName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$")]
"""The name by which clients address a model or an adapter."""

SOURCE_RULES: Final = (
    Cel(
        "!has(self.sha256) || !self.uri.startsWith('oci://')",
        message="an image is pinned in its URI: oci://registry/repository@sha256:DIGEST",
        field_path=".sha256",
    ),
    Cel(
        "!has(self.uri) || !self.uri.startsWith('azblob://') || has(self.credentialsSecretRef)",
        message="azblob:// needs a Secret, whose key AZURE_STORAGE_ACCOUNT names the account",
        field_path=".credentialsSecretRef",
        reason="FieldValueRequired",
    ),
)
"""Rules for whatever a pod fetches."""
OTHER_NAME: Final = "an adapter needs another name than the model, whose name is spec.model.name or metadata.name"


class Adapter(ApiModel):
    """A LoRA adapter: a small change of the model, which its server loads beside it and serves under its own name."""

    cel_rules: ClassVar[tuple[Cel, ...]] = SOURCE_RULES

    name: ServedName
    """The model name in clients' requests; it differs from the model's own and from other adapters'."""
    uri: Uri
    """Where it is; see spec.model.uri. Changing it is a release."""
    sha256: Sha256 | None = None
    """The checksum of the file that uri names."""
    credentials_secret_ref: LocalObjectRef | None = None
    """A Secret with the keys of its source; see spec.model.credentialsSecretRef."""


class ModelSpec(ApiModel):
    """The model: a file or folder outside the server image."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        *SOURCE_RULES,
        Cel(
            "!has(self.adapters) || size(self.adapters) == 0 || has(self.uri)",
            message="adapters are fetched beside a model: set uri",
            field_path=".uri",
            reason="FieldValueRequired",
        ),
        Cel(
            "!has(self.adapters) || !has(self.name) || self.adapters.all(a, a.name != self.name)",
            message=OTHER_NAME,
            field_path=".adapters",
        ),
        Cel(
            "!has(self.sha256) || !has(self.uri) || !(self.uri.startsWith('models:/') || (has(self.follow) && self.follow))",
            message="a registry names other files with each version; verify says who must have signed them",
            field_path=".sha256",
        ),
        Cel(
            "!has(self.follow) || !self.follow || (has(self.uri) && (self.uri.matches('^hf://[^@]+(@[^@]+)?$') && "
            "!self.uri.matches('@[0-9a-f]{40}$') || self.uri.startsWith('oci://') && !self.uri.contains('@')))",
            message="only a branch of hf:// and a tag of oci:// can move; models:/name@alias is followed without it",
            field_path=".follow",
        ),
    )

    name: ServedName | None = None
    """Served model name; default metadata.name. The same for every revision, so that clients never change."""
    format: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """The model's format, as a ServingRuntime lists it: onnx, or triton for a ready model repository."""
    uri: ModelUri | None = None
    """Where the model is: s3://bucket/path, gs://bucket/path or azblob://container/path to one file or a folder,
    https://host/path to one file or archive, hf://organisation/name[/path][@revision] to a repository,
    oci://registry/repository:tag to an image, pvc://claim/path to what a PersistentVolumeClaim holds;
    models:/name@alias or models:/name/version to what MLflow's registry names. Changing it is a release, and so is
    moving the alias. None: the image of spec.runtime.image carries the model, and changing that is a release."""
    follow: bool = False
    """Whether a branch of hf:// or a tag of oci:// is followed: a move of it is a release. What serves is pinned by
    commit or digest. models:/name@alias is always followed."""
    sha256: Sha256 | None = None
    """The checksum of the file that uri names; a file with another checksum is not served. Not for oci://, whose URIs
    can have a digest."""
    verify: ModelVerification | None = None
    """The required signers of the model, in addition to what the operator requires for the namespace
    (config.verification). Checked when the whole model is fetched, before the server sees any of it. Changing it is a
    release."""
    version: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """A label for people."""
    variant: Name | None = None
    """Which of spec.variants serves; default: the model as it is. Changing it is a release."""
    volume: ModelVolume | None = None
    """The volume of a fetched model in its pod; default: a folder of the node, as large as
    storageInitializer.maximumModelSize of the operator's configuration."""
    credentials_secret_ref: LocalObjectRef | None = None
    """A Secret with the keys of the source. s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, optional AWS_ENDPOINT_URL,
    AWS_DEFAULT_REGION and AWS_SESSION_TOKEN. https: HTTP_AUTHORIZATION, the header's value. gs: GOOGLE_APPLICATION_CREDENTIALS_JSON or
    STORAGE_EMULATOR_HOST. azblob: AZURE_STORAGE_ACCOUNT, and at most one of AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN and
    AZURE_STORAGE_CONNECTION_STRING, optional AZURE_STORAGE_ENDPOINT. hf: HF_TOKEN, HF_ENDPOINT. oci: .dockerconfigjson."""
    adapters: Annotated[
        list[Adapter],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """LoRA adapters that are loaded beside the model, if the ServingRuntime says how. A changed adapter is a release."""

    @property
    def is_followed(self) -> bool:
        """Whether a registry says which version it is."""
        return self.uri is not None and (self.follow or registry.is_followed(self.uri))


ADAPTERS_HAVE_OTHER_NAMES: Final = Cel(
    "has(self.spec.model.name) || !has(self.spec.model.adapters) || "
    "self.spec.model.adapters.all(a, a.name != self.metadata.name)",
    message=OTHER_NAME,
    field_path=".spec.model.adapters",
)
"""Where the model has the name of its ModelDeployment."""
MODEL_IS_SOMEWHERE: Final = Cel(
    "!has(self.model) || has(self.model.uri) || (has(self.runtime) && has(self.runtime.image))",
    message="set where the model is, or name the image that contains it in spec.runtime.image",
    field_path=".model.uri",
    reason="FieldValueRequired",
)
CUSTOM_HAS_AN_IMAGE: Final = Cel(
    "!has(self.model) || self.model.format != 'custom' || (has(self.runtime) && has(self.runtime.image))",
    message="format custom runs your own image: name it",
    field_path=".runtime.image",
    reason="FieldValueRequired",
)


class ModelDeploymentSpec(ApiModel):
    """What should serve, and how it may change."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "!has(self.model.variant) || (has(self.variants) && self.variants.exists(v, v.name == self.model.variant))",
            message="model.variant must be the name of one of spec.variants",
            field_path=".model.variant",
        ),
        Cel(
            "!has(self.variants) || size(self.variants) == 0 || (self.model.format == 'onnx' && has(self.model.uri) && self.model.uri.startsWith('s3://'))",
            message="variants are made from onnx models and stored next to them in s3",
            field_path=".variants",
        ),
        MODEL_IS_SOMEWHERE,
        Cel(
            "!has(self.runtime) || !has(self.runtime.tensorRT) || has(self.accelerator)",
            message="TensorRT needs a GPU: set accelerator",
            field_path=".accelerator",
            reason="FieldValueRequired",
        ),
        CUSTOM_HAS_AN_IMAGE,
        Cel(
            "!has(self.volumeMounts) || self.volumeMounts.all(mount, "
            "has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
            message="each name must be that of one of spec.volumes",
            field_path=".volumeMounts",
        ),
    )

    model: ModelSpec
    """The model to serve."""
    variants: Annotated[
        list[Variant],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Faster forms of the model to create; only for format onnx, in a writable store (s3)."""
    runtime: RuntimeSpec | None = None
    """Choice and overrides of the model server."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many pods serve the stable version."""
    autoscaling: Autoscaling | None = None
    """Replicas by load; `replicas` is then only the initial number."""
    accelerator: Accelerator | None = None
    """Devices for every pod."""
    resources: Resources | None = None
    """Compute resources of the model server."""
    warmup: Warmup | None = None
    """Requests to each new pod before users' requests arrive; default: none."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """How long requests in flight may take when a pod is removed."""
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] | None = None
    """Labels of the nodes to run on."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = None
    """Taints to tolerate (Kubernetes Toleration)."""
    affinity: Affinity | None = None
    """Scheduling affinity (Kubernetes Affinity)."""
    image_pull_secrets: PullSecrets | None = None
    """Secrets for pulling images."""
    service_account_name: ObjectName | None = None
    """The pods' ServiceAccount."""
    pod_annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] | None = None
    """Annotations added to the pods."""
    pod_labels: PodLabels | None = None
    """Labels added to the pods that serve; Sluice's own keep their values."""
    priority_class_name: ObjectName | None = None
    """The pods' PriorityClass, one that config.allowedPriorityClasses of the operator names for the namespace."""
    scheduler_name: ObjectName | None = None
    """The scheduler that places the pods; default: the cluster's."""
    topology_spread_constraints: Annotated[list[TopologySpreadConstraint], Field(max_length=8)] | None = None
    """How the pods are spread (Kubernetes TopologySpreadConstraint), instead of over nodes and zones where possible.
    Without a labelSelector, the pods of the revision are counted."""
    volumes: (
        Annotated[
            list[Volume],
            Field(
                max_length=16,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
        ]
        | None
    ) = None
    """Volumes of the pods (Kubernetes Volume)."""
    volume_mounts: (
        Annotated[
            list[VolumeMount],
            Field(
                max_length=32,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["mountPath"]},
            ),
        ]
        | None
    ) = None
    """Where they are mounted in the model server's container (Kubernetes VolumeMount)."""
    shared_memory: SharedMemory | None = None
    """The server's /dev/shm; default: as much as its memory limit leaves."""
    resource_claims: (
        Annotated[
            list[PodResourceClaim],
            Field(
                max_length=8,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
        ]
        | None
    ) = None
    """Devices of Dynamic Resource Allocation (Kubernetes PodResourceClaim), for the pods and the model server's container."""
    routing: Routing = Field(default_factory=Routing)
    """How requests reach the model."""
    observer: Observer | None = None
    """Counts features of copied requests by bins, to detect drift; default: none."""
    rollout: Rollout = Field(default_factory=Rollout)
    """How a change is released."""

    @property
    def model_uri(self) -> str:
        """What names the version: the model's URI, or the image that carries it."""
        if self.model.uri is not None:
            return self.model.uri
        return f"{IMAGE_SCHEME}{self.runtime.image if self.runtime is not None else ''}"


class RevisionStatus(ApiModel):
    """A revision that serves now."""

    revision: str
    """The revision's name, equal to the response header x-model-revision."""
    model_version: str | None = None
    """The label model.version, if set."""
    weight: int = 0
    """Its share of the traffic in percent."""
    ready_replicas: int = 0
    replicas: int = 0
    verification: VerificationStatus | None = None
    """The model's signer; None if no signature is required, or no pod has reported it yet."""


class RolloutSummary(ApiModel):
    """A summary of the running release; the ModelRollout has everything."""

    name: str
    """The ModelRollout."""
    strategy: Strategy = Strategy.CANARY
    verdict: str = ""
    """Advance, RollBack, Wait or Blind."""
    reason: str = ""
    message: str = ""
    step: int = 0
    """The current step, counted from 1."""
    steps: int = 0
    requests_needed: int | None = None
    """Candidate requests still needed for the next decision, if that can be estimated."""
    estimated_completion_time: Time | None = None


class LastRollout(ApiModel):
    """One ended release."""

    name: str
    outcome: str
    reason: str = ""
    end_time: Time | None = None


class ModelDeploymentStatus(ApiModel):
    """What serves now."""

    observed_generation: int = 0
    url: str | None = None
    """The model's address."""
    stable: RevisionStatus | None = None
    candidate: RevisionStatus | None = None
    arms: Annotated[list[RevisionStatus], Field(max_length=5)] = Field(default_factory=no_items)
    """The versions beside stable in an A/B test."""
    variants: Annotated[list[VariantStatus], Field(max_length=8)] = Field(default_factory=no_items)
    """The status of each of spec.variants."""
    rollout: RolloutSummary | None = None
    resolved: ResolvedModel | None = None
    """The version that spec.model.uri names; only for registries."""
    watch: WatchStatus | None = None
    """What the watch over the stable version has seen, if the policy has one."""
    last_rollouts: Annotated[list[LastRollout], Field(max_length=5)] = Field(default_factory=no_items)
    conditions: Conditions = Field(default_factory=no_items)


class ModelDeployment(ApiModel):
    """A model that should serve, under one stable address, released safely on every change."""

    kind: ClassVar[str] = "ModelDeployment"
    plural: ClassVar[str] = "modeldeployments"
    short_names: ClassVar[tuple[str, ...]] = ("mdep",)
    scope: ClassVar[str] = "Namespaced"
    printer_columns: ClassVar[tuple[dict[str, Any], ...]] = (
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Stable", "type": "string", "jsonPath": ".status.stable.revision"},
        {"name": "Candidate", "type": "string", "jsonPath": ".status.candidate.revision"},
        {"name": "Weight", "type": "integer", "jsonPath": ".status.candidate.weight"},
        {"name": "Step", "type": "integer", "jsonPath": ".status.rollout.step"},
        {"name": "Verdict", "type": "string", "jsonPath": ".status.rollout.verdict"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.rollout.reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1},
    )
    scale: ClassVar[dict[str, str]] = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.stable.replicas",
    }
    """For `kubectl scale`. No selector: autoscaling is spec.autoscaling, which knows of releases."""
    cel_rules: ClassVar[tuple[Cel, ...]] = (SHORT_NAME, ADAPTERS_HAVE_OTHER_NAMES)

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = Field(default_factory=ModelDeploymentStatus)

    @property
    def resolved(self) -> ResolvedModel | None:
        """The registry's answer for spec.model.uri; None: none yet, or no registry is asked."""
        known, model = self.status.resolved, self.spec.model
        return known if known is not None and model.is_followed and known.uri == model.uri else None

    @property
    def asked_uri(self) -> str:
        """The URI or image of the requested version, as far as it is known."""
        return self.resolved.pinned if self.resolved is not None else self.spec.model_uri
