"""A trial of a ServingRuntime: deployed for a while, checked, and restarted under requests.

create ModelDeployment ──Ready──> wrong pod: is it ever ready? ──> client pod: ask, stream ──> delete pod, wait; again
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import installation, temporary
from kubectl_sluice.cli.kube.temporary import Say, TemporaryObject
from kubectl_sluice.cli.profiling import loadcontainer
from kubectl_sluice.offline import conformance
from kubectl_sluice.offline.conformance import RuntimeTrial
from kubectl_sluice.offline.profile import pod
from kubectl_sluice.views.reports.conformance import FirstRequest, Observations, Restart, Stopped, Wrong
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import commands
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.parsing import podproblems
from sluice_core.views import words

POLL_SECONDS: Final = 0.5
WATCH_SECONDS: Final = 20.0
"""How long a wrong model is watched at least; otherwise WATCH_TIMES as long as the right one took."""
WATCH_TIMES: Final = 3
CLIENT_SECONDS: Final = 120.0
"""How long the client's pod may take to its first line."""
SETTLED_SECONDS: Final = 90.0
"""How long the last requests may be in flight after the restart."""
RIGHTS: Final = "a check creates its own ModelDeployment, Service and pods: you need create and delete of all three, and get of pods/log"
PODS: Final = kinds.BY_KIND["Pod"]
SERVICES: Final = kinds.BY_KIND["Service"]
DEPLOYMENTS: Final = kinds.BY_KIND[ModelDeployment.kind]


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """What to try, and how."""

    trial: RuntimeTrial
    path: str
    """The path of a request."""
    payload: bytes | None
    """None: made up from the model's metadata."""
    series: tuple[str, ...]
    rate: float
    ready_seconds: int
    keep: bool

    @property
    def longest_seconds(self) -> int:
        """How long a client that is no longer watched runs at most."""
        return 60 + conformance.REPLICAS * (self.ready_seconds + int(temporary.GONE_SECONDS))


async def observe(api: kubectl.Kubectl, order: CheckOrder, say: Say) -> Observations:
    """The whole trial. Raises `Failure` where it cannot begin."""
    namespace, name = order.trial.namespace, order.trial.name
    made = TemporaryObject(api, DEPLOYMENTS, namespace, name, say)
    with temporary.ending_as_on_ctrl_c():
        await _make_room(made)
        manifest = conformance.trial_deployment(order.trial)
        async with made.made(manifest, refusal=_refusal, keep=order.keep):
            deployment = await api.fetch_deployment(namespace, name)
            return await _TrialRun(api, order, deployment, say).all()


async def _make_room(wanted: TemporaryObject) -> None:
    """Removes the leftovers of an earlier check."""
    try:
        present = await wanted.api.fetch_deployment(wanted.namespace, wanted.name)
    except kubectl.NotFound:
        return
    if not conformance.is_ours(present):
        raise Failure(
            f"there is a ModelDeployment {wanted.name} in {wanted.namespace} that no check created; use another "
            "namespace: -n"
        )
    await wanted.remove_leftover("check")


def _refusal(error: errors.ApiError) -> str:
    return f"{error}; {RIGHTS}" if isinstance(error, errors.Denied) else str(error)


