"""BatchInference: a model revision over a data set."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from sluice_core.api.base import ObjectMeta, ObjectName, Time, TimeZone
from sluice_core.api.v1alpha1.common import SHORT_NAME, Conditions, LocalObjectRef, PullSecrets
from sluice_core.api.v1alpha1.data import NO_CREDENTIALS_FOR_CLAIMS, Columns, DataFormat, Input
from sluice_core.api.v1alpha1.modeldeployment import CUSTOM_HAS_AN_IMAGE, MODEL_IS_SOMEWHERE, ModelSpec
from sluice_core.api.v1alpha1.sources import OutputUri, RunInputUri
from sluice_core.api.v1alpha1.workload import Accelerator, Resources, RuntimeSpec
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Percent, no_items

STABLE: Final = "Stable"
CANDIDATE: Final = "Candidate"
RUN_PLACEHOLDER: Final = "{{run}}"
"""Stands for the run's name in the output's URI."""

DEFAULT_SHARDS: Final = 1
DEFAULT_RETRIES_PER_SHARD: Final = 10
DEFAULT_EXECUTORS: Final = 2
MAXIMUM_RUNS_AT_ONCE: Final = 10


class ModelDeploymentRef(ApiModel):
    """A revision of a ModelDeployment in the same namespace."""

    name: ObjectName
    """The ModelDeployment."""
    revision: Annotated[
        str, Field(min_length=1, max_length=63, pattern=r"^(Stable|Candidate|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$")
    ] = STABLE
    """Stable: the version that serves when a run begins. Candidate: the version being released then. Otherwise the name
    of a revision, as in the status and the response header x-model-revision."""


class OutputMode(StrEnum):
    ERROR_IF_EXISTS = "ErrorIfExists"
    OVERWRITE = "Overwrite"


class RunInput(Input):
    """The data set to read."""

    uri: RunInputUri
    """One file, or a folder whose files are all read: s3://bucket/path, gs://bucket/path or pvc://claim/path. With a
    schedule, `{{scheduledDate}}` is the date of the run, and `{{scheduledDate-1d:%Y/%m/%d}}` the day before in a format."""


class Output(ApiModel):
    """The data set to write."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (NO_CREDENTIALS_FOR_CLAIMS,)

    uri: OutputUri
    """A folder: s3://bucket/path, gs://bucket/path or pvc://claim/path. `{{run}}` in it is the name of the run, and
    with a schedule `{{scheduledDate}}` its date, as in input.uri."""
    format: DataFormat
    """Parquet, CSV or JSONLines."""
    mode: OutputMode = OutputMode.ERROR_IF_EXISTS
    """ErrorIfExists: fail if the folder contains anything. Overwrite: remove earlier output first; if the folder
    contains anything else, fail all the same."""
    columns: Columns | None = None
    """Columns of the input that are passed through in addition to the answers; default: those that do not feed the
    model."""
    credentials_secret_ref: LocalObjectRef | None = None
    """A Secret like the input's, for the output's store."""


class EngineType(StrEnum):
    JOB = "Job"
    SPARK = "Spark"


class Engine(ApiModel):
    """What runs the model over the data set."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.type == 'Job' || !(has(self.shards) || has(self.parallelism) || has(self.retriesPerShard))",
            message="shards, parallelism and retriesPerShard belong to type Job; type Spark has executors",
            reason="FieldValueForbidden",
        ),
        Cel(
            "self.type == 'Spark' || !(has(self.executors) || has(self.serviceAccountName))",
            message="executors and serviceAccountName belong to type Spark; type Job has shards and parallelism",
            reason="FieldValueForbidden",
        ),
        Cel(
            "!has(self.type) || self.type != 'Spark' || has(self.serviceAccountName)",
            message="type Spark needs serviceAccountName, an account that may create pods: manifests/examples/spark-rbac.yaml",
            reason="FieldValueRequired",
        ),
        Cel(
            "!has(self.parallelism) || self.parallelism <= (has(self.shards) ? self.shards : 1)",
            message="parallelism must not be above shards: there is one pod for each shard",
            field_path=".parallelism",
        ),
    )

    type: EngineType = EngineType.JOB
    """Job: an Indexed Job, with a pod for each shard. Spark: a SparkApplication if a Spark operator is installed,
    otherwise a Job whose pod is Spark's driver."""
    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    """With Job: into how many parts the input is split, each for a pod of its own; default 1."""
    parallelism: Annotated[int, Field(ge=1, le=1000)] | None = None
    """With Job: how many shards run at once; default all."""
    retries_per_shard: Annotated[int, Field(ge=0, le=100)] | None = None
    """With Job: how often a failed shard is retried; it continues where it stopped. Default 10."""
    executors: Annotated[int, Field(ge=1, le=1000)] | None = None
    """With Spark: how many executors there are; default 2."""
    service_account_name: ObjectName | None = None
    """With Spark, and required then: the ServiceAccount of the driver, which creates the executors."""

    @property
    def shard_count(self) -> int:
        return DEFAULT_SHARDS if self.shards is None else self.shards

    @property
    def pods_at_once(self) -> int:
        return self.shard_count if self.parallelism is None else self.parallelism

    @property
    def retries(self) -> int:
        return DEFAULT_RETRIES_PER_SHARD if self.retries_per_shard is None else self.retries_per_shard

    @property
    def executor_count(self) -> int:
        return DEFAULT_EXECUTORS if self.executors is None else self.executors


