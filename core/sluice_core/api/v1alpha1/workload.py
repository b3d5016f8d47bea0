"""How the model runs: its server, its pods' resources, and its warm-up."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sluice_core.api.base import ObjectName, Quantity
from sluice_core.api.v1alpha1.podfields import EnvVar
from sluice_core.api.v1alpha1.volumes import Ephemeral
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Name, no_items


class Batching(ApiModel):
    """Requests that the server joins, so that the model runs once for many: more throughput at the cost of some
    latency.
    """

    maximum_batch_size: Annotated[int, Field(ge=2, le=4096)]
    """The maximum number of rows that run together."""
    maximum_queue_delay_microseconds: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """How long a request may wait for others; 0: only while the model is busy."""


class TensorRTPrecision(StrEnum):
    FP32 = "FP32"
    FP16 = "FP16"


class TensorRT(ApiModel):
    """The use of NVIDIA's TensorRT for the parts of the model that it can run."""

    precision: TensorRTPrecision = TensorRTPrecision.FP16
    """The precision of the computation. FP16 is faster, and its answers differ slightly."""
    maximum_workspace_mebibytes: Annotated[int, Field(ge=16, le=65_536)] = 1024
    """Device memory that TensorRT may use in addition to the model, in MiB."""


class RuntimeSpec(ApiModel):
    """Overrides of the model server."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.image) || !(has(self.port) || has(self.readinessPath))",
            message="port and readinessPath belong to your own image: set image",
            field_path=".image",
            reason="FieldValueRequired",
        ),
    )

    name: ObjectName | None = None
    """The ServingRuntime; default: the one with the highest priority for the format."""
    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\s{}]+$")] | None = None
    """An image instead of the ServingRuntime's; format custom needs one."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The HTTP port of that image, instead of the ServingRuntime's."""
    readiness_path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s{}]*$")] | None = None
    """The HTTP path that the startup and readiness probes call; it must report the state of the model."""
    batching: Batching | None = None
    """Dynamic batching, if the ServingRuntime says how its server does it."""
    instances: Annotated[int, Field(ge=1, le=64)] | None = None
    """Copies of the model that run side by side in each pod, on each of its devices if it has any; default: the
    server's, which is one. Only if the ServingRuntime says how."""
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Processor threads of one inference; default: the server's. Only if the ServingRuntime says how."""
    tensor_rt: Annotated[TensorRT | None, Field(alias="tensorRT")] = None
    """TensorRT for an onnx model, on a server with ONNX Runtime and a GPU, if the ServingRuntime says how."""
    args: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=64)] = Field(
        default_factory=no_items
    )
    """Arguments appended to the server's own."""
    env: Annotated[
        list[EnvVar],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Environment variables (Kubernetes EnvVar) added to the server's own."""


class Resources(ApiModel):
    """Compute resources of the model server's container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """What is reserved for the container, such as cpu: "1"."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """The most that it may use, such as memory: 2Gi."""


class Accelerator(ApiModel):
    """Devices for every pod."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel("has(self.profile) != has(self.resource)", message="set exactly one of profile and resource"),
    )

    profile: Name | None = None
    """A profile of the operator's configuration: resource, nodes, tolerations and runtime class."""
    resource: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9.-]+/[-A-Za-z0-9_.]+$")] | None = None
    """The resource itself, such as nvidia.com/gpu or nvidia.com/mig-1g.10gb."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """Devices for each pod."""


class EmptyDir(ApiModel):
    """A folder that is empty at first and deleted with the pod."""

    medium: Literal["Memory"] | None = None
    """Memory: its content counts as the pod's memory; default: the node's disk."""
    size_limit: Quantity
    """Its maximum size: at most storageInitializer.maximumModelSize of the operator's configuration."""


class ModelVolume(ApiModel):
    """The volume of the model in its pod."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel("has(self.emptyDir) != has(self.ephemeral)", message="set exactly one of emptyDir and ephemeral"),
    )

    empty_dir: EmptyDir | None = None
    """A folder on the node's disk or in its memory."""
    ephemeral: Ephemeral | None = None
    """A claim created for each pod and deleted with it: for models that fit on no node's disk."""


class SharedMemory(ApiModel):
    """`/dev/shm`, by which the processes of a server pass tensors to each other."""

    size_limit: Quantity
    """Its maximum size, such as 16Gi; it counts towards the container's memory limit."""


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
            message="a path of your own needs a payload: set payloadRef",
            field_path=".payloadRef",
            reason="FieldValueRequired",
        ),
    )

    requests: Annotated[int, Field(ge=1, le=10_000)] = 20
    """The minimum number of requests, sent one after the other."""
    payload_ref: ConfigMapKey | None = None
    """The body of the requests; default: zeros in the shape from the model's metadata (V2, and V1 of TensorFlow
    Serving), a short prompt (OpenAI). The other protocols need one."""
    path: Annotated[str, Field(max_length=256, pattern=r"^/[^\s{}]*$")] | None = None
    """The HTTP path of the requests; default: the protocol's, or the ServingRuntime's."""
    maximum_latency_millis: Annotated[int, Field(ge=1, le=600_000)] | None = None
    """The latency that the model must reach, as the median of the last half of the requests; until then more requests
    are sent, and after a minute the pod reports it and stays unready."""
