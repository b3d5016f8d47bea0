"""Alerts on releases, batches and the operator. `python -m charts.alerts` writes them as a file of Prometheus' rules.

The chart puts the same file into a PrometheusRule. Each selector asks for the operator's own series (charts/series.py).
`$labels` are the object's (docs/metrics.md), and have the form of a name: people paste them into a shell. Series of several
replicas are one by `max by`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from charts import series
from sluice.shell.reporting import metrics
from sluice.shell.reporting.metrics import Metric
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.reasons import Reason

FILES: Final = (Path("manifests/monitoring/alerts.yaml"), Path("charts/sluice/monitoring/alerts.yaml"))
"""For a Prometheus that reads files, and for the chart."""
HEADER: Final = """\
# Prometheus' rules for Sluice, generated from charts/alerts.py by `make crds`; do not edit.
"""
RUNBOOKS: Final = "https://github.com/sluice-dev/sluice/blob/main/docs/runbooks/"
"""Where a page of docs/runbooks is read; the chart puts `monitoring.prometheusRule.runbooks` in its place."""

PAGE: Final = Path("docs/alerts.md")
BEGIN: Final = "<!-- generated from charts/alerts.py by `make crds` -->\n"
HEAD: Final = "| alert | severity | what it says | when it has held | runbook |\n|---|---|---|---|---|\n"
LABEL: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
NAMES: Final = {
    "model_namespace": "NAMESPACE",
    "model": "MODEL",
    "batch_namespace": "NAMESPACE",
    "batch": "BATCH",
    "reason": "REASON",
}
"""What stands for a label where there is no alert."""

PERSON: Final = (Reason.DEADLINE_EXCEEDED, Reason.PAUSED, Reason.PAUSED_AT_STEP)
"""What a release waits for that only a person ends."""
NOT_AGAINST_ITS_DEADLINE: Final = (
    Reason.PAUSED,
    Reason.FROZEN,
    Reason.BAKING,
    Reason.BAKING_WITHOUT_TRAFFIC,
    Reason.PROBING_STABLE,
    Reason.PROBE_OVER,
)
"""Waits whose deadline moves on, or that a deadline does not end."""

MODEL: Final = "{{ $labels.model_namespace }}/{{ $labels.model }}"
BATCH: Final = "{{ $labels.batch_namespace }}/{{ $labels.batch }}"
IN_MODELS_NAMESPACE: Final = "-n '{{ $labels.model_namespace }}' '{{ $labels.model }}'"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule."""

    name: str
    severity: str
    """`critical`: somebody is to be woken; `warning`: somebody is to look today; `info`: somebody waits."""
    expr: str
    lasts: str
    """For how long it must hold."""
    summary: str
    description: str
    runbook: str
    """The page in docs/runbooks, with its anchor."""

    @property
    def rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}{self.runbook}",
            },
        }


def _of(metric: Metric, matchers: str = "", *, by: Iterable[str] | None = None) -> str:
    """The metric once for each object, whatever replicas show it."""
    labels = metric.labels if by is None else tuple(by)
    return f"max by ({', '.join(labels)}) ({_selector(metric.name, matchers, labels)})"


def _selector(name: str, matchers: str = "", labels: Iterable[str] = ()) -> str:
    """labels: those that the alert may show."""
    shown = series.of_form(*(label for label in labels if f"{label}=" not in matchers))
    return series.of_operator(name, ",".join(part for part in (matchers, shown) if part))


def _condition(type_: Type, reason: Reason | None = None) -> str:
    matchers = f'condition="{type_}"' + (f',reason="{reason}"' if reason is not None else "")
    return _of(metrics.MODEL_CONDITION, matchers, by=(*metrics.OF_MODEL, "reason"))


def _any_of(reasons: Iterable[Reason]) -> str:
    return "|".join(sorted(reasons))


_DEADLINE: Final = _of(metrics.RELEASE_DEADLINE)
_HELD: Final = _of(metrics.RELEASE_STATUS, f'reason=~"{_any_of(NOT_AGAINST_ITS_DEADLINE)}"', by=metrics.OF_MODEL)

_REFUSED: Final = _selector(metrics.API_ERRORS.name, 'error=~"Denied|Refused"', ["kind"])
_DEFECTS: Final = _selector(f"{metrics.RECONCILE_SECONDS.name}_count", 'result="error"')
_OLDEST: Final = _selector("", f'__name__=~"{metrics.WORKQUEUE_OLDEST.name}|{metrics.WRITES_OLDEST.name}"')

