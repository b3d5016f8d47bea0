"""The life of a profiled pod: made, watched until all is measured, and removed whatever happens.

leftover? ──remove──> create ──> look once a second: pod, log ──all measured, a problem, Ctrl-C──> delete, wait: gone
"""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sluice import errors
from sluice.adapters import kube, kubectl, loadprogram, portforward
from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.cli import cluster, console
from sluice.cli.console import Failure
from sluice.core.kernel.snapshot import Object, Revision
from sluice.core.render import common
from sluice.loadgen import payload as packing
from sluice.offline.profile import plan, pod, reading
from sluice.offline.profile.model import Measurements
from sluice.offline.profile.plan import Plan
from sluice.offline.profile.reading import Report
from sluice.views import words

POLL_SECONDS: Final = 1.0
GONE_SECONDS: Final = 60.0
AWAY_SECONDS: Final = 60.0
"""So long the API server may be away: the pod goes on without it."""
PATIENCE_SECONDS: Final = 120.0
"""So long a pod may be kept from starting: an autoscaler may bring a node, an image may come late."""
PODS: Final = kube.BY_KIND["Pod"]
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]

REMEDIES: Final = {
    "PayloadRefused": "give a body that fits the model with --payload; kubectl sluice predict NAME --sample prints one",
    "NoPayload": "give the body with --payload FILE (and --path, where the server does not speak V2)",
    "ModelFails": "kubectl sluice predict NAME -f FILE sends one request; see the log of the model's pods",
    "NotReady": "raise --ready if it only needs longer; otherwise see kubectl sluice status NAME",
    "NoAnswer": "see the log of the model's pods",
}
"""By the reason that the generator gives."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be profiled, and how."""

    deployment: ModelDeployment
    revision: Revision
    plan: Plan
    path: str
    """Of an inference request."""
    payload: bytes | None
    """None: made up from the model's metadata."""
    image: pod.Image | None
    """Of the load; None: it comes from this machine, through a port-forward."""
    kubectl_options: tuple[str, ...]
    """Which cluster, as kubectl takes it."""

    @property
    def here(self) -> bool:
        return self.image is None

    @property
    def namespace(self) -> str:
        return self.deployment.metadata.namespace

    @property
    def name(self) -> str:
        return self.deployment.metadata.name


async def measure(api: kubectl.Kubectl, order: Order, threads: int | None, say: Say) -> Measurements:
    """One pod from beginning to end. Raises `Failure` with what to do."""
    with ending_as_on_ctrl_c():
        await remove_leftovers(api, order, say)
        async with _running(api, order, _manifest(order, threads), say) as name:
            watch = _watch_here if order.here else _watch_there
            try:
                report = await watch(api, order, name, threads, say)
            except errors.Missing as error:
                raise Failure(
                    f"somebody has removed pod {name} while it was measured: another profile, or a person"
                ) from error
    return _measured(order, report)


@contextlib.contextmanager
def ending_as_on_ctrl_c() -> Iterator[None]:
    """So that the pod is removed as well when the terminal is closed, or a pipeline is cancelled.

    Ctrl-C itself does not help there: what runs in the background of a shell ignores it.
    """
    loop, task, ended = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

    def end() -> None:
        ended.set()
        if task is not None:
            task.cancel()

    for number in ENDING:
        loop.add_signal_handler(number, end)
    try:
        yield
    except asyncio.CancelledError:
        if ended.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


async def remove_leftovers(api: kubectl.Kubectl, order: Order, say: Say) -> None:
    """What an earlier run could not remove: it was killed, or the API server was away."""
    for left in await api.fetch_all(PODS, namespace=order.namespace, selector=pod.selector(order.name)):
        name = str(left["metadata"]["name"])
        console.say(f"removing pod {name}, which an earlier profile has left")
        say(f"waiting until pod {name} is gone")
        await api.delete(PODS, order.namespace, name)
        if not await _is_gone(api, order.namespace, name):
            raise Failure(f"pod {name} of an earlier profile does not end; see kubectl describe pod {name}")


async def fetch_image(api: kubectl.Kubectl, revision: Revision) -> pod.Image | None:
    """Where the generator can run; None where no image with Python is known from here."""
    found = pod.image_of(revision.template)
    if found is not None or await api.fetch_operator_config() is None:
        return found
    initializer = (await cluster.fetch_config(api)).storage_initializer
    return pod.Image(initializer.image, initializer.image_pull_policy)


def _manifest(order: Order, threads: int | None) -> dict[str, Any]:
    """Raises Failure where the payload does not fit into it."""
    generator = None
    if order.image is not None:
        payload = packing.packed(order.payload) if order.payload is not None else ""
        if len(payload) > pod.LARGEST_PAYLOAD:
            raise Failure(
                f"--payload: {len(payload):,} characters after compression do not fit into a pod "
                f"({pod.LARGEST_PAYLOAD:,}); send it from here: --from-here"
            )
        generator = pod.generator(
            order.image, program=loadprogram.program(), plan=_plan(order, order.revision.port, 0), payload=payload
        )
    return pod.profiled_pod(
        order.revision,
        order.deployment,
        threads=threads,
        generator=generator,
        deadline_seconds=order.plan.longest_seconds,
    )


