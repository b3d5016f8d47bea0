"""Autoscaling by load."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel


class ScalingMetric(StrEnum):
    CPU = "CPU"
    MEMORY = "Memory"
    IN_FLIGHT_REQUESTS = "InFlightRequests"
    QUEUE_MILLIS = "QueueMillis"
    RUNNING_REQUESTS = "RunningRequests"
    WAITING_REQUESTS = "WaitingRequests"
    KV_CACHE_USAGE = "KVCacheUsage"


class ScalingTarget(ApiModel):
    """The load that is held by adding and removing pods."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.value) == (has(self.metric) && !(self.metric in ['CPU', 'Memory']))",
            message="value belongs to metric InFlightRequests, QueueMillis, RunningRequests, WaitingRequests and KVCacheUsage, "
            "which need it",
            field_path=".value",
        ),
        Cel(
            "!has(self.value) || !has(self.metric) || self.metric != 'KVCacheUsage' || self.value <= 100",
            message="KVCacheUsage is in percent of the cache: at most 100",
            field_path=".value",
        ),
        Cel(
            "!has(self.utilizationPercent) || !has(self.metric) || self.metric in ['CPU', 'Memory']",
            message="utilizationPercent belongs to metric CPU and Memory",
            field_path=".utilizationPercent",
        ),
    )

    metric: ScalingMetric = ScalingMetric.CPU
    """What is measured. CPU and Memory: use by the model server. InFlightRequests: requests in progress, as the gateway
    counts them. QueueMillis: how long a request waits in the model server; RunningRequests and WaitingRequests: how
    many requests it computes, and how many it queues; KVCacheUsage: how full its attention cache is; these four need a
    ServingRuntime that says how to measure them. All but CPU and Memory need KEDA."""
    utilization_percent: Annotated[int, Field(ge=1, le=500)] | None = None
    """For CPU and Memory: mean use over the pods, in percent of their requests; default 70."""
    value: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """For InFlightRequests, RunningRequests and WaitingRequests: how many each pod should have at a time. For QueueMillis:
    how many milliseconds a request should wait. For KVCacheUsage: percent. All are means over the last minute."""


class Autoscaling(ApiModel):
    """Replicas by load, with an autoscaler for each serving revision."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.minimumReplicas <= self.maximumReplicas", message="minimumReplicas must not be above maximumReplicas"
        ),
        Cel(
            "self.minimumReplicas > 0 || (has(self.target.metric) && self.target.metric == 'InFlightRequests')",
            message="minimumReplicas 0 needs metric InFlightRequests: only the gateway sees requests to a model "
            "without pods",
            field_path=".minimumReplicas",
        ),
    )

    minimum_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """The minimum number of pods. 0: none while there are no requests; the first request gets 503, as do others until a
    pod is ready."""
    maximum_replicas: Annotated[int, Field(ge=1, le=1000)]
    """The maximum number of pods."""
    scale_down_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """How long fewer pods must be enough before some are removed."""
    target: ScalingTarget = Field(default_factory=ScalingTarget)
    """The target load."""
