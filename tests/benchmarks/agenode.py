"""Stands in for what a bare API server lacks, for many models: pods are ready at once, endpoints appear, the gateway
programs routes."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import httpx

from sluice_core.kernel.naming import LABEL_OWNER
from tests.benchmarks.agetraffic import Traffic
from tests.integration.operator.node import MANAGER, ROUTE, endpoints, taken
from tests.support.live.kube import Kube, Object

AT_ONCE: Final = 4
COUNTS: Final = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")


@dataclass(slots=True)
class WatchedNode:
    """Works by watches. Traffic follows a route as soon as it is seen, its status as soon as the API server accepts
    it."""

    kube: Kube
    traffic: Traffic
    _writes: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    _ready: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Deployments by namespace and name: whether they have pods."""
    _services: dict[tuple[str, str], Object] = field(default_factory=dict)
    _published: dict[tuple[str, str], bool] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        kinds = {("apps/v1", "Deployment"): self._run, ("v1", "Service"): self._serve, (ROUTE, "HTTPRoute"): self._take}
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._watch, args=(api_version, kind, see, stop), daemon=True)
            for (api_version, kind), see in kinds.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            self._writes.shutdown(cancel_futures=True)

    def _watch(self, api_version: str, kind: str, see: Callable[[Object], None], stop: threading.Event) -> None:
        in_one = self.kube.path({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": "default"}})
        path = in_one.replace("/namespaces/default", "")
        query = {"watch": "1", "labelSelector": LABEL_OWNER}
        while not stop.is_set():
            with contextlib.suppress(httpx.HTTPError), self.kube.http.stream("GET", path, params=query) as answer:
                for line in answer.iter_lines():
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        see({"apiVersion": api_version, "kind": kind, **event["object"]})

    def _run(self, deployment: Object) -> None:
        replicas = deployment["spec"]["replicas"]
        if deployment.get("status", {}).get("readyReplicas", 0) != replicas:
            status = {**dict.fromkeys(COUNTS, replicas), "observedGeneration": deployment["metadata"]["generation"]}
            self._write(lambda: self.kube.patch(deployment, {"status": status}, subresource="/status"))
        with self._lock:
            self._ready[_place(deployment)] = replicas > 0
        self._publish(_place(deployment))

    def _serve(self, service: Object) -> None:
        with self._lock:
            self._services[_place(service)] = service
        self._publish(_place(service))

    def _publish(self, place: tuple[str, str]) -> None:
        with self._lock:
            service, ready = self._services.get(place), self._ready.get(place, False)
            if service is None or self._published.get(place) is ready:
                return
            self._published[place] = ready
        slice_ = endpoints(service, ready=ready)
        self._write(lambda: self.kube.apply(slice_, manager=MANAGER))

    def _take(self, route: Object) -> None:
        backends = route["spec"]["rules"][0]["backendRefs"]
        namespace, model = _place(route)
        self.traffic.route(namespace, model, {each["name"]: each.get("weight", 1) for each in backends})
        generation = route["metadata"]["generation"]
        parents = route.get("status", {}).get("parents") or []
        if not parents or parents[0]["conditions"][0]["observedGeneration"] != generation:
            self._write(lambda: self.kube.patch(route, taken(route), subresource="/status"))

    def _write(self, write: Callable[[], httpx.Response]) -> None:
        """Skips an object that has gone or changed meanwhile."""
        with contextlib.suppress(RuntimeError):  # at the end
            self._writes.submit(write)


def _place(target: Object) -> tuple[str, str]:
    return target["metadata"]["namespace"], target["metadata"]["name"]