_FAILED: Final = 'condition="Failed"'
_STALLED: Final = 'condition="Stalled"'

RELEASES: Final = (
    Alert(
        name="SluiceReleaseWaitsForPerson",
        severity="info",
        expr=_of(metrics.RELEASE_STATUS, f'reason=~"{_any_of(PERSON)}"', by=(*metrics.OF_MODEL, "reason")),
        lasts="15m",
        summary=f"The release of {MODEL} waits for a person.",
        description=f"The release of {MODEL} does not go on by itself ({{{{ $labels.reason }}}}). Look at it with kubectl "
        f"sluice status {IN_MODELS_NAMESPACE}; then resume, promote or abort it.",
        runbook="waiting.md#held-by-people-and-rules",
    ),
    Alert(
        name="SluiceReleaseBlind",
        severity="warning",
        expr=_condition(Type.METRICS_AVAILABLE),
        lasts="5m",
        summary=f"The release of {MODEL} cannot be judged.",
        description=f"The operator has no samples by which it could judge the release of {MODEL} "
        "({{ $labels.reason }}): it goes neither on nor back.",
        runbook="blind.md",
    ),
    Alert(
        name="SluiceSplitMismatch",
        severity="warning",
        expr=_condition(Type.ROUTES_PROGRAMMED, Reason.SPLIT_MISMATCH),
        lasts="5m",
        summary=f"Requests of {MODEL} are not split as its route says.",
        description=f"The gateway accepted the route of {MODEL}, and counts requests in other shares. The release holds.",
        runbook="routing.md#requests-are-not-split-as-the-route-says",
    ),
    Alert(
        name="SluiceModelStalled",
        severity="warning",
        expr=_condition(Type.STALLED),
        lasts="5m",
        summary=f"{MODEL} is stalled: {{{{ $labels.reason }}}}.",
        description=f"What {MODEL} asks for cannot be done until a person changes something ({{{{ $labels.reason }}}}). "
        f"What serves goes on. kubectl sluice status {IN_MODELS_NAMESPACE} says what to change.",
        runbook="stalled.md",
    ),
    Alert(
        name="SluiceReleaseRolledBack",
        severity="warning",
        expr=_condition(Type.CURRENT, Reason.ROLLED_BACK),
        lasts="0m",
        summary=f"A version of {MODEL} was rolled back.",
        description=f"The version that {MODEL} asks for was rolled back, and the one before it serves. kubectl sluice "
        f"history {IN_MODELS_NAMESPACE} says why. It ends when the manifest names another version, or with kubectl sluice "
        "retry.",
        runbook="rolled-back.md",
    ),
    Alert(
        name="SluiceModelWorse",
        severity="warning",
        expr=_condition(Type.HEALTHY, Reason.WORSE_THAN_BEFORE),
        lasts="0m",
        summary=f"The stable version of {MODEL} is worse than it was.",
        description=f"What the stable version of {MODEL} does is worse than all that it has shown since it was promoted, or "
        f"over its limit. kubectl sluice status {IN_MODELS_NAMESPACE} says since when, and how much.",
        runbook="worse-than-before.md",
    ),
    Alert(
        name="SluiceInputsMoved",
        severity="warning",
        expr=_condition(Type.HEALTHY, Reason.INPUTS_MOVED),
        lasts="0m",
        summary=f"Requests to {MODEL} are not as in the reference any more.",
        description=f"Features of the requests to {MODEL} have moved away from the reference of its observer. kubectl sluice "
        f"status {IN_MODELS_NAMESPACE} says which, how far, and since when.",
        runbook="inputs-moved.md",
    ),
    Alert(
        name="SluiceReleaseDeadlineNear",
        severity="warning",
        expr=f"(({_DEADLINE} - time()) > 0 "
        f"and ({_DEADLINE} - time()) < 0.1 * ({_DEADLINE} - {_of(metrics.RELEASE_START)})) "
        f"unless {_HELD}",
        lasts="1m",
        summary=f"The release of {MODEL} will not be decided in time.",
        description=f"In {{{{ $value | humanizeDuration }}}} the deadline of the release of {MODEL} is over, and onDeadline "
        "of its policy applies. There is no proof yet.",
        runbook="waiting.md",
    ),
)

