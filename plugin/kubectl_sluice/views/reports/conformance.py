"""The requirements of a ServingRuntime, as checks over the observations of a trial."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubectl_sluice.views.reports.checks import Check, CheckState
from sluice_core.kernel.snapshot import Object
from sluice_core.views import words

PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
ABOUT_THE_MODEL: Final = ("httpGet", "grpc", "exec")
"""Kinds of probes that can reflect the model's state; an open port cannot."""
KILLED: Final = 137
"""Exit status after SIGKILL."""
NOT_ASKED: Final = "NoPayload"


@dataclass(frozen=True, slots=True)
class Wrong:
    """The pod with a model that cannot be loaded."""

    was_ready: bool
    watched_seconds: float
    said: str
    """How its server ended, with the end of its log; empty while it runs."""


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """The first request, and the metrics after it."""

    problem: str
    reason: str
    """The problem's reason, as the client reports it."""
    metrics: Mapping[str, Any] | None
    """`problem` and `series`; None where the runtime declares no metrics."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """One pod deleted under requests."""

    pod: str
    seconds: float
    """The time from its deletion until it was gone."""
    grace_seconds: int
    """How long until the kubelet kills it."""
    exit_code: int | None
    """The exit code of its server; None where the pod was gone before it was observed."""

    @property
    def was_killed(self) -> bool:
        if self.exit_code is None:
            return self.seconds >= self.grace_seconds
        return self.exit_code == KILLED


@dataclass(frozen=True, slots=True)
class Restart:
    """Both pods replaced, one after the other, under a stream of requests."""

    sent: int
    lost: int
    problem: str
    """One of the reasons why requests were lost."""
    stopped: Sequence[Stopped]
    unfinished: str
    """Why not all pods were replaced; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Observations:
    """The observations of a trial; None: it did not get that far."""

    template: Object | None
    """The pods' template."""
    ready_seconds: float | None
    """From the creation of the slowest pod until it was ready."""
    condition: str
    """The ModelDeployment's own message where it was not ready."""
    wanted_series: Sequence[str] = ()
    wrong: Wrong | None = None
    asked: FirstRequest | None = None
    restart: Restart | None = None


def becomes_ready(seen: Observations) -> Check:
    name = "becomes ready"
    if seen.ready_seconds is None:
        remedy = "correct what the message names; with --keep the objects stay, and their status says more"
        return Check(name, CheckState.FAILED, seen.condition, remedy)
    return Check(name, CheckState.OK, f"ready {seen.ready_seconds:.0f} s after its pod was created")


def is_not_ready_without_its_model(seen: Observations) -> Check:
    name = "wrong model"
    if seen.wrong is None:
        why = "the image carries the model" if _runs(seen) else "it never became ready with the right model"
        return Check(name, CheckState.SKIPPED, why)
    if seen.wrong.was_ready:
        remedy = "make startupProbe and readinessProbe check the model, such as /v2/models/{{model.name}}/ready"
        return Check(name, CheckState.FAILED, "ready although its model's files cannot be loaded", remedy)
    how = seen.wrong.said.partition(": ")[0] or "its server waits"  # without the end of its log
    return Check(
        name, CheckState.OK, f"not ready within {seen.wrong.watched_seconds:.0f} s with files of garbage; {how}"
    )


def has_probes(seen: Observations) -> Check:
    name = "probes"
    if seen.template is None:
        return _without_template(name)
    server = seen.template["spec"]["containers"][0]
    missing = [probe for probe in PROBES if probe not in server]
    if missing:
        return Check(name, CheckState.FAILED, f"no {words.listed(missing, 'and no')}", "add it to the first container")
    blind = [probe for probe in PROBES[:2] if not any(way in server[probe] for way in ABOUT_THE_MODEL)]
    if blind:
        remedy = f"use one of {words.listed(ABOUT_THE_MODEL, 'or')}"
        return Check(name, CheckState.FAILED, f"{words.listed(blind)} only checks whether a port is open", remedy)
    return Check(name, CheckState.OK, words.listed([f"{probe} {_way(server[probe])}" for probe in PROBES]))


def runs_restricted(seen: Observations) -> Check:
    name = "security"
    if seen.template is None:
        return _without_template(name)
    spec = seen.template["spec"]
    wrong = [problem for problem in _violations(spec) if problem]
    if wrong:
        remedy = "remove it from the runtime's container: the default is restricted"
        return Check(name, CheckState.FAILED, f"not restricted: {words.listed(wrong)}", remedy)
    return Check(name, CheckState.OK, f"restricted, as user {spec['securityContext'].get('runAsUser', 'of the image')}")


def root_is_read_only(seen: Observations) -> Check:
    name = "read-only root"
    if seen.template is None:
        return _without_template(name)
    writable = [c["name"] for c in seen.template["spec"]["containers"] if not _context(c).get("readOnlyRootFilesystem")]
    if writable:
        remedy = "set securityContext.readOnlyRootFilesystem: true; /tmp and /dev/shm stay writable"
        return Check(name, CheckState.FAILED, f"container {words.listed(writable)} may write to its image", remedy)
    return Check(name, CheckState.OK, "no container may write to its image")


