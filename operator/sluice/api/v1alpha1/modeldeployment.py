"""ModelDeployment: which model version should serve."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from sluice.api.base import ApiModel, Name, ObjectMeta, ObjectName, OpaqueObject, Quantity, Time
from sluice.api.cel import Cel
from sluice.api.v1alpha1.common import (
    SHORT_NAME,
    CapacityMode,
    Conditions,
    LocalObjectRef,
    Objectives,
    OnDeadline,
    Steps,
    Strategy,
)
from sluice.api.v1alpha1.sources import Sha256, Uri
from sluice.api.v1alpha1.validation import Validation

IMAGE_SCHEME: Final = "image://"
"""Names a version that its server's image carries; nobody writes it in a spec."""

EnvVar = Annotated[
    OpaqueObject,
    Field(
        json_schema_extra={
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 253, "description": "Name of the variable."},
                "value": {"type": "string", "maxLength": 32_768, "description": "Its value."},
            },
        }
    ),
]
"""A Kubernetes EnvVar."""


class ModelSpec(ApiModel):
    """The model: a file or folder outside the server image."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "!has(self.sha256) || !self.uri.startsWith('oci://')",
            message="an image is pinned in its URI: oci://registry/repository@sha256:DIGEST",
            field_path=".sha256",
        ),
    )

    name: (
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$")] | None
    ) = None
    """Served model name; default metadata.name. The same for every revision, so that clients never change."""
    format: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """The model's format, as a ServingRuntime lists it: onnx, or triton for a ready model repository."""
    uri: Uri | None = None
    """Where the model is: s3://bucket/path or gs://bucket/path to one file or a folder, https://host/path to one file or
    archive, hf://organisation/name[/path][@revision] to a repository, oci://registry/repository:tag to an image,
    pvc://claim/path to what a PersistentVolumeClaim holds. Changing it is a release. None: the image of
    spec.runtime.image carries the model, and changing that is a release."""
    sha256: Sha256 | None = None
    """The checksum of the one file that uri names; a file with another one is not served. Not for oci://, whose URIs can
    have a digest."""
    version: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """A label for people."""
    variant: Name | None = None
    """Which of spec.variants serves; default: the model as it is. Changing it is a release."""
    credentials_secret_ref: LocalObjectRef | None = None
    """A Secret with the keys of the source. s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, optional AWS_ENDPOINT_URL and
    AWS_DEFAULT_REGION. https: HTTP_AUTHORIZATION, the header's value. gs: GOOGLE_APPLICATION_CREDENTIALS_JSON or
    STORAGE_EMULATOR_HOST. hf: HF_TOKEN, HF_ENDPOINT. oci: .dockerconfigjson."""


class Batching(ApiModel):
    """Requests that the server joins, so that the model runs once for many: more throughput, for some latency."""

    maximum_batch_size: Annotated[int, Field(ge=2, le=4096)]
    """The most rows that run together."""
    maximum_queue_delay_microseconds: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """How long a request may wait for others; 0: only while the model is busy anyway."""


class TensorRTPrecision(StrEnum):
    FP32 = "FP32"
    FP16 = "FP16"


class TensorRT(ApiModel):
    """Parts of the model that NVIDIA's TensorRT can run, run by it."""

    precision: TensorRTPrecision = TensorRTPrecision.FP16
    """Of the computation. FP16 is faster, and answers a little differently."""
    maximum_workspace_mebibytes: Annotated[int, Field(ge=16, le=65_536)] = 1024
    """Memory of the device that TensorRT may use beside the model, MiB."""