class ConcurrencyPolicy(StrEnum):
    FORBID = "Forbid"
    ALLOW = "Allow"
    REPLACE = "Replace"


class Schedule(ApiModel):
    """When runs begin."""

    cron: Annotated[str, Field(min_length=9, max_length=128, pattern=r"^[0-9A-Za-z*,/#-]+( [0-9A-Za-z*,/#-]+){4}$")]
    """Minute, hour, day of the month, month and day of the week, such as `0 3 * * MON-FRI`."""
    time_zone: TimeZone = "UTC"
    """The time zone of cron: a name of the IANA time zone database, such as Europe/Berlin."""
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.FORBID
    """What happens if a run is due while the previous one is still running. Forbid: the new one is skipped. Allow:
    both run, up to ten. Replace: the old one is stopped."""
    starting_deadline_seconds: Annotated[int, Field(ge=10, le=2_592_000)] | None = None
    """How late a run may begin, for example after the operator was down or spec.suspend was true; default: at any
    time. Of several missed runs only the last is made up for."""
    successful_runs_history_limit: Annotated[int, Field(ge=0, le=20)] = 3
    """How many completed runs are kept in status.history, with their Jobs."""
    failed_runs_history_limit: Annotated[int, Field(ge=0, le=20)] = 1
    """How many failed runs are kept in status.history, with their Jobs."""


class BatchInferenceSpec(ApiModel):
    """Which model, over which data, and how."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.modelDeploymentRef) != has(self.model)",
            message="set exactly one of modelDeploymentRef and model",
        ),
        Cel(
            "!has(self.runtime) || has(self.model)",
            message="runtime belongs to model; with modelDeploymentRef, the revision has its own",
            field_path=".runtime",
            reason="FieldValueForbidden",
        ),
        Cel(
            "!has(self.model) || !has(self.model.variant)",
            message="variants belong to a ModelDeployment; name the variant's own uri, or use modelDeploymentRef",
            field_path=".model.variant",
            reason="FieldValueForbidden",
        ),
        Cel(
            "!has(self.model) || !has(self.model.uri) || "
            "!(self.model.uri.startsWith('models:/') || (has(self.model.follow) && self.model.follow))",
            message="a ModelDeployment follows a registry: name it in modelDeploymentRef, or the files themselves here",
            field_path=".model.uri",
        ),
        MODEL_IS_SOMEWHERE,
        CUSTOM_HAS_AN_IMAGE,
        Cel(
            "!has(self.schedule) || self.output.uri.contains('{{run}}') || "
            "((self.output.mode == 'Overwrite' || self.output.uri.contains('{{scheduledDate')) && "
            "self.schedule.concurrencyPolicy != 'Allow')",
            message="runs of a schedule must not write to the same folder: put {{run}} into output.uri, or use mode "
            "Overwrite or {{scheduledDate}} (not with concurrencyPolicy Allow)",
            field_path=".output.uri",
        ),
        *(
            Cel(
                f"has(self.schedule) || !self.{side}.uri.contains('{{{{scheduledDate')",
                message="{{scheduledDate}} needs a schedule; without one, write the date itself",
                field_path=f".{side}.uri",
            )
            for side in ("input", "output")
        ),
    )

    model_deployment_ref: ModelDeploymentRef | None = None
    """The model of a ModelDeployment."""
    model: ModelSpec | None = None
    """A separate model."""
    runtime: RuntimeSpec | None = None
    """Choice and overrides of the model server, with `model`."""
    input: RunInput
    """The data set to read."""
    output: Output
    """The data set to write."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 256
    """How many rows the model gets at once."""
    maximum_failed_rows_percent: Percent = "0%"
    """The largest share of rows that may fail, for example for a missing value; they are listed with the reason below
    `_failed/` of the output. If more rows fail, the run fails."""
    engine: Engine = Field(default_factory=Engine)
    """What runs the model over the data set."""
    schedule: Schedule | None = None
    """When runs begin; none: one run, at once, and another when the spec is changed."""
    resources: Resources | None = None
    """Compute resources of the container that runs the model; default: the revision's for a model server, those of the
    operator's configuration if the runner runs the model itself (format onnx)."""
    image_pull_secrets: PullSecrets | None = None
    """Secrets for pulling images, in addition to the revision's."""
    accelerator: Accelerator | None = None
    """Devices for every pod, which then has a model server for every format; default: the revision's."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """How long a run's Job and pods are kept after it ends; status keeps the result. Default: until the BatchInference
    is deleted or history limits are reached."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """A run that takes longer fails."""
    suspend: bool = False
    """Whether the running run is stopped (its finished parts are kept) and no other begins."""


class BatchOutcome(StrEnum):
    """How a run ended."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    REPLACED = "Replaced"
    """Stopped in favour of another run: by concurrencyPolicy Replace or a change of the spec."""