class _TrialRun:
    """One trial in progress."""

    def __init__(self, api: kubectl.Kubectl, order: CheckOrder, deployment: ModelDeployment, say: Say) -> None:
        self._api, self._order, self._deployment, self._say = api, order, deployment, say
        self._namespace, self._name = order.trial.namespace, order.trial.name

    async def all(self) -> Observations:
        ready_seconds, condition = await self._wait_ready()
        revision = next(iter(await self._api.fetch_revisions(self._namespace, self._name)), None)
        observations = Observations(
            template=revision.template if revision is not None else None,
            ready_seconds=ready_seconds,
            condition=condition,
            wanted_series=self._order.series,
        )
        if ready_seconds is None or revision is None:
            return observations
        wrong = await self._try_wrong_model(revision, ready_seconds)
        asked, restart = await self._ask(revision)
        return replace(observations, wrong=wrong, asked=asked, restart=restart)

    async def _wait_ready(self) -> tuple[float | None, str]:
        """(seconds of the slowest pod, None) or (None, why not)."""
        deadline = time.monotonic() + self._order.ready_seconds
        said = "the operator has not reported on it; check that it runs: " + commands.sluice(
            "doctor", namespace=self._namespace
        )
        while time.monotonic() < deadline:
            conditions = {c.type: c for c in (await self._fetch()).status.conditions}
            true = {name for name, each in conditions.items() if each.status == "True"}
            ready = [each for each in await self._pods() if _ready_at(each) is not None]
            if Type.READY in true and len(ready) >= conformance.REPLICAS:
                return max(_start_seconds(each) for each in ready), ""
            # Ready covers one pod; Reconciling says what keeps the other from starting.
            waits_for = Type.RECONCILING if Type.READY in true else Type.READY
            telling = conditions.get(Type.STALLED if Type.STALLED in true else waits_for)
            if telling is not None and telling.message:
                said = f"{telling.reason}: {telling.message}"
            if Type.STALLED in true:
                return None, said
            self._say(f"waiting until it is ready ({said})")
            await asyncio.sleep(POLL_SECONDS)
        return None, f"not ready within {words.span(self._order.ready_seconds)}: {said}"

    async def _try_wrong_model(self, revision: Revision, ready_seconds: float) -> Wrong | None:
        manifest = conformance.wrong_pod(revision, self._deployment)
        if manifest is None:
            return None
        seconds = max(WATCH_SECONDS, WATCH_TIMES * ready_seconds)
        async with self._running(manifest) as name:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                self._say(f"a model of garbage must never be ready: {seconds - passed:.0f} s to go")
                current = await self._api.fetch(PODS, self._namespace, name)
                if _ready_at(current) is not None:
                    return Wrong(was_ready=True, watched_seconds=passed, said="")
                if (ended := pod.ended(current)) is not None:
                    return Wrong(was_ready=False, watched_seconds=passed, said=ended)
                await asyncio.sleep(POLL_SECONDS)
        return Wrong(was_ready=False, watched_seconds=seconds, said="")

    async def _ask(self, revision: Revision) -> tuple[FirstRequest, Restart | None]:
        """The first request and, if it is answered, a restart under a stream of requests."""
        service, client = conformance.client_service(revision, self._deployment), await self._client(revision)
        async with self._running(service, SERVICES), self._running(client) as name:
            self._say("waiting for the first answer")
            events = await self._events_until(name, ("stream", "failed"), CLIENT_SECONDS)
            metrics = events.get("metrics")
            if "failed" in events:
                failed = events["failed"]
                return FirstRequest(str(failed["problem"]), str(failed["reason"]), metrics), None
            if "stream" not in events:
                silence = f"pod {name} does not respond: {events.get('noise') or 'it has not started'}"
                return FirstRequest(silence, "", metrics), None
            return FirstRequest("", "", metrics), await self._restart(name)

    async def _client(self, revision: Revision) -> Object:
        """The pod that sends the requests."""
        image = await loadcontainer.fetch_image(self._api, revision)
        if image is None:
            raise Failure(
                "no image with Python is known for the client; name the namespace of the operator, whose configuration "
                f"has one: {installation.NAME_IT}"
            )
        [*_, one] = await self._pods()
        plan = conformance.stream_plan(
            revision,
            self._deployment,
            path=self._order.path,
            pod_address=str(one["status"]["podIP"]),
            rate=self._order.rate,
            seconds=self._order.longest_seconds,
        )
        container = loadcontainer.generator(
            image, plan=json.dumps(plan), payload=self._order.payload, too_large="give a smaller one"
        )
        return conformance.client_pod(
            revision, self._deployment, container, deadline_seconds=self._order.longest_seconds + 60
        )

    async def _restart(self, client: str) -> Restart:
        """Deletes every pod, one after the other, each once there are enough again."""
        stopped, unfinished = [], ""
        for each in await self._pods():
            name = str(each["metadata"]["name"])
            self._say(f"deleting pod {name} under requests")
            stopped.append(await self._stop(each))
            if not await temporary.until(self._enough_pods, self._order.ready_seconds):
                unfinished = f"no pod became ready in place of {name} within {self._order.ready_seconds} s"
                break
        self._say("waiting for the last answers")
        now = (await self._events(client))["stream"]
        settled = await self._settled(client, float(now["elapsed"]))
        return Restart(int(settled["sent"]), int(settled["lost"]), str(settled["problem"]), stopped, unfinished)

    async def _settled(self, client: str, elapsed: float) -> Mapping[str, Any]:
        """The outcome of all requests sent in the first `elapsed` seconds of the stream."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            now: Mapping[str, Any] = (await self._events(client))["stream"]
            if float(now["settled"]) > elapsed or time.monotonic() > deadline:
                return now
            await asyncio.sleep(POLL_SECONDS)

    async def _stop(self, running: Object) -> Stopped:
        """Deletes a pod and watches it end; the kubelet reports the exit status shortly before the pod is gone."""
        name = str(running["metadata"]["name"])
        began, last = time.monotonic(), running
        await self._api.delete(PODS, self._namespace, name)
        with contextlib.suppress(errors.Missing):
            while time.monotonic() - began < temporary.GONE_SECONDS:
                last = await self._api.fetch(PODS, self._namespace, name)
                await asyncio.sleep(POLL_SECONDS)
        grace = int(running["spec"]["terminationGracePeriodSeconds"])
        return Stopped(name, time.monotonic() - began, grace, _exit_code(last))

    async def _enough_pods(self) -> bool:
        return sum(_ready_at(each) is not None for each in await self._pods()) >= conformance.REPLICAS

    async def _pods(self) -> Sequence[Object]:
        """The pods that serve and are not being deleted."""
        pods = await self._api.fetch_all(PODS, namespace=self._namespace, selector=kubectl.owned_by(self._name))
        return [each for each in pods if "deletionTimestamp" not in each["metadata"]]

    async def _fetch(self) -> ModelDeployment:
        return await self._api.fetch_deployment(self._namespace, self._name)

    @contextlib.asynccontextmanager
    async def _running(self, manifest: Object, kind: kinds.Resource = PODS) -> AsyncIterator[str]:
        """An object that exists as long as the block lasts."""
        name = str(manifest["metadata"]["name"])
        made = TemporaryObject(self._api, kind, self._namespace, name, self._say)
        async with made.made(manifest, refusal=_refusal, keep=self._order.keep):
            yield name

    async def _events_until(self, name: str, wanted: Sequence[str], seconds: float) -> Mapping[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            events = await self._events(name)
            if any(event in events for event in wanted) or time.monotonic() > deadline:
                return events
            await asyncio.sleep(POLL_SECONDS)

    async def _events(self, name: str) -> dict[str, Any]:
        """The client's newest event of each kind; `noise`: its last line that is not an event."""
        events: dict[str, Any] = {}
        for line in (await self._api.fetch_log(self._namespace, name, pod.GENERATOR)).splitlines():
            try:
                event = json.loads(line)
                events[event["event"]] = event
            except (ValueError, TypeError, KeyError):
                events["noise"] = line
        return events


def _ready_at(raw: Object) -> float | None:
    """When a pod became ready; None while it is not."""
    ready = podproblems.condition(raw, "Ready")
    return words.seconds_of(ready["lastTransitionTime"]) if ready.get("status") == "True" else None


def _exit_code(raw: Object) -> int | None:
    """The server's exit code; None while it runs."""
    ended = (podproblems.server_status(raw).get("state") or {}).get("terminated")
    return int(ended["exitCode"]) if ended is not None else None


def _start_seconds(raw: Object) -> float:
    return (_ready_at(raw) or 0.0) - words.seconds_of(str(raw["metadata"]["creationTimestamp"]))