class RuntimeSpec(ApiModel):
    """Overrides of the model server."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.image) || !(has(self.port) || has(self.readinessPath))",
            message="port and readinessPath belong to an image of your own: set image",
            field_path=".image",
            reason="FieldValueRequired",
        ),
    )

    name: ObjectName | None = None
    """The ServingRuntime; default: the one with the highest priority for the format."""
    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\s{}]+$")] | None = None
    """An image in place of the ServingRuntime's; format custom needs one."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The HTTP port of that image, in place of the ServingRuntime's."""
    readiness_path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s{}]*$")] | None = None
    """The HTTP path that the startup and readiness probes ask; it must speak of the model."""
    batching: Batching | None = None
    """Dynamic batching, where the ServingRuntime says how its server does it."""
    instances: Annotated[int, Field(ge=1, le=64)] | None = None
    """Copies of the model that work side by side in each pod, for each of its devices where it has some; default: the
    server's, which is one. Where the ServingRuntime says how."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Processor threads of one inference; default: the server's. Where the ServingRuntime says how."""
    tensor_rt: Annotated[TensorRT | None, Field(alias="tensorRT")] = None
    """TensorRT for an onnx model, on a server with ONNX Runtime and a GPU, where the ServingRuntime says how."""
    args: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=64)] = Field(default_factory=list)
    """Arguments appended to the server's own."""
    env: Annotated[
        list[EnvVar],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=list)
    """Environment variables (Kubernetes EnvVar) added to the server's own."""


class Resources(ApiModel):
    """Compute resources of the model server's container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What is set aside for the container, such as cpu: "1"."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What it may use at most, such as memory: 2Gi."""


class Accelerator(ApiModel):
    """Devices for every pod."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel("has(self.profile) != has(self.resource)", message="give exactly one of profile and resource"),
    )

    profile: Name | None = None
    """A profile of the operator's configuration: resource, nodes, tolerations and runtime class."""
    resource: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9.-]+/[-A-Za-z0-9_.]+$")] | None = None
    """The resource itself, such as nvidia.com/gpu or nvidia.com/mig-1g.10gb."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """Devices for each pod."""


class ScalingMetric(StrEnum):
    CPU = "CPU"
    MEMORY = "Memory"
    IN_FLIGHT_REQUESTS = "InFlightRequests"
    QUEUE_MILLIS = "QueueMillis"


class ScalingTarget(ApiModel):
    """What is held by adding and removing pods."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.value) == (has(self.metric) && self.metric in ['InFlightRequests', 'QueueMillis'])",
            message="value belongs to metric InFlightRequests and QueueMillis, which need it",
            field_path=".value",
        ),
        Cel(
            "!has(self.utilizationPercent) || !has(self.metric) || self.metric in ['CPU', 'Memory']",
            message="utilizationPercent belongs to metric CPU and Memory",
            field_path=".utilizationPercent",
        ),
    )

    metric: ScalingMetric = ScalingMetric.CPU
    """What is measured. CPU and Memory: use by the model server. InFlightRequests: requests under way, as the gateway
    counts them. QueueMillis: how long a request waits in the model server, where its ServingRuntime says how that is
    measured. The last two need KEDA."""
    utilization_percent: Annotated[int, Field(ge=1, le=500)] | None = None
    """For CPU and Memory: mean use over the pods, in percent of their requests; default 70."""
    value: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """For InFlightRequests: how many each pod shall have at a time. For QueueMillis: how many milliseconds a request
    shall wait. Means over the last minute."""


class Autoscaling(ApiModel):
    """Replicas by load, with an autoscaler for each serving revision."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.minimumReplicas <= self.maximumReplicas", message="minimumReplicas must not be above maximumReplicas"
        ),
        Cel(
            "self.minimumReplicas > 0 || (has(self.target.metric) && self.target.metric == 'InFlightRequests')",
            message="only the gateway sees requests to a model without pods: minimumReplicas 0 needs metric "
            "InFlightRequests",
            field_path=".minimumReplicas",
        ),
    )

    minimum_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """The fewest pods. 0: none while nobody asks; whoever asks first gets 503 until a pod is ready."""
    maximum_replicas: Annotated[int, Field(ge=1, le=1000)]
    """The most pods."""
    scale_down_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """How long fewer pods must have been enough before some are taken away."""
    target: ScalingTarget = ScalingTarget()
    """The load that is aimed at."""


class Quantization(StrEnum):
    INT8_DYNAMIC = "Int8Dynamic"
    INT8_STATIC = "Int8Static"


class Optimize(ApiModel):
    """How a variant is made from the model."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.quantization != 'Int8Static' || has(self.calibrationUri)",
            message="Int8Static needs calibrationUri",
        ),
        Cel(
            "!has(self.calibrationUri) || self.calibrationUri.startsWith('s3://')",
            message="calibrationUri must be in s3, as the model",
            field_path=".calibrationUri",
        ),
    )

    quantization: Quantization
    """Int8Dynamic: weights as integers, activations scaled at run time. Int8Static: both, scaled by a calibration set."""
    calibration_uri: Uri | None = None
    """An .npz file with one array for each input of the model, whose first axes count the rows. The variant is compared
    with the model on these rows; without it on random ones."""


