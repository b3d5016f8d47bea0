"""One namespace of the cluster for a test: deploy, release, steer, look, and report its state on failure."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import yaml

from demo import setup
from demo.cluster import Cluster
from demo.load import LoadClient, Target
from demo.program import DemoError, Tools
from tests.support import patience
from tests.support.live import kube

Object = dict[str, Any]
Found = TypeVar("Found")

POLL_SECONDS: Final = 1.0
POLICY: Final = "e2e"
DEPLOYMENTS: Final = "modeldeployments.sluice.dev"
ROLLOUTS: Final = "modelrollouts.sluice.dev"
SLUICE: Final = "/apis/sluice.dev/v1alpha1"
OPERATOR: Final = "deployment/sluice"
LOG_LINES: Final = 40
ANSWER_SECONDS: Final = 15
"""After which the gateway gives up a request: each step's proofs wait this long for answers in flight."""


def _client(kubeconfig: Path | None) -> httpx.Client:
    """One client, until a restarted cluster has other credentials."""
    if kubeconfig is None:
        raise DemoError("no kubeconfig: tests run on a cluster that they know")
    return _client_of(kubeconfig, kubeconfig.stat().st_mtime_ns)


@cache
def _client_of(kubeconfig: Path, _changed: int) -> httpx.Client:
    return kube.client(kubeconfig)


def wait_until(look: Callable[[], Found | None], what: str, *, seconds: float = 0) -> Found:
    """The first true answer of `look`. Fails with a description of what it waited for. seconds: the expected time."""
    limit = patience.seconds(seconds)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"not within {limit:.0f} s: {what}")


def uri(version: str) -> str:
    """Where the fixtures put a model."""
    return f"s3://{setup.BUCKET}/{setup.NAME}/{version}"


