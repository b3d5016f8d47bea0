"""A namespace with revisions of a model behind one gateway, and routes that are written as Sluice writes them.

The operator does not take part: what is tried is the gateway, with the very routes of `core.render.route` and the very
steps of `core.rollout.weights`.
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import grpc
import yaml

from demo.cluster import Cluster
from lab import images
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.routing import Exposed
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths, Route
from sluice_core.parsing import routes
from sluice_core.render import common
from sluice_core.render.traffic import route
from sluice_core.render.traffic.service import NO_ADDRESS
from sluice_core.rollout.routing import address, weights
from sluice_judge import judge
from sluice_judge.judgement import Judgement
from sluice_judge.model import Answered, Arm, Question, Series
from sluice_judge.presets import GatewayPreset
from sluice_judge.samples import columns, selectors
from tests.e2e.gateways import backend, grpcbackend
from tests.e2e.gateways.traffic import Address
from tests.support import patience
from tests.support.groups import replaced
from tests.support.live.scene import wait_until
from tests.support.simulated.trials import ERRORS, make_trial

Object = dict[str, Any]
MODEL: Final = "digits"
HTTP_ROUTES: Final = "httproutes.gateway.networking.k8s.io"
REVISIONS: Final = ("digits-aaa", "digits-bbb", "digits-ccc", "digits-ddd")
REFUSING: Final = "digits-refusing"
"""A Service with a ready endpoint on which nobody listens."""
EMPTY: Final = "digits-empty"
"""A Service without endpoints."""
NOBODY: Final = "nobody"
"""An app without pods."""
OBSERVER: Final = naming.observer_name(MODEL)
"""The Service of whoever gets copies beside a candidate."""
HEADER: Final = ("x-sluice-candidate", "always")
TIMEOUT_SECONDS: Final = 5
"""Of the route: less than a slow answer takes, and more than a busy machine."""
LOOK_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 2.0
"""Longer than a dropped connection takes to be tried again."""
READY_SECONDS: Final = 240
SCRAPED_SECONDS: Final = 30
EXPOSED: Final = Exposed.model_validate(
    {
        "paths": [{"type": "Exact", "value": "/"}, {"type": "Exact", "value": "/fail"}, {"value": "/slow"}],
        "methods": [{"service": grpcbackend.SERVICE, "method": name} for name in ("Say", "Fail")],
    }
)
"""All but one path and one method of the server."""
GRPC_FITS: Final = images.PYTHON_BASE.endswith(f":{sys.version_info.major}.{sys.version_info.minor}")
"""Whether the Pods' Python can import the grpcio of this environment."""