OPERATOR: Final = (
    Alert(
        name="SluiceOperatorDown",
        severity="critical",
        expr=f"absent({_selector(metrics.LEADER.name)} == 1)",
        lasts="5m",
        summary="No replica of the Sluice operator leads.",
        description="No replica of the operator leads, or Prometheus does not scrape it. Models serve on; releases are not "
        "judged, and nobody can abort one.",
        runbook="operator-down.md",
    ),
    Alert(
        name="SluiceWritesRefused",
        severity="warning",
        expr=f"sum by (kind, error) (increase({_REFUSED}[15m])) > 0",
        lasts="1m",
        summary="The API server refuses writes of the Sluice operator.",
        description="The API server does not take what the operator writes to {{ $labels.kind }} ({{ $labels.error }}). The "
        "models that need it are stalled; the operator's log has the API server's words.",
        runbook="forbidden.md",
    ),
    Alert(
        name="SluiceOperatorBehind",
        severity="warning",
        expr=f"max({_OLDEST}) > 60",
        lasts="5m",
        summary="The Sluice operator does not keep up.",
        description="An object has waited for {{ $value | humanizeDuration }} to be looked at, or to be written.",
        runbook="operator-behind.md",
    ),
    Alert(
        name="SluiceReconcileErrors",
        severity="warning",
        expr=f"sum(increase({_DEFECTS}[15m])) > 0",
        lasts="1m",
        summary="The Sluice operator fails at an object.",
        description="Reconciles of the operator end in a defect of its own. The object has the condition Stalled with reason "
        "OperatorDefect, and the log has the traceback. Other objects are not affected.",
        runbook="stalled.md",
    ),
)

BATCHES: Final = (
    Alert(
        name="SluiceBatchLate",
        severity="warning",
        expr=f"(time() - {_of(metrics.BATCH_NEXT)} > 900) "
        f"or ({_of(metrics.BATCH_LAST)} - {_of(metrics.BATCH_START)} > 0)",
        lasts="1m",
        summary=f"A run of {BATCH} is late.",
        description=f"{BATCH} is late by {{{{ $value | humanizeDuration }}}}: either a run of the schedule is due and has not "
        "begun, or the next one was due while it was still running.",
        runbook="batch.md#it-is-late",
    ),
    Alert(
        name="SluiceBatchFailed",
        severity="warning",
        expr=_of(metrics.BATCH_CONDITION, _FAILED, by=(*metrics.OF_BATCH, "reason")),
        lasts="0m",
        summary=f"The last run of {BATCH} failed.",
        description=f"The last run of {BATCH} failed ({{{{ $labels.reason }}}}). kubectl describe bi -n "
        "'{{ $labels.batch_namespace }}' '{{ $labels.batch }}' has the message. It ends with the next run that is complete.",
        runbook="batch.md#it-failed",
    ),
    Alert(
        name="SluiceBatchStalled",
        severity="warning",
        expr=f"{_of(metrics.BATCH_CONDITION, _STALLED, by=(*metrics.OF_BATCH, 'reason'))} "
        f"unless on (batch_namespace, batch) {_selector(metrics.BATCH_CONDITION.name, _FAILED)}",
        lasts="5m",
        summary=f"No run of {BATCH} can begin.",
        description=f"A run of {BATCH} cannot begin until a person changes something ({{{{ $labels.reason }}}}).",
        runbook="batch.md#it-does-not-begin",
    ),
)

GROUPS: Final = {"sluice-releases": RELEASES, "sluice-operator": OPERATOR, "sluice-batches": BATCHES}
ALERTS: Final = RELEASES + OPERATOR + BATCHES


def rendered() -> str:
    """As Prometheus reads it from `rule_files`."""
    groups = [{"name": name, "rules": [alert.rule for alert in alerts]} for name, alerts in GROUPS.items()]
    return HEADER + yaml.safe_dump({"groups": groups}, sort_keys=False, width=120)


def table() -> str:
    """All alerts, as rows of Markdown."""
    return HEAD + "".join(_row(alert) for alert in ALERTS)


def _row(alert: Alert) -> str:
    lasts = "at once" if alert.lasts == "0m" else f"for {alert.lasts}"
    page, _, _ = alert.runbook.partition("#")
    meaning = LABEL.sub(lambda found: NAMES[found[1]], alert.summary)
    link = f"[{page.removesuffix('.md').replace('-', ' ')}](runbooks/{alert.runbook})"
    return f"| `{alert.name}` | {alert.severity} | {meaning} | {lasts} | {link} |\n"


def written_into(page: str) -> str:
    """The page with the table as it is now."""
    return metrics.replaced(page, BEGIN, table())


if __name__ == "__main__":
    for file in FILES:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rendered())
    PAGE.write_text(written_into(PAGE.read_text()))
