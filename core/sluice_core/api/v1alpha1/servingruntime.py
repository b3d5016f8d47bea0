"""ServingRuntime: how to run a model server."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from sluice_core.api.base import ObjectMeta, OpaqueObject
from sluice_core.api.v1alpha1.podfields import EnvVar
from sluice_core.api.v1alpha1.routing import Exposed, Timeouts
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, no_items
from sluice_judge.schema.objectives import HistogramName


class ModelLayout(StrEnum):
    """How the downloader lays a model's files out for the server."""

    PLAIN = "Plain"
    TRITON_REPOSITORY = "TritonRepository"
    TRITON_PYTHON_ONNX = "TritonPythonOnnx"
    MLSERVER_MODEL = "MLServerModel"
    BENTO_STORE = "BentoStore"
    TORCHSERVE_STORE = "TorchServeStore"
    TENSORFLOW_VERSIONS = "TensorFlowVersions"


class Protocol(StrEnum):
    V1 = "V1"
    V2 = "V2"
    GRPC_V2 = "GRPCV2"
    OPENAI = "OpenAI"
    NATIVE = "Native"
    """The server's or the model's own."""


class RuntimeFormat(ApiModel):
    """A model format that the server runs."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """The format, such as onnx."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 1
    """The runtime with the highest priority for a format wins; 0 is chosen only by name."""
    env: Annotated[
        list[EnvVar],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Environment variables of the first container for this format."""


class OnSignal(StrEnum):
    FINISHES = "Finishes"
    CUTS = "Cuts"


class Drain(ApiModel):
    """How the server is stopped without losing a request."""

    pre_stop_seconds: Annotated[int, Field(ge=0, le=300)] = 5
    """Pause before the server is signalled to stop, so that the gateway can learn that the pod is going away."""
    on_signal: OnSignal = OnSignal.FINISHES
    """What the server does with requests in flight when it is signalled to stop. Finishes: it answers them. Cuts: it
    does not, so it is signalled only after drainSeconds of the ModelDeployment."""


class BatchingTemplate(ApiModel):
    """Settings for a server when a ModelDeployment asks for batching."""

    env: Annotated[
        list[EnvVar],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Environment variables of the first container. In their values {{batching.maximumBatchSize}},
    {{batching.maximumQueueDelayMicroseconds}} and {{batching.maximumQueueDelaySeconds}} are replaced. Absent if the
    downloader's layout writes the settings (the Triton layouts)."""


class EnvTemplate(ApiModel):
    """Settings for a server when a ModelDeployment asks for it in `spec.runtime`."""

    env: Annotated[
        list[EnvVar],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Environment variables of the first container, with the placeholders of the field. Absent if the downloader's
    layout writes the setting."""


class AdaptersTemplate(ApiModel):
    """Settings for the adapters of `spec.model.adapters`: arguments of the first container."""

    args: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(max_length=16)] = Field(
        default_factory=no_items
    )
    """Arguments if there is any adapter; {{adapters.count}} is their number."""
    each: Annotated[list[Annotated[str, Field(max_length=1024)]], Field(min_length=1, max_length=16)]
    """Further arguments for each adapter: {{adapter.name}} is its name, {{adapter.path}} the folder with its files."""


class WarmupTemplate(ApiModel):
    """How warm-up requests are sent to a server of the protocol Native."""

    path: Annotated[str, Field(max_length=256, pattern=r"^/\S*$")]
    """The HTTP path of requests to the model; {{model.name}} in it is replaced."""


class LatencyUnit(StrEnum):
    SECONDS = "Seconds"
    MILLISECONDS = "Milliseconds"
    MICROSECONDS = "Microseconds"

    @property
    def millis(self) -> float:
        """Milliseconds in one unit."""
        return {LatencyUnit.SECONDS: 1000.0, LatencyUnit.MILLISECONDS: 1.0, LatencyUnit.MICROSECONDS: 0.001}[self]


OfPods = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    Cel(
        "self.contains('{{pods}}')",
        message="must contain {{pods}}, which stands for the label matchers of a version's pods: without it, the versions "
        "cannot be told apart",
    ),
]
"""A selector of raw series of a revision's pods."""


class RuntimeHistogram(ApiModel):
    """A histogram of times that objectives can judge."""

    name: HistogramName
    """The name for `measure` of a latency objective. Well known are TimeToFirstToken, InterTokenLatency (between two
    tokens), TimePerOutputToken (their mean in a request, for throughput) and EndToEnd."""
    bucket: OfPods
    """Selector of its `_bucket` series, by le. {{pods}} stands for the label matchers (namespace and pod) of a revision's
    pods."""
    unit: LatencyUnit = LatencyUnit.SECONDS
    """The unit of le."""
    prompt_label: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] | None = None
    """The label with the prompt length of requests: versions are then compared prompt length by prompt length. Absent:
    the server has none."""
    computed_label: Annotated[str, Field(max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] | None = None
    """The label with the number of prompt tokens that the server had to compute, because its prefix cache did not have
    them. It takes the place of promptLabel, and versions are then compared whatever their caches hold. Absent: the
    server has none."""


class MetricsPreset(StrEnum):
    """Metric names that several servers share."""

    OPEN_TELEMETRY_GEN_AI = "OpenTelemetryGenAI"


class RuntimeMetrics(ApiModel):
    """Where the server exposes its metrics."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.streams) == has(self.brokenStreams)",
            message="streams and brokenStreams go together: the second counts a part of the first",
        ),
    )

    port: Annotated[int, Field(ge=1, le=65_535)]
    """The container port."""
    path: Annotated[str, Field(max_length=256)] = "/metrics"
    """The HTTP path."""
    queue_millis: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """PromQL for the mean time that a request waits in the server, in ms, for autoscaling on QueueMillis. {{pods}}
    stands for the label matchers (namespace and pod) of a revision's pods; absent: the server does not report it."""
    running_requests: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Selector of the gauges of requests that the server is computing, for autoscaling on RunningRequests; {{pods}} as
    above.
    """
    waiting_requests: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Selector of the gauges of requests that wait in the server, for autoscaling on WaitingRequests."""
    kv_cache_usage: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Selector of the gauges of the use of the server's key-value cache, from 0 to 1, for autoscaling on KVCacheUsage."""
    requests: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Selector of the counters of answered requests, from which the judge learns by pod how much a version varies by
    itself. {{pods}} as above; the series that it matches are added up."""
    failures: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Selector of the counters of requests that the server failed to answer; absent: the server does not count them."""
    latency_bucket: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Selector of the buckets of a histogram of response times, by le, like a histogram named EndToEnd; absent: there
    is only that, or none."""
    latency_unit: LatencyUnit = LatencyUnit.SECONDS
    """The unit of le."""
    preset: MetricsPreset | None = None
    """Histograms that need not be listed. OpenTelemetryGenAI: gen_ai_server_time_to_first_token_seconds,
    gen_ai_server_time_per_output_token_seconds and gen_ai_server_request_duration_seconds."""
    histograms: Annotated[
        list[RuntimeHistogram],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Histograms that objectives with source Server judge; a listed one replaces the preset's."""
    prompt_tokens: OfPods | None = None
    """Selector of the buckets of a histogram of prompt lengths in tokens, from which the judge learns whether the
    versions get similar prompts if a histogram has no promptLabel. Absent: the server has none."""
    computed_tokens: OfPods | None = None
    """Selector of the buckets of a histogram of the prompt tokens that the server had to compute, because its prefix
    cache did not have them. It takes the place of promptTokens. Absent: the server has none."""
    prefix_cache: bool | None = None
    """Whether each pod reuses what it computed of a prompt for later prompts with the same beginning: the judge then
    compares TimeToFirstToken and response times only between pods that get about equal shares of the requests. Absent:
    true if the server has a histogram TimeToFirstToken."""
    streams: OfPods | None = None
    """Selector of the counters of ended streams, for objectives on BrokenStreams; the series that it matches are added up."""
    broken_streams: OfPods | None = None
    """Selector of the counters of streams that the server broke, for example by an error event inside a 200; never of
    those that the client ended."""


Container = Annotated[
    OpaqueObject,
    Field(
        json_schema_extra={
            "required": ["name", "image"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Name of the container."},
                "image": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "Its image."},
            },
        }
    ),
]
"""A Kubernetes Container."""

InitContainer = Annotated[
    OpaqueObject,
    Field(
        json_schema_extra={
            "required": ["name", "image"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Name of the container."},
                "image": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "Its image."},
                "restartPolicy": {
                    "type": "string",
                    "maxLength": 6,
                    "pattern": "^Always$",
                    "description": "Always: a sidecar, which runs until the other containers have ended.",
                },
            },
        }
    ),
]
"""A Kubernetes Container that begins before the others."""