@dataclass
class Field:
    """One gateway with the model's revisions behind it."""

    cluster: Cluster
    preset: GatewayPreset
    gateway: tuple[str, str]
    """(namespace, name)."""
    url: str
    paths: Paths = field(default_factory=lambda: Paths(()))
    """As last written."""
    speaking: frozenset[str] = frozenset()
    """The revisions that the routes take for ones that speak gRPC."""

    @property
    def namespace(self) -> str:
        return f"e2e-gateway-{self.preset.name}"

    @property
    def where(self) -> str:
        return f"--namespace={self.namespace}"

    @property
    def address(self) -> Address:
        return Address(self.url, f"{MODEL}.{self.namespace}.example.com")

    def prepare(self) -> None:
        """The namespace with ready revisions."""
        images.bring_to_node(images.PYTHON_BASE)
        self.cluster.tools.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=240s")
        self.cluster.tools.kubectl("create", "namespace", self.namespace)
        self.apply(_scripts(), *(each for name in REVISIONS for each in _revision(name)))
        self.apply(_service(REFUSING, REVISIONS[0], target_port=9), _service(EMPTY, NOBODY, target_port=backend.PORT))
        self.observe(REVISIONS[2])
        timeout = f"--timeout={READY_SECONDS}s"
        self.cluster.tools.kubectl("wait", "pods", "--all", "--for=condition=Ready", self.where, timeout)

    def observe(self, app: str, *, target_port: int = backend.PORT) -> None:
        """From now on these are the pods of the observer."""
        self.apply(_service(OBSERVER, app, target_port))

    def remove(self) -> None:
        self.cluster.tools.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def apply(self, *objects: Object) -> None:
        homed = ({**one, "metadata": {**one["metadata"], "namespace": self.namespace}} for one in objects)
        self.cluster.tools.apply(yaml.safe_dump_all(homed))

    def write(self, paths: Paths) -> None:
        """One write of the route; returns when the gateway has accepted it."""
        self._apply_routes(paths)
        self.paths = paths
        deadline = time.monotonic() + patience.HANG_SECONDS
        while not self.programmed():
            assert time.monotonic() < deadline, f"not programmed: {list(self._conditions())}"
            time.sleep(LOOK_SECONDS)

    def speak(self, revisions: Collection[str]) -> None:
        """From now on these speak gRPC: there is a GRPCRoute beside the HTTPRoute, in whatever is written."""
        self.speaking = frozenset(revisions)
        self.write(self.paths)

    def go(self, shares: Mapping[str, int], *, leaving: frozenset[str] = frozenset(), **further: Any) -> None:
        """The way of `weights.target` to the wanted shares, settling in between as the operator does."""
        while True:
            seen = Route(self.paths, generation=1, programmed=True) if self.paths.weights else None
            target = weights.target(route=seen, shares=shares, leaving=leaving, positional=self.preset.positional)
            wanted = replace(Paths(target.weights), **further)
            if wanted == self.paths:
                return
            self.write(wanted)
            if target.intermediate:
                self.settle()

    def settle(self) -> None:
        """As long as the operator leaves an intermediate state alone."""
        time.sleep(max(address.SETTLE_SECONDS, self.preset.settle_seconds))

    def pass_on(self) -> None:
        """As long as the gateway may take to use what it has accepted."""
        time.sleep(self.preset.settle_seconds)

    def served(self, revision: str, path: str = "/") -> int:
        """Requests that reached the revision's server, copies included."""
        pod = self.cluster.tools.get("pod", revision, self.where)
        with urllib.request.urlopen(
            f"http://{pod['status']['podIP']}:{backend.PORT}/count", timeout=patience.HANG_SECONDS
        ) as response:
            return int(json.load(response).get(path, 0))

    def served_in_the_end(self, revision: str) -> int:
        """The same, once nothing more arrives: a copy may still be on its way when its original is answered."""
        seen, before = self.served(revision), -1
        while seen != before:
            time.sleep(QUIET_SECONDS)
            seen, before = self.served(revision), seen
        return seen

    def counted(self, arm: Arm) -> dict[str, int]:
        """What Prometheus has of an arm, by code, with the preset's selector."""
        apart = self.preset.mirror_requests if arm.mirrored else ""
        return self._counted(arm, apart or self.preset.requests, self.preset.code_label, str)

    def counted_calls(self, arm: Arm) -> dict[str, int]:
        """The same of gRPC calls, by `grpc-<status>`; nothing where the preset knows no counters of them."""
        selector, pattern = self.preset.grpc_requests, self.preset.grpc_status_pattern
        if selector is None:
            return {}
        return self._counted(
            arm,
            selector,
            self.preset.grpc_status_label,
            lambda label: columns.grpc_status(label, pattern),
        )

    def _counted(self, arm: Arm, selector: str, label: str, what: Callable[[str], str]) -> dict[str, int]:
        trial = replace(make_trial(preset=self.preset), namespace=self.namespace, name=MODEL)
        found: Counter[str] = Counter()
        owner = selectors.matchers(trial, selector, arm)
        for one in self._query(selectors.filled(trial, selector, (arm,))):
            if not selectors.belongs(one["metric"], owner):
                continue
            found[what(one["metric"][label])] += round(float(one["value"][1]))
        return dict(found)

    def judged(self, stable: str, candidate: str, state: str | None) -> Judgement:
        """What the judge makes of the gateway's series now."""
        trial = replaced(
            make_trial(
                preset=self.preset, stable=self.arm(stable), candidate=self.arm(candidate), objectives=(ERRORS,)
            ),
            now=time.time(),
            namespace=self.namespace,
            name=MODEL,
            state=state,
        )
        return judge.judge(trial, {asked.key: self._answer(asked) for asked in judge.questions(trial)})

    def _answer(self, asked: Question) -> Answered:
        resolution = "" if asked.step_seconds is None else f":{asked.step_seconds}s"
        found = self._query(f"{asked.selector}[{asked.window_seconds}s{resolution}]")
        return Answered(
            tuple(
                Series(one["metric"], tuple((float(time), float(value)) for time, value in one["values"]))
                for one in found
            )
        )

    def scraped(self) -> None:
        """Returns when Prometheus has a sample of the gateway that is younger than this call."""
        now = time.time()
        wait_until(
            lambda: any(
                float(one["value"][1]) > now for one in self._query(f"min(timestamp({self.preset.freshness}))")
            ),
            "the gateway is scraped",
            seconds=SCRAPED_SECONDS,
        )

    def _query(self, query: str) -> list[Object]:
        url = f"{self.cluster.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=patience.HANG_SECONDS) as response:
            found: list[Object] = json.load(response)["data"]["result"]
        return found

    def arm(self, revision: str) -> Arm:
        """The revision as the judge looks for it."""
        position = next((i for i, (name, weight) in enumerate(self.paths.weights) if name == revision and weight), 0)
        rules = tuple(routes.rules_of(self.cluster.tools.get(HTTP_ROUTES, MODEL, self.where)))
        ports = naming.SERVICE_PORT, naming.GRPC_SERVICE_PORT
        return Arm(revision, revision, *ports, position=position, rules=rules)

    def _apply_routes(self, paths: Paths) -> None:
        manifests = route.desired_routes(
            self._deployment(), OperatorConfig(), paths, grpc=self.speaking, exposed=[EXPOSED], test=_ab_test()
        )
        # Without the owner, which does not exist here.
        self.apply(*({**one, "metadata": {"name": one["metadata"]["name"]}} for one in manifests))

    def _deployment(self) -> ModelDeployment:
        namespace, name = self.gateway
        routing = {
            "gatewayRef": {"name": name, "namespace": namespace},
            "hostnames": [self.address.host],
            "timeoutSeconds": TIMEOUT_SECONDS,
            "candidateHeader": {"name": HEADER[0], "value": HEADER[1]},
        }
        return ModelDeployment.model_validate(
            {
                "metadata": {"name": MODEL, "namespace": self.namespace},
                "spec": {"model": {"format": "onnx", "uri": "s3://models/digits/1"}, "routing": routing},
            }
        )

    def _conditions(self) -> Iterator[list[Object]]:
        """Of each route at its newest generation."""
        for protocol in (route.HTTP, route.GRPC) if self.speaking else (route.HTTP,):
            kind = f"{protocol.kind.lower()}s.gateway.networking.k8s.io"
            found = self.cluster.tools.get(kind, f"{MODEL}{protocol.name_suffix}", self.where)
            parents = found.get("status", {}).get("parents", [])
            generation = found["metadata"]["generation"]
            yield [c for parent in parents for c in parent["conditions"] if c.get("observedGeneration") == generation]

    def programmed(self) -> bool:
        """Whether the gateway has accepted the newest routes, and resolved all that they lead to."""
        return all(
            {"Accepted", "ResolvedRefs"} <= {condition["type"] for condition in found if condition["status"] == "True"}
            for found in self._conditions()
        )