@dataclass(frozen=True, slots=True)
class Scene:
    """A namespace with the credentials Secret in it."""

    cluster: Cluster
    namespace: str

    @property
    def tools(self) -> Tools:
        return self.cluster.tools

    @property
    def where(self) -> str:
        return f"--namespace={self.namespace}"

    def apply(self, *objects: Object) -> None:
        """Into this namespace, unless an object names another one."""
        homed = ({**one, "metadata": {"namespace": self.namespace, **one["metadata"]}} for one in objects)
        self.tools.apply(yaml.safe_dump_all(list(homed)))

    def deploy(self, name: str, version: str, **spec: Any) -> None:
        """A ModelDeployment of the version; `spec` is merged over the default, key by key."""
        self.apply(manifest(name, version, **spec))

    def deployment(self, name: str) -> Object:
        return self._read(SLUICE, f"modeldeployments/{name}")

    def rollout(self, name: str) -> Object:
        return self._read(SLUICE, f"modelrollouts/{name}")

    def rollout_status(self, name: str) -> Object:
        """Empty until the operator has written it for the first time."""
        status: Object = self.rollout(name).get("status", {})
        return status

    def rollouts(self, model: str) -> list[Object]:
        """Those of one ModelDeployment, oldest first."""
        items: list[Object] = self._read(SLUICE, "modelrollouts")["items"]
        return sorted(
            (i for i in items if i["spec"]["modelDeployment"] == model), key=lambda i: int(i["spec"]["sequence"])
        )

    def condition(self, name: str, type_: str) -> Object:
        """The condition, or an empty object."""
        conditions = self.deployment(name).get("status", {}).get("conditions", [])
        return next((entry for entry in conditions if entry["type"] == type_), {})

    def wait_condition(
        self, name: str, type_: str, test: Callable[[Object], bool], what: str, *, seconds: float = 0
    ) -> Object:
        """The condition of a ModelDeployment once it exists and the test holds."""
        return wait_until(
            lambda: found if (found := self.condition(name, type_)) and test(found) else None,
            f"{name}: {what}",
            seconds=seconds,
        )

    def stable(self, name: str) -> str:
        """The revision that serves."""
        return str(self.deployment(name)["status"]["stable"]["revision"])

    def pods(self, name: str) -> list[Object]:
        """Of the model."""
        return list(self._read("/api/v1", "pods", labelSelector=f"sluice.dev/model-deployment={name}")["items"])

    def ready_pods(self, name: str) -> list[str]:
        """Names of pods that are ready and not terminating."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(name)
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        ]

    def metric(self, pod: str, port: int, series: str) -> float:
        """The sum of a pod's metrics over all series with this prefix."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/metrics"
        lines = self.tools.kubectl("get", "--raw", path).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))

    def wait_only_stable_runs(self, name: str, seconds: float = 0) -> None:
        """Waits until all pods of other versions are gone, and with them their last answers."""

        def running() -> set[str]:
            return {pod["metadata"]["labels"].get("sluice.dev/revision", "") for pod in self.pods(name)}

        wait_until(lambda: running() == {self.stable(name)}, "only the stable version runs", seconds=seconds)

    def wait_ready(self, name: str, seconds: float = 0) -> None:
        wait_until(lambda: self.condition(name, "Ready").get("status") == "True", f"{name} is Ready", seconds=seconds)

    def patch(self, name: str, spec: Object) -> None:
        patch = json.dumps({"spec": spec})
        self.tools.kubectl("patch", DEPLOYMENTS, name, self.where, "--type=merge", f"--patch={patch}")

    def ask_for(
        self, name: str, version: str, steps: Sequence[int] = (), objectives: Sequence[Object] | None = None
    ) -> None:
        """The one-line change of a release; with its own weights or objectives instead of the policy's."""
        canary = {"steps": [{"weight": weight} for weight in steps]} if steps else None
        rollout = {"canary": canary, "objectives": objectives}
        self.patch(name, {"model": {"uri": uri(version)}, "rollout": rollout})

    def release(
        self, name: str, version: str, steps: Sequence[int] = (), objectives: Sequence[Object] | None = None
    ) -> str:
        """Requests a version; returns the ModelRollout that began for it."""
        return self.begun(name, lambda: self.ask_for(name, version, steps, objectives), version)

    def begun(self, name: str, act: Callable[[], object], version: str) -> str:
        """The new ModelRollout to the version that an act leads to."""
        return self.begun_by(name, act, lambda rollout: bool(rollout["spec"]["to"]["uri"] == uri(version)))

    def begun_by(
        self,
        name: str,
        act: Callable[[], object],
        wanted: Callable[[Object], bool] = lambda _: True,
        *,
        seconds: float = 0,
    ) -> str:
        """The new ModelRollout that an act leads to."""
        last = max((one["spec"]["sequence"] for one in self.rollouts(name)), default=0)
        act()

        def newest() -> str | None:
            new = [one for one in self.rollouts(name) if one["spec"]["sequence"] > last]
            return next((str(one["metadata"]["name"]) for one in new if wanted(one)), None)

        return wait_until(newest, f"a rollout of {name} begins", seconds=seconds)

    def wait_status(self, rollout: str, test: Callable[[Object], bool], what: str, *, seconds: float = 0) -> Object:
        """The rollout's status once the test holds."""
        return wait_until(
            lambda: status if test(status := self.rollout_status(rollout)) else None,
            f"{rollout}: {what}",
            seconds=seconds,
        )

    def wait_outcome(self, rollout: str, seconds: float = 180) -> Object:
        """Its status once it has ended, and the model's status says so: the operator writes that last, after the
        routes."""
        status = self.wait_status(rollout, lambda status: bool(status.get("outcome")), "ends", seconds=seconds)
        model = self.rollout(rollout)["spec"]["modelDeployment"]

        def told() -> bool:
            return rollout in {one["name"] for one in self.deployment(model)["status"].get("lastRollouts", ())}

        wait_until(told, f"{model} tells that {rollout} has ended")
        return status

    def wait_weight(self, rollout: str, at_least: int = 1, seconds: float = 0) -> Object:
        return self.wait_status(
            rollout, lambda status: status.get("weight", 0) >= at_least, f"weight {at_least} or more", seconds=seconds
        )

    def plugin(self, action: str, name: str, *arguments: str) -> str:
        return self.tools.plugin(action, name, self.where, *arguments)

    def events(self, name: str) -> list[Object]:
        """Events about one ModelDeployment."""
        items: list[Object] = self.tools.get("events", self.where, f"--field-selector=involvedObject.name={name}")[
            "items"
        ]
        return [event for event in items if event["involvedObject"]["kind"] == "ModelDeployment"]

    def target(self, name: str) -> Target:
        """How requests reach the model."""
        url = self.deployment(name)["status"]["url"]
        return Target(self.cluster.gateway, url.removeprefix("http://"), name)

    def serving(self, name: str, client: LoadClient) -> LoadClient:
        """Makes Prometheus scrape the client's counters, beside this model."""
        setup.connect_feedback(self.cluster, client, self.namespace)
        return client

    def _read(self, group: str, what: str, **query: str) -> Object:
        """Without kubectl, which takes more of the processor than all that it asks for. Raises DemoError."""
        path, http = f"{group}/namespaces/{self.namespace}/{what}", _client(self.tools.kubeconfig)
        try:
            try:
                answer = http.get(path, params=query)
            except httpx.TransportError:  # connections from before the API server's last restart
                answer = http.get(path, params=query)
            found: Object = answer.raise_for_status().json()
        except httpx.HTTPError as error:
            raise DemoError(f"{path}: {error}") from error
        return found

    def dump(self) -> str:
        """Everything that helps to understand a failure."""
        return "\n".join(f"--- kubectl {' '.join(command)}\n{self._said(command)}" for command in self._looks())

    def _looks(self) -> tuple[tuple[str, ...], ...]:
        operator = f"--namespace={setup.OPERATOR_NAMESPACE}"
        return (
            ("get", "pods,httproutes,services", self.where, "--output=wide"),
            ("get", "events", self.where, "--sort-by=.lastTimestamp"),
            ("get", f"{DEPLOYMENTS},{ROLLOUTS}", self.where, "--output=yaml"),
            ("get", "pods", operator, "--output=wide"),
            ("logs", OPERATOR, operator, f"--tail={LOG_LINES}"),
        )

    def _said(self, command: tuple[str, ...]) -> str:
        try:
            return self.tools.kubectl(*command)
        except DemoError as error:
            return str(error)


def manifest(name: str, version: str, **spec: Any) -> Object:
    """A ModelDeployment for tests: small, fast to drain, judged by the tests' policy."""
    usual: Object = {
        "model": {
            "name": name,
            "format": "onnx",
            "uri": uri(version),
            "credentialsSecretRef": {"name": setup.CREDENTIALS_SECRET},
        },
        "drainSeconds": 5,
        "routing": {"timeouts": {"request": f"{ANSWER_SECONDS}s"}},  # how long proofs wait for answers in flight
        "rollout": {"policyRef": {"name": POLICY}},
    }
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": merged(usual, spec),
    }


def merged(under: Object, over: Object) -> Object:
    """Merged key by key; None removes a key."""
    both = {key: merged(under[key], over[key]) for key in under.keys() & over.keys() if isinstance(over[key], dict)}
    return {key: value for key, value in {**under, **over, **both}.items() if value is not None}