class Variant(ApiModel):
    """A faster form of the model, made by a Job and stored beside it."""

    name: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Its name in model.variant."""
    optimize: Optimize
    """How it is made."""


class ConfigMapKey(ApiModel):
    """One entry of a ConfigMap in the same namespace."""

    config_map: ObjectName
    """The ConfigMap."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """The entry in its data or binaryData."""


class Warmup(ApiModel):
    """Real requests to each new pod before it is Ready, sent from within the pod."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "!has(self.path) || has(self.payloadRef)",
            message="nobody knows what a path of your own takes: give a payload",
            field_path=".payloadRef",
            reason="FieldValueRequired",
        ),
    )

    requests: Annotated[int, Field(ge=1, le=10_000)] = 20
    """How many at least, one after the other."""
    payload_ref: ConfigMapKey | None = None
    """The body of the requests; default: zeros in the shape that the model's metadata tell (V2, and V1 of TensorFlow
    Serving), a short prompt (OpenAI). The other protocols need one."""
    path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s{}]*$")] | None = None
    """The HTTP path of the requests; default: the protocol's, or the ServingRuntime's."""
    maximum_latency_millis: Annotated[int, Field(ge=1, le=600_000)] | None = None
    """How fast the model must have become, by the median of the last half of the requests; until then there are more, and
    after a minute the pod says so and stays unready."""


class GatewayRef(ApiModel):
    """A reference to a Gateway."""

    name: ObjectName
    """The Gateway's name."""
    namespace: Name
    """The Gateway's namespace."""


HeaderName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class CandidateHeader(ApiModel):
    """A request header by which testers reach the candidate on purpose."""

    name: HeaderName = "x-sluice-candidate"
    """The header."""
    value: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[ -~]+$")] = "always"
    """Its exact value."""


class Routing(ApiModel):
    """How requests reach the model."""

    gateway_ref: GatewayRef | None = None
    """The Gateway to attach to; default from the operator's configuration."""
    hostnames: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(default_factory=list)
    """Host names of the model; default {name}.{namespace}.{domain of the operator's configuration}."""
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """After this long the gateway answers 504."""
    candidate_header: CandidateHeader | None = None
    """Requests with this header go to the candidate while a release runs; they are counted apart."""


class Canary(ApiModel):
    """Settings of the Canary strategy."""

    steps: Steps
    """Increasing weights that end with 100."""


class BlueGreen(ApiModel):
    """Settings of the BlueGreen strategy: a full second set, one flip, and an instant way back."""

    preview_seconds: Annotated[int, Field(ge=0, le=604_800)] = 300
    """How long the new version is at least reachable under its preview host name before the flip."""
    automatic_promotion: bool = True
    """Whether the flip comes by itself; otherwise a person says so: `kubectl sluice resume`."""


class Shadow(ApiModel):
    """Mirrored traffic, whose answers no user sees; before Canary and BlueGreen it is the first stage."""

    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """The share of requests that is mirrored; less than 100 only where the gateway can."""
    minimum_requests: Annotated[int, Field(ge=0, le=10_000_000)] = 500
    """Mirrored requests that must at least be seen."""


class Arm(ApiModel):
    """One version beside the stable one in an A/B test."""

    name: Name
    """Its name in status and reports."""
    weight: Annotated[int, Field(ge=1, le=99)]
    """Its share of the users in percent; the stable version has the rest."""
    model: "ArmModel"
    """What differs from spec.model."""


class ArmModel(ApiModel):
    """The fields of spec.model that an arm replaces."""

    uri: Uri
    """Where the arm's model is."""
    sha256: Sha256 | None = None
    """The checksum of the one file that uri names."""
    version: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """A label for people."""


class AssignmentType(StrEnum):
    COOKIE = "Cookie"
    HEADER = "Header"


class Assignment(ApiModel):
    """How a user keeps his arm."""

    type: AssignmentType = AssignmentType.COOKIE
    """Cookie: the gateway's first choice is kept in a cookie. Header: the arm follows from the last two letters or digits
    of a header that identifies the user."""
    name: HeaderName = "sluice-arm"
    """The cookie or the header."""


