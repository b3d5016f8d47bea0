"""Every metric that the operator serves, in one table. `python -m sluice.shell.reporting.metrics` writes it into
docs/metrics.md.

Labels are few and bounded: our own words, and the namespace and name of an object only while it has something to
report. They are called `model_namespace` and `batch_namespace`, since a scrape adds its own `namespace`, that of the
operator's Pod.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple


class MetricType(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric, as documented."""

    name: str
    """The name in queries: a counter's ends with `_total`."""
    type: MetricType
    meaning: str
    """In Markdown; stripped of it, the metric's help text."""
    labels: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        return self.meaning.replace("`", "")


COUNTER, GAUGE, HISTOGRAM = MetricType
OF_MODEL: Final = ("model_namespace", "model")
OF_BATCH: Final = ("batch_namespace", "batch")

RECONCILE_SECONDS: Final = Metric(
    "sluice_reconcile_duration_seconds",
    HISTOGRAM,
    "duration of one reconcile of a ModelDeployment or BatchInference. `result`: `ok`, `waits` (for its turn to write), "
    "`not_leader`, `cancelled`, `error` (a defect), or the API error in lower case: `conflict`, `unavailable`, …",
    ("result",),
)
WORKQUEUE_DEPTH: Final = Metric(
    "sluice_workqueue_depth", GAUGE, "ModelDeployments and BatchInferences that are due and not being worked on"
)
WORKQUEUE_OLDEST: Final = Metric("sluice_workqueue_oldest_seconds", GAUGE, "how long the first of them has waited")
WRITES_WAITING: Final = Metric(
    "sluice_writes_waiting",
    GAUGE,
    "ModelDeployments and BatchInferences that wait for their turn to write: 16 write at once",
)
WRITES_OLDEST: Final = Metric("sluice_writes_oldest_seconds", GAUGE, "how long the first of them has waited")
PROMETHEUS_WAITING: Final = Metric(
    "sluice_prometheus_waiting", GAUGE, "ModelDeployments whose questions to Prometheus are not answered yet"
)
PROMETHEUS_OLDEST: Final = Metric("sluice_prometheus_oldest_seconds", GAUGE, "how long the first of them has waited")
ROLLOUTS: Final = Metric(
    "sluice_rollouts_total",
    COUNTER,
    "rollouts that ended: `Promoted`, `RolledBack`, `Aborted`, `Superseded`, `Inconclusive`",
    ("outcome",),
)
BATCH_RUNS: Final = Metric(
    "sluice_batch_runs_total",
    COUNTER,
    "runs of BatchInferences that ended: `Complete`, `Failed`, `Replaced`",
    ("outcome",),
)
VERDICTS: Final = Metric(
    "sluice_verdicts_total",
    COUNTER,
    "verdicts written to a ModelRollout: `Advance`, `RollBack`, `Wait`, `Blind`, `Probe`; while a release only counts, "
    "one a minute",
    ("verdict",),
)
WRITES: Final = Metric(
    "sluice_api_writes_total",
    COUNTER,
    "successful writes to the Kubernetes API; `verb`: `apply`, `status`, `patch`, `delete`. Leases and events are not "
    "counted",
    ("kind", "verb"),
)
API_ERRORS: Final = Metric(
    "sluice_api_errors_total",
    COUNTER,
    "failed writes; `error`: `Refused`, `Conflict`, `Denied`, `Missing`, `Occupied`, `Unavailable`",
    ("kind", "error"),
)
WATCH_EVENTS: Final = Metric(
    "sluice_watch_events_total",
    COUNTER,
    "watch events; versions of an object that come together are one",
    ("kind",),
)
NOTIFICATIONS: Final = Metric(
    "sluice_notifications_total",
    COUNTER,
    "notices to an [endpoint of a policy](notifications.md): `delivered`, or `refused`, `no_address`, `expired`, `dropped`, "
    "`lost`",
    ("notification", "outcome"),
)
LEADER: Final = Metric("sluice_leader", GAUGE, "1 on the replica that writes")
UNREADABLE: Final = Metric(
    "sluice_unreadable_objects",
    GAUGE,
    "objects that cannot be read (more than 64 levels or 1 MiB, values of another type) or have no room; conditions say why",
)
STORE_BYTES: Final = Metric(
    "sluice_store_bytes",
    GAUGE,
    "estimated memory of the cluster's objects; beyond 84 MiB, the namespace that holds most loses some first",
)
MODELS: Final = Metric("sluice_models", GAUGE, "ModelDeployments in the cluster")
WATCHED: Final = Metric("sluice_watched_models", GAUGE, "ModelDeployments whose stable version is [watched](watch.md)")
BATCHES: Final = Metric("sluice_batches", GAUGE, "BatchInferences in the cluster")

