"""Metrics of objects: of releases and runs that are under way, of schedules, and of conditions that are not as wanted.

An object's series are computed when it changes, so a scrape only lists them; a model at rest has none.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sluice.shell.cache.keys import BATCH, MODEL
from sluice.shell.cache.stubs import Identity
from sluice.shell.reporting import metrics
from sluice.shell.reporting.metrics import Metric
from sluice_core.api.v1alpha1.batchinference import BatchInferenceStatus
from sluice_core.api.v1alpha1.common import Condition, ConditionStatus, Strategy
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus
from sluice_core.batch.report import BatchCondition
from sluice_core.kernel import rawobjects
from sluice_core.kernel.snapshot import Object
from sluice_core.views import conditions
from sluice_judge import timestamps
from sluice_judge.schema.verdict import ObjectiveStatus

LOG: Final = logging.getLogger(__name__)
PERMILLE: Final = 1000
PERCENT: Final = 100


class Sample(NamedTuple):
    """The value of one series, with its labels in the metric's order."""

    metric: Metric
    labels: tuple[str, ...]
    value: float


class UnderWay(Collector):
    """The series of all objects that have any, by object."""

    def __init__(self) -> None:
        self._samples: dict[Identity, tuple[Sample, ...]] = {}

    def see(self, identity: Identity, kept: Object) -> None:
        """A defect in one object does not affect the series of others."""
        read = READERS.get(identity.kind)
        if read is None or rawobjects.unreadable(kept):
            return
        try:
            samples = tuple(each for each in read(kept) if math.isfinite(each.value))
        except Exception as error:  # noqa: BLE001 - it is said in the object's condition, or in its owner's
            LOG.debug("no metrics of %s %s/%s: %s", *identity, error)
            return
        if samples:
            self._samples[identity] = samples

    def forget(self, identity: Identity) -> None:
        self._samples.pop(identity, None)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return map(_family, metrics.OF_OBJECTS)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families that have series."""
        found: dict[Metric, dict[tuple[str, ...], float]] = defaultdict(dict)
        for samples in self._samples.values():
            for metric, labels, value in samples:
                found[metric][labels] = value
        for metric, series in found.items():
            family = _family(metric)
            for labels, value in series.items():
                family.add_metric(labels, value)
            yield family


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def _of_model(raw: Object) -> Iterator[Sample]:
    status = raw.get("status") or {}
    there = [Condition.model_validate(each) for each in status.get("conditions") or ()]
    releasing, name, namespace = status.get("rollout") is not None, rawobjects.name(raw), rawobjects.namespace(raw)
    for each in conditions.unwanted(there, name=name, namespace=namespace, releasing=releasing, now=0.0):
        if each.severe:
            yield Sample(metrics.MODEL_CONDITION, (namespace, name, each.type, each.reason), 1.0)


def _of_release(raw: Object) -> Iterator[Sample]:
    if (raw.get("status") or {}).get("outcome"):
        return
    status = ModelRolloutStatus.model_validate(raw.get("status") or {})
    model = (rawobjects.namespace(raw), str(raw["spec"]["modelDeployment"]))
    said = (str(raw["spec"].get("strategy") or Strategy.CANARY), str(status.verdict or ""), status.reason)
    yield Sample(metrics.RELEASE_STATUS, (*model, *said), 1.0)
    yield from _moment(metrics.RELEASE_START, model, status.start_time)
    yield from _moment(metrics.RELEASE_DEADLINE, model, status.deadline_time)
    yield Sample(metrics.RELEASE_STEP, model, status.step)
    yield Sample(metrics.RELEASE_WEIGHT, model, status.permille / PERMILLE)
    for arm in ("stable", "candidate"):
        most = max((getattr(each, arm).requests for each in status.objectives), default=0)
        yield Sample(metrics.RELEASE_REQUESTS, (*model, arm), most)
    for objective in status.objectives:
        yield from _of_objective(model, objective)


def _of_objective(model: tuple[str, str], objective: ObjectiveStatus) -> Iterator[Sample]:
    evidence = {
        "advance": (objective.advance_log10, objective.advance_threshold_log10),
        "rollback": (objective.rollback_log10, objective.rollback_threshold_log10),
    }
    for direction, (found, threshold) in evidence.items():
        if found is not None and threshold is not None and float(threshold) > 0:
            ratio = float(found) / float(threshold)
            yield Sample(metrics.RELEASE_EVIDENCE, (*model, objective.name, direction), ratio)
    for arm, counts in {"stable": objective.stable, "candidate": objective.candidate}.items():
        yield Sample(metrics.RELEASE_FAILURES, (*model, objective.name, arm), counts.failures)


def _of_batch(raw: Object) -> Iterator[Sample]:
    status = BatchInferenceStatus.model_validate(raw.get("status") or {})
    batch = (rawobjects.namespace(raw), rawobjects.name(raw))
    for each in status.conditions:
        if each.type in (BatchCondition.FAILED, BatchCondition.STALLED) and each.status is ConditionStatus.TRUE:
            yield Sample(metrics.BATCH_CONDITION, (*batch, each.type, each.reason), 1.0)
    spec = raw.get("spec") or {}
    if spec.get("schedule") and not spec.get("suspend"):
        yield from _moment(metrics.BATCH_NEXT, batch, status.next_schedule_time)
        yield from _moment(metrics.BATCH_LAST, batch, status.last_schedule_time)
    if status.run is not None and status.run.outcome is None:
        yield from _moment(metrics.BATCH_START, batch, status.run.start_time)
        yield from _of_run(batch, status)


def _of_run(batch: tuple[str, str], status: BatchInferenceStatus) -> Iterator[Sample]:
    """The samples of the newest run, which has not ended."""
    yield from _moment(metrics.BATCH_ESTIMATE, batch, status.estimated_completion_time)
    yield Sample(metrics.BATCH_PROGRESS, batch, (status.percent or 0) / PERCENT)
    if (rows := status.rows) is not None:
        for state, count in {"read": rows.read, "written": rows.written, "failed": rows.failed}.items():
            yield Sample(metrics.BATCH_ROWS, (*batch, state), count)
    if (shards := status.shards) is not None:
        found = {"running": shards.running, "succeeded": shards.succeeded, "failed": shards.failed}
        for state, count in found.items():
            yield Sample(metrics.BATCH_SHARDS, (*batch, state), count)


def _moment(metric: Metric, labels: tuple[str, str], moment: str | None) -> Iterator[Sample]:
    if moment is not None:
        yield Sample(metric, labels, timestamps.seconds(moment))


READERS: Final[Mapping[str, Callable[[Object], Iterator[Sample]]]] = {
    MODEL: _of_model,
    ModelRollout.kind: _of_release,
    BATCH: _of_batch,
}
