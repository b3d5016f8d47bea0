"""The operator itself: does it lead, does it keep up, what does it write, and what fails."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from charts import series
from charts.boards import panels
from sluice.shell.reporting import metrics
from sluice.shell.reporting.metrics import Metric

RECONCILES: Final = metrics.RECONCILE_SECONDS.name
LEADER: Final = series.of_operator(metrics.LEADER.name)
FAILED: Final = series.of_operator(f"{RECONCILES}_count", 'result="error"')
REFUSED: Final = series.of_operator(metrics.API_ERRORS.name, 'error=~"Denied|Refused"')


def boards() -> dict[str, Dashboard]:
    return {
        "operator": panels.board(
            "sluice-operator",
            "Sluice: operator",
            "The operator: does it lead, does it keep up, what does it write, and what fails.",
            [],
            [*_figures(), "Does it keep up?", *_speed(), "What it does", *_work(), "What it takes", *_resources()],
        )
    }


def _figures() -> list[panels.Panel]:
    return [
        panels.figure("Leaders", f"sum({LEADER})", about="1 is right."),
        panels.figure("Replicas", f"count({LEADER})"),
        panels.figure("Models", f"max({series.of_operator(metrics.MODELS.name)})"),
        panels.figure("Objects that cannot be read", f"max({series.of_operator(metrics.UNREADABLE.name)})", bad=1),
        panels.figure("Reconciles that failed", f"sum(increase({FAILED}[$__range]))", about="Defects.", bad=1),
        panels.figure("Writes refused", f"sum(increase({REFUSED}[$__range]))", bad=1),
    ]


def _speed() -> list[panels.Panel]:
    oldest = {
        "to be looked at": metrics.WORKQUEUE_OLDEST,
        "to be written": metrics.WRITES_OLDEST,
        "for Prometheus": metrics.PROMETHEUS_OLDEST,
    }
    waiting = {
        "to be looked at": metrics.WORKQUEUE_DEPTH,
        "to be written": metrics.WRITES_WAITING,
        "for Prometheus": metrics.PROMETHEUS_WAITING,
    }
    buckets = f"sum by (le) (rate({series.of_operator(f'{RECONCILES}_bucket')}[$__rate_interval]))"
    reconciles = series.of_operator(f"{RECONCILES}_count")
    return [
        panels.graph("The longest wait", _most(oldest), unit="s"),
        panels.graph("How many wait", _most(waiting)),
        panels.graph(
            "Duration of a reconcile",
            {f"{share:.0%}": f"histogram_quantile({share}, {buckets})" for share in (0.5, 0.95, 0.99)},
            unit="s",
        ),
        panels.graph(
            "Reconciles by result",
            {"{{result}}": f"sum by (result) (rate({reconciles}[$__rate_interval]))"},
            unit="ops",
        ),
    ]


def _work() -> list[panels.Panel]:
    return [
        panels.graph("Writes", {"{{kind}} {{verb}}": _rate(metrics.WRITES)}, unit="ops", about="0 at rest."),
        panels.graph("Writes that failed", {"{{kind}} {{error}}": _rate(metrics.API_ERRORS)}, unit="ops"),
        panels.graph("Watch events", {"{{kind}}": _rate(metrics.WATCH_EVENTS)}, unit="ops"),
        panels.graph("Verdicts", {"{{verdict}}": _rate(metrics.VERDICTS)}, unit="ops"),
        panels.graph(
            "Notices", {"{{notification}} {{outcome}}": f"{_rate(metrics.NOTIFICATIONS)} {panels.ZERO}"}, unit="ops"
        ),
    ]


def _resources() -> list[panels.Panel]:
    processors = series.of_operator("process_cpu_seconds_total")
    return [
        panels.graph(
            "Memory",
            {
                "process {{instance}}": series.of_operator("process_resident_memory_bytes"),
                "objects of the cluster {{instance}}": series.of_operator(metrics.STORE_BYTES.name),
            },
            unit="bytes",
        ),
        panels.graph("Processors", {"{{instance}}": f"rate({processors}[$__rate_interval])"}, unit="short"),
    ]


def _most(named: dict[str, Metric]) -> dict[str, str]:
    return {name: f"max({series.of_operator(metric.name)})" for name, metric in named.items()}


def _rate(metric: Metric) -> str:
    return f"sum by ({', '.join(metric.labels)}) (rate({series.of_operator(metric.name)}[$__rate_interval]))"
