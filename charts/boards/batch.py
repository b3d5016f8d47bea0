"""Batch inference: runs that are under way, schedules, and what failed."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from charts import series
from charts.boards import panels
from sluice.shell.reporting import metrics
from sluice.shell.reporting.metrics import Metric

IN_NAMESPACE: Final = 'batch_namespace=~"$namespace"'
IN: Final = f'{IN_NAMESPACE},batch=~"$batch"'
OF_BATCH: Final = ", ".join(metrics.OF_BATCH)
ANY: Final = '__name__=~"sluice_batch_.+"'
NAME: Final = "{{batch_namespace}}/{{batch}}"


def boards() -> dict[str, Dashboard]:
    return {
        "batch": panels.board(
            "sluice-batch",
            "Sluice: batch",
            "Batch inference: runs that are under way, schedules, and what failed.",
            [
                panels.choice(
                    "namespace",
                    f"label_values({series.of_operator('', ANY)}, batch_namespace)",
                    label="Namespace",
                    everything=True,
                ),
                panels.choice(
                    "batch",
                    f"label_values({series.of_operator('', f'{ANY},{IN_NAMESPACE}')}, batch)",
                    label="Batch",
                    everything=True,
                ),
            ],
            [*_figures(), "Runs that are under way", *_runs(), "Schedules and ends", *_ends()],
            time="now-6h",
        )
    }


def _of(metric: Metric, *labels: str) -> str:
    return f"max by ({', '.join((OF_BATCH, *labels))}) ({series.of_operator(metric.name, IN)})"


def _figures() -> list[panels.Panel]:
    def ended(outcome: str) -> str:
        runs = series.of_operator(metrics.BATCH_RUNS.name, f'outcome="{outcome}"')
        return f"sum(increase({runs}[$__range]))"

    return [
        panels.figure("Batches", f"max({series.of_operator(metrics.BATCHES.name)})"),
        panels.figure("Runs under way", f"count({_of(metrics.BATCH_START)}) {panels.ZERO}"),
        panels.figure("Complete", ended("Complete"), about="In the time shown, in all namespaces."),
        panels.figure("Failed", ended("Failed"), about="In the time shown, in all namespaces.", bad=1),
    ]


def _runs() -> list[panels.Panel]:
    return [
        panels.graph("Done", {NAME: _of(metrics.BATCH_PROGRESS)}, unit="percentunit"),
        panels.graph("Until it is complete", {NAME: f"{_of(metrics.BATCH_ESTIMATE)} - time()"}, unit="s"),
        panels.graph(
            "Rows per second",
            {f"{NAME} {{{{state}}}}": f"deriv({series.of_operator(metrics.BATCH_ROWS.name, IN)}[5m])"},
            about="Of the newest run.",
        ),
        panels.graph("Shards", {f"{NAME} {{{{state}}}}": _of(metrics.BATCH_SHARDS, "state")}),
    ]


def _ends() -> list[panels.Panel]:
    return [
        panels.graph("Until the next run", {NAME: f"{_of(metrics.BATCH_NEXT)} - time()"}, unit="s"),
        panels.graph(
            "Runs that ended",
            {
                "{{outcome}}": "sum by (outcome) "
                f"(increase({series.of_operator(metrics.BATCH_RUNS.name)}[$__rate_interval]))"
            },
        ),
        panels.rows(
            "What failed, or cannot begin",
            _of(metrics.BATCH_CONDITION, "condition", "reason"),
            about="docs/runbooks/batch.md says what to do.",
        ),
    ]
