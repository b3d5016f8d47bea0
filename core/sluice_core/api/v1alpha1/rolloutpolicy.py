"""RolloutPolicy: what a good release is, and how certain the judge must be."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from sluice_core.api.base import ObjectMeta, ObjectName, Time, TimeZone
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, Name, no_items
from sluice_judge.schema.policy import JudgedPolicy


class Day(StrEnum):
    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


class FreezeWindow(ApiModel):
    """A time in which no release begins and none moves to its next step; rollbacks are always allowed."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "(has(self.startTime) && has(self.durationMinutes) && !has(self.from) && !has(self.until)) || "
            "(has(self.from) && has(self.until) && !has(self.startTime) && !has(self.durationMinutes) "
            "&& !has(self.days))",
            message="set startTime and durationMinutes (optionally days), or from and until",
        ),
        Cel(
            "!has(self.from) || !has(self.until) || timestamp(self.from) < timestamp(self.until)",
            message="from must be before until",
        ),
    )

    name: Name
    """Its name in messages."""
    days: Annotated[list[Day], Field(max_length=7, json_schema_extra={"x-kubernetes-list-type": "set"})] | None = None
    """The days on which it begins; default every day."""
    start_time: Annotated[str, Field(max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    """When it begins, as HH:MM."""
    duration_minutes: Annotated[int, Field(ge=1, le=10_080)] | None = None
    """How long it lasts; may reach into the following days."""
    time_zone: TimeZone = "UTC"
    """The time zone of `startTime`, such as Europe/Berlin."""
    start: Time | None = Field(default=None, alias="from")
    """The first moment of a single window."""
    until: Time | None = None
    """The first moment after it."""


class NotificationFormat(StrEnum):
    CLOUD_EVENTS = "CloudEvents"
    SLACK = "Slack"


class SecretKeyRef(ApiModel):
    """A key of a Secret in the operator's own namespace."""

    name: ObjectName
    """The Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = "url"
    """The key that holds the URL."""


class Notification(ApiModel):
    """An HTTP endpoint that is notified of releases; it never delays a decision."""

    name: Name
    """Its name in logs and metrics."""
    format: NotificationFormat = NotificationFormat.CLOUD_EVENTS
    """CloudEvents (structured JSON), or the body that Slack's incoming webhooks accept."""
    url_secret_ref: SecretKeyRef
    """The Secret in the operator's namespace with the URL, which is a credential for most receivers."""
    events: (
        Annotated[
            list[Annotated[str, Field(max_length=64)]],
            Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """The reasons of the events to send, such as Promoted and RolledBack; default all."""


class OnAlarm(StrEnum):
    """What follows when a stable version has become worse."""

    ALERT = "Alert"
    ROLL_BACK = "RollBack"


class BaselinePods(StrEnum):
    """What a candidate's response times are compared with while it has few pods."""

    NONE = "None"
    FRESH_PODS = "FreshPods"


class DriftWatch(ApiModel):
    """How requests and answers are compared with the reference of the model's observer."""

    tolerance: Annotated[str, Field(max_length=4, pattern=r"^0\.(0[1-9]|[1-9][0-9]?)$")] = "0.05"
    """How far a feature may be from the reference, as a population stability index; less is never an alarm."""

    @property
    def tolerance_nats(self) -> float:
        """The tolerance as relative entropy, which is half of the index."""
        return float(self.tolerance) / 2


class StableWatch(ApiModel):
    """What is watched after a promotion: objectives of the stable version, compared with its own past since then, and
    the features of its requests and answers."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.drift) || (has(self.objectives) && size(self.objectives) > 0)",
            message="watch needs objectives, or drift",
        ),
    )

    objectives: Annotated[list[Name], Field(max_length=4, json_schema_extra={"x-kubernetes-list-type": "set"})] = Field(
        default_factory=no_items
    )
    """Names of objectives that the gateway counts: failureRatio, and latency with maximumMillis, with source Gateway;
    and distribution, which never begins a rollback: no one knows which of two different answers is right."""
    drift: DriftWatch | None = None
    """Compares requests with the reference of spec.observer of a ModelDeployment, and answers if it has predictions;
    `{}` for the defaults; default: not compared. It never begins a rollback."""
    false_alarm_every: Annotated[str, Field(max_length=5, pattern=r"^[1-9][0-9]{0,3}d$")] = "90d"
    """The minimum average time between false alarms of a model: days, such as 90d."""
    on_alarm: OnAlarm = OnAlarm.ALERT
    """Alert: the condition Healthy, an event, notifications and the metric. RollBack: also a release of the version
    before, judged like any other, once for each version."""

    @property
    def false_alarm_minutes(self) -> float:
        """`falseAlarmEvery` in minutes."""
        return int(self.false_alarm_every.removesuffix("d")) * 1440.0


class RolloutPolicySpec(JudgedPolicy):
    """Error budgets, steps and objectives of releases."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "!has(self.watch) || !has(self.watch.objectives) || !has(self.objectives) || "
            "self.watch.objectives.all(name, self.objectives.exists(each, each.name == name))",
            message="watch.objectives must name objectives of this policy",
            field_path=".watch.objectives",
        ),
        Cel(
            "!has(self.stepping) || self.stepping != 'Auto' || !has(self.maximumRequestsAtRisk) || "
            "self.maximumRequestsAtRisk > 0",
            message="stepping Auto needs maximumRequestsAtRisk of at least 1, which its shares are chosen by",
            field_path=".maximumRequestsAtRisk",
        ),
    )

    maximum_requests_at_risk: Annotated[int, Field(ge=0, le=1_000_000)] = 60
    """How many candidate requests may be lost before the first evidence is seen: if one scrape at the first weight
    would expose more than half of this number, a smaller step comes first. 0: no such step."""
    blind_seconds: Annotated[int, Field(ge=1, le=86_400)] = 120
    """After this time without metrics, an event is written and MetricsAvailable becomes False."""
    new_pod_seconds: Annotated[int, Field(ge=0, le=3600)] = 60
    """How long a new pod may be slow: latency is not compared with the stable version's in this time. With spec.warmup
    of the ModelDeployment, a quarter of it."""
    cache_fill_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """How long the prefix caches of language models take to fill, of a new pod or after a larger share of the requests:
    a few times as long as people think about an answer. In this time, times that depend on caches are not compared. It
    makes no difference where the ServingRuntime has a computedLabel."""
    baseline: BaselinePods = BaselinePods.NONE
    """FreshPods: while a canary has too few pods to be compared with the stable version's, as many new pods of the stable
    version run beside its, with the same share of the requests, and response times are compared with theirs. It takes
    twice the pods; where there is no room for them, times are compared at later steps, as with None."""
    watch: StableWatch | None = None
    """What is watched on the stable version after its release; default: nothing."""
    freeze_windows: Annotated[
        list[FreezeWindow],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """Times in which no release begins or moves to its next step."""
    notifications: Annotated[
        list[Notification],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default_factory=no_items)
    """The receivers of notifications of releases."""


class RolloutPolicy(ApiModel):
    """What a good release is, for every ModelDeployment that refers to it."""

    kind: ClassVar[str] = "RolloutPolicy"
    plural: ClassVar[str] = "rolloutpolicies"
    short_names: ClassVar[tuple[str, ...]] = ("rpol",)
    scope: ClassVar[str] = "Cluster"
    printer_columns: ClassVar[tuple[dict[str, Any], ...]] = (
        {"name": "FalseRollback", "type": "string", "jsonPath": ".spec.falseRollbackProbability"},
        {"name": "FalseAdvance", "type": "string", "jsonPath": ".spec.falseAdvanceProbability"},
        {"name": "Bake", "type": "integer", "jsonPath": ".spec.bakeSeconds"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )

    metadata: ObjectMeta
    spec: RolloutPolicySpec