def answers(seen: Observations) -> Check:
    name = "prediction"
    if seen.asked is None:
        return Check(name, CheckState.SKIPPED, "it never became ready")
    if seen.asked.reason == NOT_ASKED:
        return Check(name, CheckState.SKIPPED, seen.asked.problem, "pass a request with --payload FILE and --path PATH")
    if seen.asked.problem:
        remedy = "see the log of its pods (--keep leaves them); --payload and --path change the request"
        return Check(name, CheckState.FAILED, seen.asked.problem, remedy)
    return Check(name, CheckState.OK, "the first request to a ready pod was answered")


def has_metrics(seen: Observations) -> Check:
    name = "metrics"
    if seen.asked is None:
        return Check(name, CheckState.SKIPPED, "it never became ready")
    if seen.asked.metrics is None:
        return Check(name, CheckState.SKIPPED, "the runtime maps none", "set port and path in spec.metrics")
    where = "correct port and path in spec.metrics"
    if seen.asked.metrics["problem"]:
        return Check(name, CheckState.FAILED, str(seen.asked.metrics["problem"]), where)
    series = seen.asked.metrics["series"]
    missing = [wanted for wanted in seen.wanted_series if wanted not in series]
    if not series or missing:
        return Check(name, CheckState.FAILED, f"no series {words.listed(missing, 'and no') or 'at all'}", where)
    return Check(name, CheckState.OK, f"{len(series)} series")


def loses_nothing(seen: Observations) -> Check:
    name = "drain"
    if seen.restart is None:
        return Check(name, CheckState.SKIPPED, "no request could be sent", "see prediction")
    losses = f"{seen.restart.lost} of {seen.restart.sent} requests lost while both pods were replaced"
    if seen.restart.lost:
        remedy = (
            "raise spec.drain.preStopSeconds; if the server drops requests in flight at SIGTERM, set onSignal: Cuts"
        )
        return Check(name, CheckState.FAILED, f"{losses}: {seen.restart.problem}", remedy)
    if seen.restart.unfinished:
        return Check(
            name,
            CheckState.FAILED,
            seen.restart.unfinished,
            "find out why its pods do not come back; --keep leaves them",
        )
    return Check(name, CheckState.OK, losses)


def ends_in_time(seen: Observations) -> Check:
    name = "end"
    stopped = seen.restart.stopped if seen.restart is not None else ()
    if not stopped:
        return Check(name, CheckState.SKIPPED, "no pod was stopped", "see prediction")
    killed = next((each for each in stopped if each.was_killed), None)
    slowest = killed or max(stopped, key=lambda each: each.seconds)
    end = f"gone {slowest.seconds:.0f} s after its deletion, of {slowest.grace_seconds} s"
    if killed is not None:
        remedy = "the server must be the container's first process, and end by itself after SIGTERM"
        return Check(name, CheckState.FAILED, f"killed: {end}", remedy)
    return Check(name, CheckState.OK, end)


CHECKS: Final[tuple[Callable[[Observations], Check], ...]] = (
    becomes_ready,
    is_not_ready_without_its_model,
    has_probes,
    runs_restricted,
    root_is_read_only,
    answers,
    has_metrics,
    loses_nothing,
    ends_in_time,
)


def judged(seen: Observations) -> tuple[Check, ...]:
    """All checks in order."""
    return tuple(check(seen) for check in CHECKS)


def _runs(seen: Observations) -> bool:
    return seen.ready_seconds is not None


def _without_template(name: str) -> Check:
    return Check(name, CheckState.SKIPPED, "the operator has not created a pod for it", "see the first check")


def _way(probe: Mapping[str, Any]) -> str:
    """A probe's request, in a few words."""
    if "httpGet" in probe:
        return str(probe["httpGet"].get("path", "/"))
    return next((way for way in (*ABOUT_THE_MODEL, "tcpSocket") if way in probe), "of an unknown kind")


def _context(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return container.get("securityContext") or {}


def _violations(spec: Mapping[str, Any]) -> list[str]:
    """Violations of the `restricted` Pod Security Standard."""
    of_pod = spec.get("securityContext") or {}
    violations = [f"{name} is true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        context = {**of_pod, **_context(container)}
        wanted = {
            "allowPrivilegeEscalation is not false": context.get("allowPrivilegeEscalation") is False,
            "privileged is true": not context.get("privileged"),
            "capabilities are not dropped": "ALL" in (context.get("capabilities") or {}).get("drop", ()),
            "runAsNonRoot is not true": context.get("runAsNonRoot") is True,
            "runAsUser is 0": context.get("runAsUser") != 0,
            "seccompProfile is missing": "type" in (context.get("seccompProfile") or {}),
        }
        violations += [f"{problem} in container {container['name']}" for problem, holds in wanted.items() if not holds]
    return violations
