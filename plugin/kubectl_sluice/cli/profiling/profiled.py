"""A profiled pod: a temporary object, whose log is read once a second until all is measured."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final

from kubectl_sluice.adapters import kubectl, loadprogram, portforward
from kubectl_sluice.cli import console
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import temporary
from kubectl_sluice.cli.kube.temporary import Say, TemporaryObject
from kubectl_sluice.cli.profiling import loadcontainer
from kubectl_sluice.loadgen import payload as packing
from kubectl_sluice.offline.profile import pod, reading, sweep
from kubectl_sluice.offline.profile.model import Measurements
from kubectl_sluice.offline.profile.reading import Report
from kubectl_sluice.offline.profile.sweep import Sweep
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import commands, rawobjects
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.render import common
from sluice_core.views import words

POLL_SECONDS: Final = 1.0
AWAY_SECONDS: Final = 60.0
"""How long the API server may be away; the pod continues without it."""
PATIENCE_SECONDS: Final = 120.0
"""How long a pod may be prevented from starting: an autoscaler may add a node, an image may come late."""
PODS: Final = kinds.BY_KIND["Pod"]

REMEDIES: Final = {
    "PayloadRefused": "pass a body that fits the model with --payload; {predict} --sample prints one",
    "NoPayload": "pass the body with --payload FILE (and --path, if the server does not speak V2)",
    "ModelFails": "{predict} -f FILE sends one request; see the log of the model's pods",
    "NotReady": "raise --ready if the model only needs longer; otherwise see {status}",
    "NoAnswer": "see the log of the model's pods",
}
"""Remedies, by the generator's reason."""


@dataclass(frozen=True, slots=True)
class ProfileOrder:
    """What to profile, and how."""

    deployment: ModelDeployment
    revision: Revision
    sweep: Sweep
    path: str
    """The path of an inference request."""
    payload: bytes | None
    """None: made up from the model's metadata."""
    image: pod.Image | None
    """The load generator's image; None: the load comes from this machine, through a port-forward."""
    kubectl_options: tuple[str, ...]
    """kubectl's options that select the cluster."""
    own_prompt: bool = False
    """Whether a language model gets the requests of `cli.languagemodel` instead of the user's."""

    @property
    def here(self) -> bool:
        return self.image is None

    @property
    def namespace(self) -> str:
        return self.deployment.metadata.namespace

    @property
    def name(self) -> str:
        return self.deployment.metadata.name


async def measure(api: kubectl.Kubectl, order: ProfileOrder, threads: int | None, say: Say) -> Measurements:
    """One pod from beginning to end. Raises `Failure` with the remedy."""
    with temporary.ending_as_on_ctrl_c():
        await _remove_leftovers(api, order, say)
        manifest = _manifest(order, threads)
        name = str(manifest["metadata"]["name"])
        watch = _watch_here if order.here else _watch_there
        async with _pod(api, order, name, say).made(manifest, refusal=lambda error: _refusal(order, name, error)):
            try:
                report = await watch(api, order, name, threads, say)
            except errors.Missing as error:
                raise Failure(
                    f"pod {name} was removed while it was measured, by another profile or a person"
                ) from error
    return _measured(order, report)


def _pod(api: kubectl.Kubectl, order: ProfileOrder, name: str, say: Say) -> TemporaryObject:
    return TemporaryObject(api, PODS, order.namespace, name, say)


async def _remove_leftovers(api: kubectl.Kubectl, order: ProfileOrder, say: Say) -> None:
    for left in await api.fetch_all(PODS, namespace=order.namespace, selector=pod.selector(order.name)):
        await _pod(api, order, str(left["metadata"]["name"]), say).remove_leftover("profile")


def _refusal(order: ProfileOrder, name: str, error: errors.ApiError) -> str:
    if isinstance(error, errors.Conflict):
        return f"somebody else is profiling {order.name} right now (pod {name}); wait until that has ended"
    return f"{error}; {pod.refusal_remedy(str(error))}"


def _manifest(order: ProfileOrder, threads: int | None) -> dict[str, Any]:
    """Raises `Failure` where the payload does not fit."""
    generator = None
    if order.image is not None:
        generator = loadcontainer.generator(
            order.image,
            plan=_plan(order, order.revision.port, 0),
            payload=order.payload,
            too_large="send it from this machine with --from-here",
        )
    return pod.profiled_pod(
        order.revision,
        order.deployment,
        threads=threads,
        generator=generator,
        deadline_seconds=order.sweep.longest_seconds,
    )


def _plan(order: ProfileOrder, port: int, processes: int | None) -> str:
    return json.dumps(
        sweep.document(
            order.sweep,
            host="127.0.0.1",
            port=port,
            model=common.served_name(order.deployment),
            path=order.path,
            ready_path=common.ready_path(order.revision.template["spec"]["containers"][0]),
            processes=processes,
        )
    )


