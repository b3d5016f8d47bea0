"""From `kubectl apply` to the first answer: a ModelDeployment against the same Deployment written by hand."""

import json
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from demo import chat, digits, setup
from demo.cluster import Cluster
from demo.progress import step
from tests.benchmarks import report, surroundings
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live.scene import DEPLOYMENTS, Scene, manifest, wait_until

Object = dict[str, Any]

SERVED: Final = "digits"
"""The name of the model in all of them: their pods are the same."""
MOST_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 120.0
GONE_SECONDS: Final = 120.0
METHOD: Final = f"""\
The images are on the node, the model is in the object store. *Sluice*: a ModelDeployment is applied. *By hand*: a Deployment with the very pod
template that Sluice renders, a Service and an HTTPRoute are applied, in one command. The time runs from the start of
`kubectl apply` to the first byte of the model's first answer 200 through the gateway, which is polled every
{POLL_SECONDS * 1000:.0f} ms. The two are measured in pairs, in alternating order; what was measured is deleted before the next."""


@dataclass(frozen=True, slots=True)
class Options:
    pairs: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, and how to send it requests."""

    key: str
    """Of the section."""
    answer: str
    """The name of its first version."""
    method: str
    prepare: Callable[[Cluster], None]
    spec: Object
    """The ModelDeployment's fields beside the common ones."""
    path: str
    body: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds from apply to the first prediction."""

    sluice: float
    by_hand: float

    @property
    def beyond(self) -> float:
        return self.sluice - self.by_hand


@dataclass(frozen=True, slots=True)
class Pattern:
    """Sluice's objects for the model, which the hand-written ones copy."""

    template: Object
    """The pods'."""
    parents: Sequence[Object]
    """The Gateway, as a route refers to it."""


def measure(cluster: Cluster, options: Options, subject: Subject) -> Section:
    machine = report.machine(cluster.tools)
    subject.prepare(cluster)
    with surroundings.scene(cluster, subject.key) as scene:
        pattern = _pattern(scene, subject)
        with step(f"{options.pairs} pairs"):
            pairs = [_pair(scene, number, pattern, subject) for number in range(options.pairs)]
    return section(pairs, machine, subject)


def _digits(cluster: Cluster) -> None:
    surroundings.upload(cluster, {"v2": setup.prepared_models()["v2"]})


def _an_image() -> bytes:
    _, held_out = digits.split()
    return digits.infer_bodies(held_out)[0]


def _chat(cluster: Cluster) -> None:
    chat.prepare(cluster)
    setup.upload(cluster, chat.made_models())


def _a_question() -> bytes:
    asked = {"model": SERVED, "stream": True, "max_tokens": 8, "messages": [{"role": "user", "content": "Say a word."}]}
    return json.dumps(asked).encode()


TRITON: Final = Subject(
    key="start",
    answer="prediction",
    method="One pod serves v2 of the [demo's models](../README.md) on Triton's Python backend.",
    prepare=_digits,
    spec={"model": {"name": SERVED}},
    path=f"/v2/models/{SERVED}/infer",
    body=_an_image,
)
LLAMACPP: Final = Subject(
    key="start-llm",
    answer="token",
    method="One pod serves the small language model of `make demo SCENARIO=llm` on llama.cpp, which streams its answer.",
    prepare=_chat,
    spec={"model": {"name": SERVED, "format": "gguf", "uri": chat.uri("1")}},
    path="/v1/chat/completions",
    body=_a_question,
)


def section(pairs: Sequence[Pair], machine: Sequence[str], subject: Subject) -> Section:
    beyond = statistics.median(pair.beyond for pair in pairs)
    columns = ("seconds", "median", "smallest", "largest")
    found = {
        "Sluice": [pair.sluice for pair in pairs],
        "by hand": [pair.by_hand for pair in pairs],
        "difference of a pair": [pair.beyond for pair in pairs],
    }
    rows = [
        (name, f"{statistics.median(times):.2f}", f"{min(times):.2f}", f"{max(times):.2f}")
        for name, times in found.items()
    ]
    name = f"apply to first {subject.answer} beyond the same by hand, median of {len(pairs)} pairs"
    return Section(
        key=subject.key,
        title=f"From apply to the first {subject.answer}",
        method=f"{subject.method} {METHOD}",
        figures=(Figure(name, f"{beyond:.2f} s", f"≤ {MOST_SECONDS:.0f} s", beyond <= MOST_SECONDS),),
        tables=(Table(columns, rows),),
        machine=machine,
    )


def _deployment(scene: Scene, name: str, subject: Subject) -> Object:
    rollout = {"policyRef": {"name": surroundings.POLICY}}
    return manifest(name, "2", rollout=rollout, routing={"hostnames": [_host(scene, name)]}, **subject.spec)


def _pattern(scene: Scene, subject: Subject) -> Pattern:
    name = "pattern"
    scene.apply(_deployment(scene, name, subject))
    scene.wait_ready(name, seconds=LONGEST_SECONDS)
    [deployment] = scene.tools.get("deployments", scene.where)["items"]
    [route] = scene.tools.get("httproutes", scene.where)["items"]
    _remove(scene, DEPLOYMENTS, name)
    return Pattern(deployment["spec"]["template"], route["spec"]["parentRefs"])


def _pair(scene: Scene, number: int, pattern: Pattern, subject: Subject) -> Pair:
    def sluice() -> float:
        name = f"sluice-{number}"
        seconds = _seconds(scene, name, subject, [_deployment(scene, name, subject)])
        _remove(scene, DEPLOYMENTS, name)
        return seconds

    def by_hand() -> float:
        name = f"hand-{number}"
        seconds = _seconds(scene, name, subject, by_hand_objects(name, _host(scene, name), pattern))
        _remove(scene, "deployments,services,httproutes", name)
        return seconds

    if number % 2:
        later = by_hand()
        return Pair(sluice(), later)
    return Pair(sluice(), by_hand())


def by_hand_objects(name: str, host: str, pattern: Pattern) -> list[Object]:
    """The objects that one writes without Sluice."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": dict(pattern.template["spec"])}
    del template["spec"]["topologySpreadConstraints"]  # they name the pattern's revision
    port = template["spec"]["containers"][0]["ports"][0]["containerPort"]
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": port}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name},
            "spec": {
                "parentRefs": list(pattern.parents),
                "hostnames": [host],
                "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
            },
        },
    ]


def _host(scene: Scene, name: str) -> str:
    return f"{name}.{scene.namespace}.models.local"


def _seconds(scene: Scene, name: str, subject: Subject, objects: Sequence[Object]) -> float:
    """From apply to the first answer."""
    body, host = subject.body(), _host(scene, name)
    began = time.monotonic()
    scene.apply(*objects)
    while not _answers(scene, host, subject.path, body):
        if time.monotonic() - began > LONGEST_SECONDS:
            raise AssertionError(f"{name} does not answer within {LONGEST_SECONDS:.0f} s:\n{scene.dump()}")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


def _answers(scene: Scene, host: str, path: str, body: bytes) -> bool:
    request = urllib.request.Request(
        scene.cluster.gateway + path, body, {"Content-Type": "application/json", "Host": host}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200 and answer.read(1))
    except OSError:  # an answer of another status counts as well
        return False


def _remove(scene: Scene, kinds: str, name: str) -> None:
    """Waits until nothing of it runs any more, so that it does not disturb the next."""
    scene.tools.kubectl("delete", kinds, name, scene.where, f"--timeout={GONE_SECONDS:.0f}s")
    wait_until(lambda: not scene.tools.get("pods", scene.where)["items"], f"{name} is gone", seconds=GONE_SECONDS)