MODEL_CONDITION: Final = Metric(
    "sluice_model_condition",
    GAUGE,
    "1 for each [condition](runbooks/README.md) of a ModelDeployment that is not as it should be",
    (*OF_MODEL, "condition", "reason"),
)
RELEASE_STATUS: Final = Metric(
    "sluice_release_status",
    GAUGE,
    "1 while a release runs: what it does, as its ModelRollout says",
    (*OF_MODEL, "strategy", "verdict", "reason"),
)
RELEASE_START: Final = Metric("sluice_release_start_timestamp_seconds", GAUGE, "when it began", OF_MODEL)
RELEASE_DEADLINE: Final = Metric(
    "sluice_release_deadline_timestamp_seconds",
    GAUGE,
    "when `onDeadline` applies; later by the time in which the release was held or blind",
    OF_MODEL,
)
RELEASE_STEP: Final = Metric("sluice_release_step", GAUGE, "its step, counted from 1; 0 before any weight", OF_MODEL)
RELEASE_WEIGHT: Final = Metric(
    "sluice_release_weight_ratio", GAUGE, "the share of requests that its candidate is to get, from 0 to 1", OF_MODEL
)
RELEASE_REQUESTS: Final = Metric(
    "sluice_release_requests",
    GAUGE,
    "requests that were judged since it began, of the objective that counts the most; `arm`: `stable`, `candidate`",
    (*OF_MODEL, "arm"),
)
RELEASE_EVIDENCE: Final = Metric(
    "sluice_release_evidence_ratio",
    GAUGE,
    "evidence as a share of its threshold, both as logarithms: at 1 it decides; `direction`: `advance`, `rollback`",
    (*OF_MODEL, "objective", "direction"),
)
RELEASE_FAILURES: Final = Metric(
    "sluice_release_failures",
    GAUGE,
    "failed or slow requests since the release began",
    (*OF_MODEL, "objective", "arm"),
)
BATCH_CONDITION: Final = Metric(
    "sluice_batch_condition",
    GAUGE,
    "1 while `Failed` or `Stalled` of a BatchInference is True",
    (*OF_BATCH, "condition", "reason"),
)
BATCH_NEXT: Final = Metric(
    "sluice_batch_next_schedule_timestamp_seconds",
    GAUGE,
    "when the next run of a schedule is due",
    OF_BATCH,
)
BATCH_LAST: Final = Metric(
    "sluice_batch_last_schedule_timestamp_seconds",
    GAUGE,
    "the last moment of a schedule for which a run began or was left out",
    OF_BATCH,
)
BATCH_START: Final = Metric(
    "sluice_batch_run_start_timestamp_seconds",
    GAUGE,
    "when the newest run began; as those below, while it runs",
    OF_BATCH,
)
BATCH_ESTIMATE: Final = Metric(
    "sluice_batch_run_estimated_completion_timestamp_seconds", GAUGE, "when it will probably be complete", OF_BATCH
)
BATCH_PROGRESS: Final = Metric(
    "sluice_batch_run_progress_ratio", GAUGE, "how much of it is done, from 0 to 1", OF_BATCH
)
BATCH_ROWS: Final = Metric(
    "sluice_batch_run_rows", GAUGE, "its rows; `state`: `read`, `written`, `failed`", (*OF_BATCH, "state")
)
BATCH_SHARDS: Final = Metric(
    "sluice_batch_run_shards", GAUGE, "its shards; `state`: `running`, `succeeded`, `failed`", (*OF_BATCH, "state")
)

OF_PROCESS: Final = (
    RECONCILE_SECONDS,
    WORKQUEUE_DEPTH,
    WORKQUEUE_OLDEST,
    WRITES_WAITING,
    WRITES_OLDEST,
    PROMETHEUS_WAITING,
    PROMETHEUS_OLDEST,
    ROLLOUTS,
    BATCH_RUNS,
    VERDICTS,
    WRITES,
    API_ERRORS,
    WATCH_EVENTS,
    NOTIFICATIONS,
    LEADER,
    UNREADABLE,
    STORE_BYTES,
    MODELS,
    WATCHED,
    BATCHES,
)
"""What the operator itself does."""
OF_OBJECTS: Final = (
    MODEL_CONDITION,
    RELEASE_STATUS,
    RELEASE_START,
    RELEASE_DEADLINE,
    RELEASE_STEP,
    RELEASE_WEIGHT,
    RELEASE_REQUESTS,
    RELEASE_EVIDENCE,
    RELEASE_FAILURES,
    BATCH_CONDITION,
    BATCH_NEXT,
    BATCH_LAST,
    BATCH_START,
    BATCH_ESTIMATE,
    BATCH_PROGRESS,
    BATCH_ROWS,
    BATCH_SHARDS,
)
"""What is under way or not as it should be, by namespace and name."""
METRICS: Final = OF_PROCESS + OF_OBJECTS

PAGE: Final = Path("docs/metrics.md")
BEGIN: Final = "<!-- generated from operator/sluice/shell/reporting/metrics.py by `make crds` -->\n"
END: Final = "<!-- end -->\n"
HEAD: Final = "| metric | meaning |\n|---|---|\n"
OTHERS: Final = "| `process_…` | CPU, memory and file descriptors of the process |\n"


def table() -> str:
    """All metrics, as rows of Markdown."""
    labels = (f"{{{','.join(metric.labels)}}}" if metric.labels else "" for metric in METRICS)
    rows = (f"| `{metric.name}{own}` | {metric.meaning} |\n" for metric, own in zip(METRICS, labels, strict=True))
    return HEAD + "".join(rows) + OTHERS


def written_into(page: str) -> str:
    """The page with the table as it is now."""
    return replaced(page, BEGIN, table())


def replaced(page: str, begin: str, content: str) -> str:
    """The page with the lines between a line and the next `END` replaced; ValueError where it has no such place."""
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"the page needs the lines {begin.strip()} and {END.strip()}")
    return f"{before}{begin}{content}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written_into(PAGE.read_text()))
