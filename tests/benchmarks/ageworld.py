"""A world in which a bad version harms users until it is out, alone and beside many releases.

models ──> API server (real) <──> operator (real), with ageprobe
                │                       │
             agenode                Prometheus (real)
   routes ──> agetraffic ──scraped every 5 s──┘
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from demo.progress import say
from lab import apiserver
from tests.benchmarks import agetraffic, fakemodels
from tests.benchmarks.agenode import WatchedNode
from tests.benchmarks.agetraffic import Traffic
from tests.benchmarks.burst import SCRAPE_SECONDS
from tests.integration import conftest
from tests.integration.operator.conftest import give_gateway
from tests.integration.prometheus import conftest as prometheus
from tests.support.live import process
from tests.support.live.kube import Kube, Object
from tests.support.live.process import OperatorProcess
from tests.support.simulated import scenarios

NAMESPACE: Final = "bench-age"
BAD: Final = "bad"
BAD_RATE: Final = 100.0
"""Requests a second to the model whose version turns bad."""
STEP: Final = 25
GATHER_SECONDS: Final = 20.0
"""How long the version has traffic before it turns bad."""
LIMIT_SECONDS: Final = 600.0
POLICY: Final = "bench-age"
STAYS: Final = "bench-age-stays"
OBJECTIVES: Final = [each for each in scenarios.OBJECTIVES if each["name"] != "latency"]
"""An objective of the gateway's counts, and a user's own query."""


def policies() -> Iterator[Object]:
    """The policy of the burst, whose releases advance from step to step; and that of the bad release, which stays where
    it is."""
    steps = {
        POLICY: [{"weight": each} for each in (5, 25, 50, 100)],
        STAYS: [{"weight": STEP, "minimumSeconds": 80_000}, {"weight": 100}],
    }
    for name, each in steps.items():
        spec = {
            "maximumRequestsAtRisk": 0,
            "scrapeIntervalSeconds": SCRAPE_SECONDS,
            "bakeSeconds": 30,
            "objectives": OBJECTIVES,
            "steps": each,
        }
        yield {
            "apiVersion": "sluice.dev/v1alpha1",
            "kind": "RolloutPolicy",
            "metadata": {"name": name},
            "spec": {**spec, "progressDeadlineSeconds": 86_400},
        }


@dataclass(frozen=True, slots=True)
class Harm:
    """The harm of a version from when it turned bad until it was out."""

    how: str
    requests: float
    seconds: float


@dataclass(slots=True)
class World:
    """Serving models, one of which is released again and again."""

    kube: Kube
    traffic: Traffic
    operator: OperatorProcess
    versions: int = 1

    def model(self, name: str, version: int) -> Object:
        target = fakemodels.manifest(0, fakemodels.CUSTOM)
        target["metadata"] = {"name": name, "namespace": NAMESPACE}
        target["spec"]["model"]["uri"] = f"s3://models/{name}/{version}"
        target["spec"]["drainSeconds"] = 1
        target["spec"]["rollout"] = {"policyRef": {"name": STAYS if name == BAD else POLICY}}
        return target

    def apply(self, names: Sequence[str], version: int) -> None:
        with ThreadPoolExecutor(4) as beside:
            for answer in beside.map(lambda name: self.kube.apply(self.model(name, version), manager="user"), names):
                answer.raise_for_status()

    def shares(self, model: str) -> Mapping[str, float]:
        return self.traffic.shares(NAMESPACE, model)

    def harm(self, how: str) -> Harm:
        """Releases a version that turns bad, and follows it until it is out."""
        (stable,) = self.shares(BAD)
        self.versions += 1
        self.apply([BAD], self.versions)
        candidate = wait(lambda: next((each for each in self.shares(BAD) if each != stable), ""), "traffic")
        wait(lambda: self.shares(BAD).get(candidate, 0) >= STEP / 100, "its step")
        time.sleep(GATHER_SECONDS)
        self.traffic.turn(candidate, how)
        wait(lambda: candidate not in self.shares(BAD), "its end")
        version = self.traffic.versions[candidate]
        found = Harm(how, version.harmed, version.out - version.turned)
        say(f"{how}: {found.requests:.0f} requests in {found.seconds:.1f} s")
        return found

    def ages(self) -> list[float]:
        """In seconds, for each decision written so far."""
        lines = self.operator.log.with_suffix(".out").read_text().splitlines()
        return [json.loads(line)["age"] for line in lines]

    def running(self) -> int:
        """Releases without an outcome."""
        items = (
            self.kube.http.get(f"/apis/sluice.dev/v1alpha1/namespaces/{NAMESPACE}/modelrollouts")
            .raise_for_status()
            .json()["items"]
        )
        return sum(not each.get("status", {}).get("outcome") for each in items)


def wait(look: Callable[[], Any], what: str, seconds: float = LIMIT_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def world(folder: Path, models: int) -> Iterator[World]:
    """models: those that serve, beside the one that turns bad."""
    server = apiserver.start(folder / "control-plane")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        kube = stack.enter_context(Kube.connected(server.kubeconfig))
        kube.install_crds(conftest.definitions())
        for document in (*conftest.rendered("--set", "createNamespace=true"), *policies()):
            kube.apply(document, manager="helm").raise_for_status()
        give_gateway(kube)
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, manager="user")
        traffic = Traffic({BAD: BAD_RATE})
        config = folder / "prometheus.yml"
        config.write_text(stack.enter_context(agetraffic.served(traffic)))
        url = stack.enter_context(prometheus.running(config, folder / "data"))
        stack.enter_context(WatchedNode(kube, traffic).running())
        settings = yaml.safe_dump({"domain": "models.test", "prometheusUrl": url})
        started = process.running(server.kubeconfig, folder, config=settings, module="tests.benchmarks.ageprobe")
        found = World(kube, traffic, stack.enter_context(started))
        names = [BAD, *good(models)]
        found.apply(names, 1)
        wait(lambda: sum(bool(found.shares(name)) for name in names) == len(names), "all serve", 1200)
        wait(lambda: found.running() == 0, "all are promoted", 1200)
        yield found


def good(models: int) -> list[str]:
    return [f"m{number:03}" for number in range(models)]
