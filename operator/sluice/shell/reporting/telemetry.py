"""The operator's own metrics, its probes, and its log."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from sluice.shell.reporting import metrics
from sluice.shell.reporting.metrics import Metric
from sluice.shell.reporting.scrapes import Scrapes
from sluice_core import errors
from sluice_core.adapters.listener import Listener, Read, Representation
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchOutcome
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Patch, Write
from sluice_core.kernel.snapshot import Object
from sluice_judge.schema.verdict import Verdict

RECONCILE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
NOISY_LOGGERS: Final = ("kopf", "aiohttp", "asyncio", "urllib3", "prometheus_api_client", "httpx", "httpcore")
"""httpx would log every URL, and the URL of a receiver is a credential."""
WRITTEN: Final = (
    "ModelDeployment",
    "ModelRollout",
    "BatchInference",
    "ControllerRevision",
    "Deployment",
    "Service",
    "HTTPRoute",
    "GRPCRoute",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "ScaledObject",
    "Job",
    "SparkApplication",
    "Pod",
)
"""All kinds that the operator writes."""


class Telemetry:
    """Counters and gauges; one registry a process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, in every process
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconcile_seconds = Histogram(**self._described(metrics.RECONCILE_SECONDS), buckets=RECONCILE_BUCKETS)
        self.rollouts = self._counter(metrics.ROLLOUTS)
        self.batch_runs = self._counter(metrics.BATCH_RUNS)
        self.verdicts = self._counter(metrics.VERDICTS)
        self.writes = self._counter(metrics.WRITES)
        self.api_errors = self._counter(metrics.API_ERRORS)
        self.watch_events = self._counter(metrics.WATCH_EVENTS)
        self.notifications = self._counter(metrics.NOTIFICATIONS)
        self._begin_at_zero()

    def _described(self, metric: Metric) -> dict[str, Any]:
        return {
            "name": metric.name,
            "documentation": metric.help,
            "labelnames": metric.labels,
            "registry": self.registry,
        }

    def _counter(self, metric: Metric) -> Counter:
        return Counter(**self._described(metric))

    def _begin_at_zero(self) -> None:
        """Creates the series that alerts and boards query before they count: to Prometheus the first value is not an
        increase."""
        for outcome in Outcome:
            self.rollouts.labels(outcome)
        for ended in BatchOutcome:
            self.batch_runs.labels(ended)
        for verdict in Verdict:
            self.verdicts.labels(verdict)
        for result in ("ok", "error"):
            self.reconcile_seconds.labels(result)
        for kind in WRITTEN:
            for error in (errors.Denied, errors.Refused):
                self.api_errors.labels(kind, error.__name__)

    def gauge(self, metric: Metric, read: Callable[[], float]) -> None:
        """Registers a value that is read on demand."""
        Gauge(**self._described(metric)).set_function(read)

    def count_write(self, write: Write, before: Object | None) -> None:
        """Counts a write that succeeded; `before` is the object as it was known until then."""
        match write:
            case Apply(manifest):
                self.writes.labels(manifest["kind"], "apply").inc()
            case ApplyStatus(manifest):
                self.writes.labels(manifest["kind"], "status").inc()
                status, earlier = manifest.get("status") or {}, (before or {}).get("status") or {}
                if manifest["kind"] == ModelRollout.kind:
                    self._count_rollout(status, earlier)
                elif manifest["kind"] == BatchInference.kind:
                    self._count_runs(status, earlier)
            case Patch(ref, _):
                self.writes.labels(ref.kind, "patch").inc()
            case Delete(ref):
                self.writes.labels(ref.kind, "delete").inc()

    def _count_rollout(self, status: Object, before: Object) -> None:
        if verdict := status.get("verdict"):
            self.verdicts.labels(verdict).inc()
        if (outcome := status.get("outcome")) and not before.get("outcome"):
            self.rollouts.labels(outcome).inc()

    def _count_runs(self, status: Object, before: Object) -> None:
        known = {run["name"] for run in _runs(before) if run.get("outcome")}
        for run in _runs(status):
            if (outcome := run.get("outcome")) and run["name"] not in known:
                self.batch_runs.labels(outcome).inc()


def _runs(status: Object) -> Iterator[Object]:
    """All runs in the status of a BatchInference."""
    yield from (run for run in (status.get("run"), *(status.get("history") or ())) if run)


@dataclass(frozen=True, slots=True)
class Health:
    """The two probes; each returns what is wrong, or nothing."""

    live: Callable[[], str | None]
    ready: Callable[[], str | None]


async def serve(health: Health, telemetry: Telemetry, *, liveness_port: int, metrics_port: int) -> list[Listener]:
    """Starts both HTTP servers; a single one when the ports are equal. The caller closes them."""
    probes: dict[str, Read] = {"/healthz": _probe(health.live), "/readyz": _probe(health.ready)}
    scraped: dict[str, Read] = {"/metrics": Scrapes(telemetry.registry, monotonic=time.monotonic).answer}
    if liveness_port == metrics_port:
        return [await Listener.begin(liveness_port, probes | scraped)]
    return [await Listener.begin(liveness_port, probes), await Listener.begin(metrics_port, scraped)]


def _probe(check: Callable[[], str | None]) -> Read:
    async def answer(_: str) -> Representation:
        problem = check()
        return Representation((problem or "ok").encode(), status=503 if problem else 200)

    return answer


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `extra` of a call becomes its fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({key: value for key, value in vars(record).items() if key not in STANDARD_FIELDS})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def set_up_logging(level: str) -> None:
    """JSON on stderr; libraries log from `WARNING` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each invalid request