def _ab_test() -> ABTestRules:
    """A test of all revisions, whoever of them is stable or has ended: users are bound by a cookie."""
    ends = ({"revision": name, "inputHash": name, "uri": f"s3://{name}"} for name in REVISIONS)
    arms = [{"name": end["revision"], "weight": 20, "to": end} for end in ends]
    rules = {"assignment": {"type": "Cookie"}, "metric": "clicks", "maximumSeconds": 600, "onWinner": "Report"}
    return ABTestRules.model_validate({"arms": arms, **rules})


def _scripts() -> Object:
    texts = {f"{each.__name__.rpartition('.')[2]}.py": _text(each) for each in (backend, grpcbackend)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": texts}


def _text(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text()


def _revision(name: str) -> tuple[Object, ...]:
    """A pod, and its Services: its own, and those for requests that are counted apart."""
    server = _container(name, "backend") | {
        "readinessProbe": {"httpGet": {"path": "/count", "port": backend.PORT}, "periodSeconds": 1},
    }
    callee = _container(name, "grpcbackend") | {
        "readinessProbe": {"tcpSocket": {"port": grpcbackend.PORT}, "periodSeconds": 1},
    }
    site = {"name": "site", "hostPath": {"path": str(Path(grpc.__file__).parents[1])}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "containers": [server, callee] if GRPC_FITS else [server],
            "volumes": [{"name": "scripts", "configMap": {"name": "scripts"}}, site],
            "terminationGracePeriodSeconds": 1,
        },
    }
    services = (
        _service(naming.service_name(name, suffix), name, backend.PORT) for suffix in ("", common.MIRROR, common.HEADER)
    )
    return pod, *services


def _container(revision: str, script: str) -> Object:
    return {
        "name": script,
        "image": images.PYTHON_BASE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", f"/srv/{script}.py"],
        "env": [{"name": "REVISION", "value": revision}, {"name": "PYTHONPATH", "value": "/site"}],
        "volumeMounts": [
            {"name": "scripts", "mountPath": "/srv"},
            {"name": "site", "mountPath": "/site", "readOnly": True},
        ],
        "resources": {"requests": {"cpu": "10m"}},
    }


def _service(name: str, app: str, target_port: int) -> Object:
    http = {"name": "http", "port": naming.SERVICE_PORT, "targetPort": target_port}
    calls = {"name": "grpc", "port": naming.GRPC_SERVICE_PORT, "targetPort": grpcbackend.PORT}
    spec = {
        "clusterIP": NO_ADDRESS,
        "selector": {"app": app},
        "ports": [http, {**calls, "appProtocol": "kubernetes.io/h2c"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
