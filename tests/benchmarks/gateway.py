"""Which changes of an HTTPRoute lose requests: two model servers behind one route, no operator, weights moved by hand.

An operator that moves weights must avoid the sequences that lose requests on any gateway that it supports.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from demo import setup
from demo.cluster import Cluster
from demo.counting import Tally
from demo.load import REVISION_HEADER, LoadClient, Target
from demo.progress import say
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.render.pod.podtemplate import render_template
from tests.benchmarks import report, surroundings
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live import scene as scenes
from tests.support.live.scene import Object, Scene, wait_until

NAME: Final = "gateway"
HOST: Final = "gateway-bench.example.com"
FIRST, SECOND = "first", "second"
PAUSE_SECONDS: Final = 2.0
METHOD: Final = """\
Two Triton servers with v1 run behind one HTTPRoute, without the operator; an open-loop client sends requests over
keep-alive connections. In each sequence the route is written again every 2 s. *Lost* are requests without an answer
from a model server: connection errors and what the gateway answers itself."""

State = tuple[tuple[str, int], ...]
"""Backends in order, with their weights."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Route states written one after the other. used: whether the operator's own changes are of this kind."""

    name: str
    states: tuple[State, ...]
    used: bool


SEQUENCES: Final = (
    Experiment(
        "both ≥ 1: 50/50, 1/99, 99/1, 90/10",
        tuple(((FIRST, first), (SECOND, 100 - first)) for first in (50, 1, 99, 90)),
        used=True,
    ),
    Experiment(
        "new backend listed with 0 first: 100, 100/0, 50/50, 100/0",
        (((FIRST, 100),), ((FIRST, 100), (SECOND, 0)), ((FIRST, 50), (SECOND, 50)), ((FIRST, 100), (SECOND, 0))),
        used=True,
    ),
    Experiment(
        "new backend with its share at once: 100 ↔ 50/50",
        (((FIRST, 100),), ((FIRST, 50), (SECOND, 50))),
        used=False,
    ),
    Experiment(
        "second backend 10 ↔ 0, always listed",
        (((FIRST, 90), (SECOND, 10)), ((FIRST, 100), (SECOND, 0))),
        used=True,
    ),
    Experiment(
        "complete swap in one write: 0/100 ↔ 100/0",
        (((FIRST, 0), (SECOND, 100)), ((FIRST, 100), (SECOND, 0))),
        used=False,
    ),
    Experiment(
        "first removed, so that the second moves up, and added again: 50/50 ↔ 100",
        (((FIRST, 50), (SECOND, 50)), ((SECOND, 100),)),
        used=False,
    ),
    Experiment(
        "the only backend replaced at its position",
        (((FIRST, 100),), ((SECOND, 100),)),
        used=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Options:
    cycles: int
    rate: int


@dataclass(frozen=True, slots=True)
class Found:
    """The cost of one sequence."""

    sequence: Experiment
    changes: int
    requests: int
    lost: int
    failed: int
    problems: dict[str, int]


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    with surroundings.scene(cluster, NAME) as scene:
        _serve(scene)
        client = LoadClient(Target(cluster.gateway, HOST, setup.NAME), rate=options.rate)
        with client:
            found = list(_run_all(scene, client, options.cycles))
    return section(found, options, machine)


def section(found: Sequence[Found], options: Options, machine: Sequence[str]) -> Section:
    lost = sum(one.lost for one in found if one.sequence.used)
    rows = [
        (
            one.sequence.name,
            "yes" if one.sequence.used else "no",
            str(one.changes),
            str(one.requests),
            str(one.lost),
            ", ".join(f"{count} × {problem}" for problem, count in one.problems.items()) or "-",
        )
        for one in found
    ]
    return Section(
        key=NAME,
        title="Gateway: which changes of weights lose requests",
        method=METHOD,
        figures=(Figure("requests lost by the kinds of change that the operator makes", str(lost), "0", lost == 0),),
        tables=(Table(("sequence", "the operator does this", "changes", "requests", "lost", "problems"), rows),),
        notes=(f"{options.rate} requests/s.",),
        machine=machine,
    )


def _run_all(scene: Scene, client: LoadClient, cycles: int) -> Iterator[Found]:
    for sequence in SEQUENCES:
        _write_route(scene, sequence.states[-1])
        wait_until(lambda: client.counts().total.right > 0, "the model servers answer", seconds=30)
        surroundings.pause(PAUSE_SECONDS)
        before = client.counts().total
        for _ in range(cycles):
            for state in sequence.states:
                _write_route(scene, state)
                surroundings.pause(PAUSE_SECONDS)
        found = _found(sequence, cycles * len(sequence.states), before, client.counts().total)
        say(f"{sequence.name}: {found.lost} of {found.requests} requests lost in {found.changes} changes")
        yield found


def _found(sequence: Experiment, changes: int, before: Tally, after: Tally) -> Found:
    return Found(
        sequence=sequence,
        changes=changes,
        requests=after.requests - before.requests,
        lost=after.lost - before.lost,
        failed=after.failed - before.failed,
        problems=dict(after.problems - before.problems),
    )


def _serve(scene: Scene) -> None:
    """Both model servers, with the operator's own Pod template."""
    template = _pod_template(scene)
    for name in (FIRST, SECOND):
        scene.apply(_deployment(name, template), _service(name))
    for name in (FIRST, SECOND):
        scene.tools.kubectl("rollout", "status", f"deployment/{name}", scene.where, "--timeout=120s")


def _pod_template(scene: Scene) -> Object:
    tools = scene.tools
    manifest = scenes.manifest(setup.NAME, "1")
    manifest["metadata"]["namespace"] = scene.namespace
    settings = tools.get("configmap", "sluice-config", f"--namespace={setup.OPERATOR_NAMESPACE}")["data"]["config.yaml"]
    return render_template(
        ModelDeployment.model_validate(manifest),
        ServingRuntime.model_validate(tools.get("servingruntimes.sluice.dev", "triton")),
        OperatorConfig.model_validate(yaml.safe_load(settings)),
        setup.NAME,
    )


def _deployment(name: str, template: Object) -> Object:
    labels = {"bench": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {"labels": labels}},
        },
    }


def _service(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"bench": name}, "ports": [{"port": 80, "targetPort": 8000}]},
    }


def _write_route(scene: Scene, state: State) -> None:
    scene.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": NAME},
            "spec": {
                "parentRefs": [{"name": "models", "namespace": "gateway"}],
                "hostnames": [HOST],
                "rules": [{"backendRefs": [_backend(name, weight) for name, weight in state]}],
            },
        }
    )


def _backend(name: str, weight: int) -> dict[str, Any]:
    header = {"name": REVISION_HEADER, "value": name}
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [header]}}]
    return {"name": name, "port": 80, "weight": weight, "filters": filters}
