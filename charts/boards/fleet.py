"""All models: who needs a person first, and how releases end."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from charts import series
from charts.boards import panels
from sluice.shell.reporting import metrics

IN: Final = 'model_namespace=~"$namespace"'
STATUS: Final = series.of_operator(metrics.RELEASE_STATUS.name, IN)
CONDITION: Final = series.of_operator(metrics.MODEL_CONDITION.name, IN)
ANY: Final = series.of_operator("", f'__name__=~"{metrics.RELEASE_STATUS.name}|{metrics.MODEL_CONDITION.name}"')
OF_MODEL: Final = ", ".join(metrics.OF_MODEL)


def boards() -> dict[str, Dashboard]:
    return {
        "fleet": panels.board(
            "sluice-fleet",
            "Sluice: fleet",
            "All models: who needs a person first, which releases run, and how releases end.",
            [
                panels.choice(
                    "namespace",
                    f"label_values({ANY}, model_namespace)",
                    label="Namespace",
                    everything=True,
                )
            ],
            [*_figures(), *_tables(), "Over time", *_graphs()],
            time="now-6h",
        )
    }


def _figures() -> list[panels.Panel]:
    return [
        panels.figure("Models", f"max({series.of_operator(metrics.MODELS.name)})"),
        panels.figure("Batches", f"max({series.of_operator(metrics.BATCHES.name)})"),
        panels.figure("Releases that run", f"count(count by ({OF_MODEL}) ({STATUS})) {panels.ZERO}"),
        panels.figure(
            "Models that are not as they should be",
            f"count(count by ({OF_MODEL}) ({CONDITION})) {panels.ZERO}",
            bad=1,
        ),
        panels.figure(
            "Rolled back",
            _ended("RolledBack"),
            about="In the time shown.",
        ),
        panels.figure(
            "Promoted",
            _ended("Promoted"),
            about="In the time shown.",
        ),
    ]


def _ended(outcome: str) -> str:
    ended = series.of_operator(metrics.ROLLOUTS.name, f'outcome="{outcome}"')
    return f"sum(increase({ended}[$__range]))"


def _tables() -> list[panels.Panel]:
    return [
        panels.rows(
            "What is not as it should be",
            f"max by ({OF_MODEL}, condition, reason) ({CONDITION})",
            about="docs/runbooks says what to do about each reason.",
        ),
        panels.rows(
            "Running releases",
            f"max by ({OF_MODEL}, strategy, verdict, reason) ({STATUS})",
        ),
    ]


def _graphs() -> list[panels.Panel]:
    deadline = f"max by ({OF_MODEL}) ({series.of_operator(metrics.RELEASE_DEADLINE.name, IN)})"
    ended = series.of_operator(metrics.ROLLOUTS.name)
    return [
        panels.graph(
            "Releases that run, by verdict",
            {"{{verdict}}": f"count by (verdict) (max by ({OF_MODEL}, verdict) ({STATUS})) {panels.ZERO}"},
        ),
        panels.graph(
            "Releases that ended",
            {"{{outcome}}": f"sum by (outcome) (increase({ended}[$__rate_interval]))"},
        ),
        panels.graph(
            "Models that are not as they should be, by condition",
            {"{{condition}}": f"count by (condition) (max by ({OF_MODEL}, condition) ({CONDITION})) {panels.ZERO}"},
        ),
        panels.graph("Until the deadline", {"{{model_namespace}}/{{model}}": f"{deadline} - time()"}, unit="s"),
    ]
