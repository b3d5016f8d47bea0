"""The checks of a ServingRuntime: what a trial has shown, and what is said of it."""

from dataclasses import replace
from typing import Any

import pytest

from kubectl_sluice.views.reports.checks import CheckState
from kubectl_sluice.views.reports.conformance import CHECKS, FirstRequest, Observations, Restart, Stopped, Wrong, judged

OK, FAILED, SKIPPED = CheckState.OK, CheckState.FAILED, CheckState.SKIPPED
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
POD = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
ASKS = {"httpGet": {"path": "/ready", "port": 8080}}
METRICS = {"problem": "", "series": ["requests_total"]}


def template(pod: dict[str, Any] | None = None, **server: Any) -> dict[str, Any]:
    container = {
        "name": "server",
        "startupProbe": ASKS,
        "readinessProbe": ASKS,
        "livenessProbe": {"tcpSocket": {"port": 8080}},
        "securityContext": RESTRICTED,
    } | server
    known = {name: value for name, value in container.items() if value is not None}
    return {"spec": {"containers": [known], "securityContext": POD} | (pod or {})}


def stopped(seconds: float, exit_code: int | None = None) -> Stopped:
    return Stopped("digits-1", seconds, 20, exit_code)


def restart(**changes: Any) -> Restart:
    good = Restart(sent=400, lost=0, problem="", stopped=(stopped(7), stopped(8)), unfinished="")
    return replace(good, **changes)


def seen(**changes: Any) -> Observations:
    good = Observations(
        template=template(),
        ready_seconds=4.0,
        condition="",
        wanted_series=("requests_total",),
        wrong=Wrong(was_ready=False, watched_seconds=20, said=""),
        asked=FirstRequest("", "", METRICS),
        restart=restart(),
    )
    return replace(good, **changes)


def asked(problem: str = "", reason: str = "", metrics: dict[str, Any] | None = METRICS) -> Observations:
    return seen(asked=FirstRequest(problem, reason, metrics))


def test_a_server_that_does_all_passes_all() -> None:
    found = judged(seen())
    assert [check.state for check in found] == [OK] * len(CHECKS)
    assert all(check.finding and not check.remedy for check in found)


def test_of_one_that_was_never_ready_only_its_template_is_judged() -> None:
    found = judged(Observations(template=template(), ready_seconds=None, condition="CrashLoopBackOff: it ends"))
    states = {check.name: check.state for check in found}
    assert states == {
        "becomes ready": FAILED,
        "wrong model": SKIPPED,
        "probes": OK,
        "security": OK,
        "read-only root": OK,
        "prediction": SKIPPED,
        "metrics": SKIPPED,
        "drain": SKIPPED,
        "end": SKIPPED,
    }
    assert found[0].finding == "CrashLoopBackOff: it ends"


def test_without_a_pod_nothing_but_that_is_said() -> None:
    found = judged(Observations(template=None, ready_seconds=None, condition="RuntimeNotFound"))
    assert [check.state for check in found] == [FAILED, *[SKIPPED] * (len(CHECKS) - 1)]


@pytest.mark.parametrize(
    ("given", "name", "state", "finding"),
    [
        (seen(wrong=Wrong(True, 3, "")), "wrong model", FAILED, "ready although its model's files cannot be loaded"),
        (seen(wrong=Wrong(False, 3, "status 1 (Error): a log")), "wrong model", OK, "garbage; status 1 (Error)"),
        (seen(wrong=None), "wrong model", SKIPPED, "the image carries the model"),
        (seen(template=template(livenessProbe=None)), "probes", FAILED, "no livenessProbe"),
        (
            seen(template=template(readinessProbe={"tcpSocket": {"port": 1}})),
            "probes",
            FAILED,
            "readinessProbe only checks whether a port is open",
        ),
        (seen(template=template(securityContext={})), "security", FAILED, "capabilities are not dropped in container server"),
        (seen(template=template({"securityContext": {}})), "security", FAILED, "runAsNonRoot is not true"),
        (seen(template=template({"hostNetwork": True})), "security", FAILED, "hostNetwork is true"),
        (seen(template=template(securityContext={**RESTRICTED, "runAsUser": 0})), "security", FAILED, "runAsUser is 0"),
        (
            seen(template=template(securityContext={**RESTRICTED, "readOnlyRootFilesystem": False})),
            "read-only root",
            FAILED,
            "container server may write to its image",
        ),
        (asked("POST /x answers 500: no", "ModelFails"), "prediction", FAILED, "POST /x answers 500: no"),
        (asked("no request can be generated", "NoPayload"), "prediction", SKIPPED, "no request can be generated"),
        (asked(metrics=None), "metrics", SKIPPED, "the runtime maps none"),
        (asked(metrics={"problem": "404 none"}), "metrics", FAILED, "404 none"),
        (asked(metrics={"problem": "", "series": []}), "metrics", FAILED, "no series requests_total"),
        (asked(metrics={"problem": "", "series": ["up"]}), "metrics", FAILED, "no series requests_total"),
        (
            seen(restart=restart(lost=3, problem="refused")),
            "drain",
            FAILED,
            "3 of 400 requests lost while both pods were replaced: refused",
        ),
        (seen(restart=restart(unfinished="no pod came back")), "drain", FAILED, "no pod came back"),
        (seen(restart=None), "drain", SKIPPED, "no request could be sent"),
        (seen(restart=restart(stopped=(stopped(7), stopped(21, 143)))), "end", OK, "gone 21 s after its deletion, of 20 s"),
        (seen(restart=restart(stopped=(stopped(19, 137), stopped(20)))), "end", FAILED, "killed: gone 19 s"),
        (seen(restart=restart(stopped=(stopped(7), stopped(20)))), "end", FAILED, "killed: gone 20 s after its deletion"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be(given: Observations, name: str, state: CheckState, finding: str) -> None:
    checks = {check.name: check for check in judged(given)}
    assert checks[name].state is state
    assert finding in checks[name].finding
    assert bool(checks[name].remedy) == (state is FAILED) or state is SKIPPED
    others = [check for check in checks.values() if check.name != name and check.state is FAILED]
    assert {check.name for check in others} <= {"read-only root"}