class OnWinner(StrEnum):
    REPORT = "Report"
    PROMOTE = "Promote"


class ABTest(ApiModel):
    """Settings of the ABTest strategy: spec.model is the control."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.arms.map(arm, arm.weight).sum() < 100",
            message="the weights of all arms must leave a share for the stable version",
            field_path=".arms",
        ),
    )

    arms: Annotated[
        list[Arm],
        Field(
            min_length=1,
            max_length=5,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The versions to compare with the stable one."""
    assignment: Assignment = Assignment()
    """How a user keeps his arm."""
    metric: Name
    """The objective that decides; a failureRatio with source Query that counts users."""
    maximum_seconds: Annotated[int, Field(ge=60, le=7_776_000)] = 1_209_600
    """The test ends after this long, with or without a winner."""
    on_winner: OnWinner = OnWinner.REPORT
    """Report: say who won and serve on as before. Promote: release the winner."""


class Rollout(ApiModel):
    """How a change is released; what is left out comes from the RolloutPolicy."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "(has(self.strategy) && self.strategy == 'ABTest') == has(self.abTest)",
            message="strategy ABTest and abTest go together",
            field_path=".abTest",
        ),
        Cel(
            "!has(self.blueGreen) || (has(self.strategy) && self.strategy == 'BlueGreen')",
            message="blueGreen needs strategy BlueGreen",
            field_path=".blueGreen",
        ),
        Cel(
            "!has(self.canary) || !has(self.strategy) || self.strategy == 'Canary'",
            message="canary needs strategy Canary",
            field_path=".canary",
        ),
        Cel(
            "!has(self.shadow) || !has(self.strategy) || self.strategy in ['Shadow', 'Canary', 'BlueGreen']",
            message="shadow needs strategy Shadow, or is the first stage of Canary or BlueGreen",
            field_path=".shadow",
        ),
        Cel(
            "!has(self.capacity) || self.capacity != 'ShrinkStable' "
            "|| ((!has(self.strategy) || self.strategy == 'Canary') && !has(self.shadow))",
            message="capacity ShrinkStable needs strategy Canary without shadow: previews, mirrored requests and arms need "
            "pods beside all of the stable version's",
            field_path=".capacity",
        ),
        Cel(
            "!has(self.validation) || !has(self.strategy) || self.strategy != 'ABTest'",
            message="validation is of one candidate, and strategy ABTest has several: score the arms' models with a "
            "BatchInference each before the test",
            field_path=".validation",
        ),
    )

    policy_ref: LocalObjectRef | None = None
    """The RolloutPolicy; default: the one named default."""
    strategy: Strategy = Strategy.CANARY
    """The way of releasing."""
    canary: Canary | None = None
    """Settings of the Canary strategy."""
    blue_green: BlueGreen | None = None
    """Settings of the BlueGreen strategy."""
    shadow: Shadow | None = None
    """Settings of the Shadow strategy, or of the first stage of Canary and BlueGreen."""
    ab_test: Annotated[ABTest | None, Field(alias="abTest")] = None
    """Settings of the ABTest strategy."""
    capacity: CapacityMode = CapacityMode.AUTO
    """Where the candidate's pods come from. Surge: beside stable. ShrinkStable: one pod at a time from stable, where its
    share of the traffic allows. Recreate: stable goes first, with downtime. Auto: Surge where there is room, otherwise
    ShrinkStable."""
    objectives: Objectives | None = None
    """Objectives that replace the policy's."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=2_592_000)] | None = None
    """After this long without a decision onDeadline applies."""
    on_deadline: OnDeadline | None = None
    """What happens at the deadline: Hold (the default), Promote or RollBack."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = None
    """How long the old version stays warm and the objectives armed after 100 %."""
    validation: Validation | None = None
    """A labelled data set that a candidate must answer well before it gets any request; not for the first version, nor for
    one that a person goes back to."""


MODEL_IS_SOMEWHERE: Final = Cel(
    "!has(self.model) || has(self.model.uri) || (has(self.runtime) && has(self.runtime.image))",
    message="say where the model is, or name the image that carries it in spec.runtime.image",
    field_path=".model.uri",
    reason="FieldValueRequired",
)
CUSTOM_HAS_AN_IMAGE: Final = Cel(
    "!has(self.model) || self.model.format != 'custom' || (has(self.runtime) && has(self.runtime.image))",
    message="format custom runs an image of your own: name it",
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
            message="variants are made of onnx models, and stored beside them in s3",
            field_path=".variants",
        ),
        MODEL_IS_SOMEWHERE,
        Cel(
            "!has(self.runtime) || !has(self.runtime.tensorRT) || has(self.accelerator)",
            message="TensorRT runs on a GPU: ask for one",
            field_path=".accelerator",
            reason="FieldValueRequired",
        ),
        CUSTOM_HAS_AN_IMAGE,
    )

    model: ModelSpec
    """The model to serve."""
    variants: Annotated[
        list[Variant],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=list)
    """Faster forms of the model to make; format onnx, in a store that can be written to (s3)."""
    runtime: RuntimeSpec | None = None
    """Choice and overrides of the model server."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many pods serve the stable version."""
    autoscaling: Autoscaling | None = None
    """Replicas by load; `replicas` then only says how many there are at first."""
    accelerator: Accelerator | None = None
    """Devices for every pod."""
    resources: Resources | None = None
    """Compute resources of the model server."""
    warmup: Warmup | None = None
    """Requests to each new pod before users' come; default: none."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    """How long in-flight requests may take to end when a pod goes away."""
    node_selector: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=32)] | None = None
    """Labels of the nodes to run on."""
    tolerations: Annotated[list[OpaqueObject], Field(max_length=32)] | None = None
    """Taints to tolerate (Kubernetes Toleration)."""
    affinity: OpaqueObject | None = None
    """Scheduling affinity (Kubernetes Affinity)."""
    image_pull_secrets: (
        Annotated[
            list[LocalObjectRef],
            Field(
                max_length=16,
                json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
        ]
        | None
    ) = None
    """Secrets for pulling images."""
    service_account_name: ObjectName | None = None
    """The pods' ServiceAccount."""
    pod_annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] | None = None
    """Annotations added to the pods."""
    routing: Routing = Routing()
    """How requests reach the model."""
    rollout: Rollout = Rollout()
    """How a change is released."""

    @property
    def model_uri(self) -> str:
        """What names the version: where the model is, or the image that carries it."""
        if self.model.uri is not None:
            return self.model.uri
        return f"{IMAGE_SCHEME}{self.runtime.image if self.runtime is not None else ''}"