OUR_CONTAINERS: Final = ("storage-initializer", "warm-up", "batch", "load", "spoiler")
"""Names of containers that Sluice adds to those of a ServingRuntime."""


class ServingRuntimeSpec(ApiModel):
    """A pod template for a model server; the first container serves the model."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            f"!has(self.initContainers) || self.initContainers.all(init, !(init.name in {list(OUR_CONTAINERS)}) && "
            "!self.containers.exists(container, container.name == init.name))",
            message=f"names must differ from those of containers, and from {', '.join(OUR_CONTAINERS)}",
            field_path=".initContainers",
        ),
    )

    formats: Annotated[
        list[RuntimeFormat],
        Field(
            min_length=1,
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The formats that it serves."""
    protocols: Annotated[list[Protocol], Field(min_length=1, max_length=4)] = Field(default=[Protocol.V2])
    """The inference protocols that it speaks."""
    model_layout: ModelLayout = ModelLayout.PLAIN
    """How the downloader lays the files out below {{model.path}}."""
    port: Annotated[int, Field(ge=1, le=65_535)]
    """The container port that answers HTTP requests."""
    grpc_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """The container port that answers gRPC requests (HTTP/2 without TLS); absent: the server does not speak gRPC."""
    containers: Annotated[
        list[Container],
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """Containers (Kubernetes Container). In strings {{model.name}}, {{model.path}}, {{revision}}, {{port}},
    {{accelerator.count}} (0 without devices), {{accelerator.shards}} (the same, at least 1) and {{drain.seconds}} are
    replaced; other placeholders are refused. The readiness probe must check the model, not the server."""
    init_containers: Annotated[
        list[InitContainer],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Containers that run one after the other once the model is there, before the server starts; with restartPolicy
    Always they run beside it until it has ended. They have the same placeholders."""
    batching: BatchingTemplate | None = None
    """How to configure batching; absent: the server cannot batch, or its model defines that itself."""
    instances: EnvTemplate | None = None
    """How to pass spec.runtime.instances ({{instances}}) to the server; absent: it is refused."""
    threads: EnvTemplate | None = None
    """How to pass spec.runtime.threads ({{threads}}) to the server; absent: it is refused."""
    tensor_rt: Annotated[EnvTemplate | None, Field(alias="tensorRT")] = None
    """How to pass spec.runtime.tensorRT to the server: {{tensorRT.precision}}, {{tensorRT.maximumWorkspaceMebibytes}};
    absent: it is refused."""
    adapters: AdaptersTemplate | None = None
    """How to pass spec.model.adapters to the server; absent: they are refused."""
    warmup: WarmupTemplate | None = None
    """Where warm-up requests go; only for the protocol Native, the others define it."""
    drain: Drain = Field(default_factory=Drain)
    """How the server is stopped."""
    timeouts: Timeouts | None = None
    """How long the gateway waits for an answer of this server if the ModelDeployment does not say; default: 30s. A
    revision keeps its runtime's value from when it was created."""
    exposed: Exposed | None = None
    """What clients reach through the gateway, so that the server's administration is excluded; default: everything. A
    revision keeps its runtime's value from when it was created."""
    metrics: RuntimeMetrics | None = None
    """Where the server exposes its metrics."""


class ServingRuntime(ApiModel):
    """How to run a model server; chosen by a model's format."""

    kind: ClassVar[str] = "ServingRuntime"
    plural: ClassVar[str] = "servingruntimes"
    short_names: ClassVar[tuple[str, ...]] = ("msrt",)
    scope: ClassVar[str] = "Cluster"
    printer_columns: ClassVar[tuple[dict[str, Any], ...]] = (
        {"name": "Format", "type": "string", "jsonPath": ".spec.formats[0].name"},
        {"name": "Layout", "type": "string", "jsonPath": ".spec.modelLayout"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: ObjectMeta
    spec: ServingRuntimeSpec