def _plan(order: Order, port: int, processes: int | None) -> str:
    return json.dumps(
        plan.document(
            order.plan,
            host="127.0.0.1",
            port=port,
            model=common.served_name(order.deployment),
            path=order.path,
            ready_path=common.ready_path(order.revision.template["spec"]["containers"][0]),
            processes=processes,
        )
    )


@contextlib.asynccontextmanager
async def _running(api: kubectl.Kubectl, order: Order, manifest: Object, say: Say) -> AsyncIterator[str]:
    """The pod, as long as the block lasts."""
    name = str(manifest["metadata"]["name"])
    say(f"creating pod {name}")
    try:
        await api.create(PODS, manifest)
    except (errors.Denied, errors.Refused) as error:
        raise Failure(f"{error}; {pod.refusal_remedy(str(error))}") from error
    except errors.Conflict as error:
        raise Failure(f"somebody else profiles {order.name} right now (pod {name}); wait until that is over") from error
    except BaseException:
        # It may have been made although nobody told us: the answer was lost, or Ctrl-C came first.
        await _remove(api, order, name, say)
        raise
    try:
        yield name
    finally:
        await _remove(api, order, name, say)


async def _remove(api: kubectl.Kubectl, order: Order, name: str, say: Say) -> None:
    say(f"removing pod {name}")
    try:
        await api.delete(PODS, order.namespace, name)
        gone = await _is_gone(api, order.namespace, name)
    except errors.ApiError as error:
        console.say(f"pod {name} could not be removed: {error}")
        gone = False
    if not gone:
        console.say(f"pod {name} may still be there; remove it: kubectl delete pod -n {order.namespace} {name}")


async def _is_gone(api: kubectl.Kubectl, namespace: str, name: str) -> bool:
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline:
        try:
            await api.fetch(PODS, namespace, name)
        except errors.Missing:
            return True
        await asyncio.sleep(POLL_SECONDS / 2)
    return False


async def _watch_there(api: kubectl.Kubectl, order: Order, name: str, threads: int | None, say: Say) -> Report:
    """Reads the log of the generator in the pod until it has measured all, or cannot."""
    waiting, answered = _Patience(), time.monotonic()
    while True:
        try:
            seen = await api.fetch(PODS, order.namespace, name)
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
        if (over := pod.ended(seen)) is not None:
            return _cut_short(report, over)
        if pod.generator_ended(seen):
            return _cut_short(report, f"the load generator has ended: {report.noise or 'it does not say why'}")
        if report.measurements is None:
            waiting.check(pod.waits_for(seen, time.time()))
        say(_progress(order, report, waiting.what, threads))
        await asyncio.sleep(POLL_SECONDS)


async def _watch_here(api: kubectl.Kubectl, order: Order, name: str, threads: int | None, say: Say) -> Report:
    """Runs the generator on this machine once the pod's containers run, and reads what it writes."""
    waiting = _Patience()
    while not _runs(seen := await api.fetch(PODS, order.namespace, name)):
        if (over := pod.ended(seen)) is not None:
            raise Failure(f"pod {name}: {over}")
        waiting.check(pod.waits_for(seen, time.time()))
        say(f"waiting for pod {name}{f': {waiting.what}' if waiting.what else ''}")
        await asyncio.sleep(POLL_SECONDS)
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
                return _cut_short(report, f"the load generator has ended: {report.noise or 'it does not say why'}")
            if (over := pod.ended(await api.fetch(PODS, order.namespace, name))) is not None:
                return _cut_short(report, over)
            say(_progress(order, report, "", threads))
            await asyncio.sleep(POLL_SECONDS)


def _runs(seen: Object) -> bool:
    return (seen.get("status") or {}).get("phase") == "Running"


class _Patience:
    """Gives up a pod that the same kind of trouble keeps from starting for too long."""

    def __init__(self) -> None:
        self.what = ""
        self._since = 0.0

    def check(self, problem: str) -> None:
        if not self.what or not problem:
            self._since = time.monotonic()
        self.what = problem
        if problem and time.monotonic() - self._since > PATIENCE_SECONDS:
            raise Failure(f"the profiled pod does not start: {problem}")


def _read(order: Order, threads: int | None, lines: list[str]) -> Report:
    return reading.read(lines, cores=pod.processor_limit(order.revision.template), threads=threads)


def _cut_short(report: Report, why: str) -> Report:
    if report.points == 0:
        raise Failure(f"nothing was measured: {why}")
    console.say(f"cut short after {words.plural(report.points, 'point')}: {why}")
    return report


def _measured(order: Order, report: Report) -> Measurements:
    if report.reason:
        remedy = REMEDIES.get(report.reason, "see what it says").replace("NAME", order.name)
        raise Failure(f"{report.problem}; {remedy}")
    assert report.measurements is not None, "a run that ends has begun"
    return report.measurements


def _progress(order: Order, report: Report, waits_for: str, threads: int | None) -> str:
    if report.measurements is None:
        return f"waiting until the model is ready{f': {waits_for}' if waits_for else ''}"
    total = len(order.plan.settings) * len(order.plan.concurrency)
    done = report.points + len(report.measurements.skipped) * len(order.plan.concurrency)
    setting = report.setting.words if report.setting is not None else "the gateway"
    pods = f" ({words.plural(threads, 'thread')})" if threads is not None and not setting.endswith("s") else ""
    return f"measuring {setting}{pods}: point {min(done + 1, total)} of {total}"