class RevisionStatus(ApiModel):
    """One revision as it serves now."""

    revision: str
    """The revision's name, equal to the response header x-model-revision."""
    model_version: str | None = None
    """The label model.version, where given."""
    weight: int = 0
    """Its share of the traffic in percent."""
    ready_replicas: int = 0
    replicas: int = 0


class VariantState(StrEnum):
    PENDING = "Pending"
    READY = "Ready"
    FAILED = "Failed"


class VariantStatus(ApiModel):
    """One variant, and what it is worth."""

    name: str
    uri: str = ""
    """Where it is stored."""
    state: VariantState = VariantState.PENDING
    message: str = ""
    """Why it is not there."""
    size_bytes: int | None = None
    original_size_bytes: int | None = None
    agreement: str | None = None
    """Share of the rows on which it answers as the model does, such as 99.2%."""
    rows: int | None = None
    calibrated: bool | None = None
    """Whether these rows are the user's; otherwise they were drawn at random."""
    latency_millis: str | None = None
    """Median of single rows on one thread, where the Job ran."""
    original_latency_millis: str | None = None


class RolloutSummary(ApiModel):
    """The running release in short; the whole is in the ModelRollout."""

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
    """Candidate requests still needed for the next decision, as far as can be told."""
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
    arms: Annotated[list[RevisionStatus], Field(max_length=5)] = Field(default_factory=list)
    """The versions beside stable in an A/B test."""
    variants: Annotated[list[VariantStatus], Field(max_length=8)] = Field(default_factory=list)
    """Of spec.variants."""
    rollout: RolloutSummary | None = None
    last_rollouts: Annotated[list[LastRollout], Field(max_length=5)] = Field(default_factory=list)
    conditions: Conditions = Field(default_factory=list)


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
    cel_rules: ClassVar[tuple[Cel, ...]] = (SHORT_NAME,)

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()