async def _watch_there(api: kubectl.Kubectl, order: ProfileOrder, name: str, threads: int | None, say: Say) -> Report:
    """Reads the log of the generator in the pod until it has measured all, or cannot."""
    waiting, answered = _Patience(), time.monotonic()
    while True:
        try:
            current = await api.fetch(PODS, order.namespace, name)
            log = await api.fetch_log(order.namespace, name, pod.GENERATOR)
        except errors.Unavailable as error:
            if time.monotonic() - answered > AWAY_SECONDS:
                raise
            say(str(error))
            await asyncio.sleep(POLL_SECONDS)
            continue
        answered = time.monotonic()
        report = _read(order, threads, log.splitlines())
        if report.ended or report.reason:
            return report
        if (over := pod.ended(current)) is not None:
            return _cut_short(report, over)
        if pod.generator_ended(current):
            return _cut_short(report, f"the load generator ended: {report.noise or 'it does not say why'}")
        if report.measurements is None:
            waiting.check(pod.waits_for(current, time.time()))
        say(_progress(order, report, waiting.what, threads))
        await asyncio.sleep(POLL_SECONDS)


async def _watch_here(api: kubectl.Kubectl, order: ProfileOrder, name: str, threads: int | None, say: Say) -> Report:
    """Runs the generator on this machine once the pod's containers run, and reads its output."""
    await _wait_running(api, order, name, say)
    there = portforward.forwarded(name, order.revision.port, namespace=order.namespace, options=order.kubectl_options)
    payload = packing.packed(order.payload) if order.payload is not None else ""
    async with (
        there as port,
        loadprogram.running(pod.variables(_plan(order, port, None), payload)) as generator,
    ):
        while True:
            ended = generator.ended
            report = _read(order, threads, generator.lines)
            if report.ended or report.reason:
                return report
            if ended:
                return _cut_short(report, f"the load generator ended: {report.noise or 'it does not say why'}")
            if (over := pod.ended(await api.fetch(PODS, order.namespace, name))) is not None:
                return _cut_short(report, over)
            say(_progress(order, report, "", threads))
            await asyncio.sleep(POLL_SECONDS)


async def _wait_running(api: kubectl.Kubectl, order: ProfileOrder, name: str, say: Say) -> None:
    waiting = _Patience()
    while not _runs(current := await api.fetch(PODS, order.namespace, name)):
        if (over := pod.ended(current)) is not None:
            raise Failure(f"pod {name}: {over}")
        waiting.check(pod.waits_for(current, time.time()))
        say(f"waiting for pod {name}{f': {waiting.what}' if waiting.what else ''}")
        await asyncio.sleep(POLL_SECONDS)


def _runs(current: Object) -> bool:
    return (current.get("status") or {}).get("phase") == rawobjects.Phase.RUNNING


class _Patience:
    """Gives up on a pod that one kind of trouble keeps from starting for too long."""

    def __init__(self) -> None:
        self.what = ""
        self._since = 0.0

    def check(self, problem: str) -> None:
        if not self.what or not problem:
            self._since = time.monotonic()
        self.what = problem
        if problem and time.monotonic() - self._since > PATIENCE_SECONDS:
            raise Failure(f"the profiled pod does not start: {problem}")


def _read(order: ProfileOrder, threads: int | None, lines: list[str]) -> Report:
    return reading.read(lines, cores=pod.processor_limit(order.revision.template), threads=threads)


def _cut_short(report: Report, why: str) -> Report:
    if report.points == 0:
        raise Failure(f"nothing was measured: {why}")
    console.say(f"cut short after {words.plural(report.points, 'point')}: {why}")
    return report


def _measured(order: ProfileOrder, report: Report) -> Measurements:
    if report.reason:
        remedy = REMEDIES.get(report.reason, "see what it says")
        remedy = commands.filled(remedy, name=order.name, namespace=order.namespace)
        raise Failure(f"{report.problem}; {remedy}")
    assert report.measurements is not None, "a run that ended has measurements"
    return report.measurements


def _progress(order: ProfileOrder, report: Report, waits_for: str, threads: int | None) -> str:
    if report.measurements is None:
        return f"waiting until the model is ready{f': {waits_for}' if waits_for else ''}"
    total = len(order.sweep.settings) * len(order.sweep.concurrency)
    done = report.points + len(report.measurements.skipped) * len(order.sweep.concurrency)
    setting = report.setting.words if report.setting is not None else "the gateway"
    pods = f" ({words.plural(threads, 'thread')})" if threads is not None and not setting.endswith("s") else ""
    return f"measuring {setting}{pods}: point {min(done + 1, total)} of {total}"