class BatchRun(ApiModel):
    """One run over the data set."""

    name: str
    """The name of the run and of its Job or Spark application."""
    revision: str = ""
    """The revision that answers; it was chosen when the run began."""
    input_uri: str = ""
    """Where the input is. Placeholders are replaced when the run begins."""
    uri: str = ""
    """Where the output is."""
    input_hash: str = ""
    """Hash of the spec fields that the run was made from."""
    start_time: Time | None = None
    completion_time: Time | None = None
    outcome: BatchOutcome | None = None
    """None while it runs."""
    reason: str = ""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it failed."""


class RowCounts(ApiModel):
    """Rows of the current run."""

    total: int | None = None
    """Absent if the input's format does not say, or not all shards have begun."""
    read: int = 0
    written: int = 0
    failed: int = 0


class ShardCounts(ApiModel):
    """Shards of the current run."""

    total: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0


class CountedShards(ApiModel):
    """What the finished shards reported; each is counted once, whatever happens to its pod."""

    indexes: Annotated[str, Field(max_length=8192)] = ""
    """Such as `0-4,7`."""
    read: int = 0
    written: int = 0
    failed: int = 0


class Pace(ApiModel):
    """The start of the speed measurement: when rows were first seen since the run began or was resumed."""

    since: Time
    rows: int = 0
    """Rows that had been read by then."""


class BatchInferenceStatus(ApiModel):
    """The progress."""

    observed_generation: int = 0
    run: BatchRun | None = None
    """The newest run; rows, shards, percent and speed describe it."""
    earlier_runs: Annotated[list[BatchRun], Field(max_length=MAXIMUM_RUNS_AT_ONCE)] = Field(default_factory=no_items)
    """Runs that began before it and have not ended, with concurrencyPolicy Allow."""
    rows: RowCounts | None = None
    shards: ShardCounts | None = None
    percent: int | None = None
    rows_per_second: str | None = None
    """Rows read per second, on average since the first were seen; after the end, over the whole run."""
    estimated_completion_time: Time | None = None
    counted: CountedShards | None = None
    pace: Pace | None = None
    progress_time: Time | None = None
    """When running shards last reported, and so the time of their row counts."""
    last_schedule_time: Time | None = None
    """The last time of the schedule that was handled, by a run or by skipping it."""
    next_schedule_time: Time | None = None
    history: Annotated[list[BatchRun], Field(max_length=40)] = Field(default_factory=no_items)
    """Runs that ended before the newest, newest first."""
    conditions: Conditions = Field(default_factory=no_items)


class BatchInference(ApiModel):
    """Runs a model revision over a data set, once or on a schedule."""

    kind: ClassVar[str] = "BatchInference"
    plural: ClassVar[str] = "batchinferences"
    short_names: ClassVar[tuple[str, ...]] = ("bi",)
    scope: ClassVar[str] = "Namespaced"
    printer_columns: ClassVar[tuple[dict[str, Any], ...]] = (
        {"name": "Complete", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Complete")].status'},
        {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Complete")].reason'},
        {"name": "Revision", "type": "string", "jsonPath": ".status.run.revision"},
        {"name": "Percent", "type": "integer", "jsonPath": ".status.percent"},
        {"name": "Written", "type": "integer", "jsonPath": ".status.rows.written"},
        {"name": "Failed", "type": "integer", "jsonPath": ".status.rows.failed"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Run", "type": "string", "jsonPath": ".status.run.name", "priority": 1},
        {"name": "Engine", "type": "string", "jsonPath": ".spec.engine.type", "priority": 1},
        {"name": "Rows/s", "type": "string", "jsonPath": ".status.rowsPerSecond", "priority": 1},
        {"name": "ETA", "type": "string", "jsonPath": ".status.estimatedCompletionTime", "priority": 1},
        {"name": "Next", "type": "string", "jsonPath": ".status.nextScheduleTime", "priority": 1},
    )
    cel_rules: ClassVar[tuple[Cel, ...]] = (SHORT_NAME,)

    metadata: ObjectMeta
    spec: BatchInferenceSpec
    status: BatchInferenceStatus = Field(default_factory=BatchInferenceStatus)
