"""Ready-made worlds for the simulation."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from tests.support.simulated.cluster import Cluster
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.twins import made_once

V1, V2, WRONG, FAILING, SLOW, DEAD, BREAKING = (f"s3://models/digits/{n}" for n in range(1, 8))

BEHAVIOURS = {
    V1: Behaviour(wrong=0.05),
    V2: Behaviour(wrong=0.02),
    WRONG: Behaviour(wrong=0.6),
    FAILING: Behaviour(error=0.1, wrong=0.02),
    SLOW: Behaviour(slow=1.0, wrong=0.02),
    DEAD: Behaviour(error=1.0),
    BREAKING: Behaviour(breaks=0.5, wrong=0.02),
}

OBJECTIVES: list[dict[str, Any]] = [
    {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "1%"}},
    {"name": "latency", "latency": {"percentile": 95, "maximumMillis": 50}},
    {
        "name": "accuracy",
        "failureRatio": {
            "source": "Query",
            "total": 'feedback_total{revision="{{revision}}"}',
            "failures": 'feedback_total{revision="{{revision}}",correct="false"}',
            "maximum": "10%",
        },
    },
]


def policy(**changes: Any) -> dict[str, Any]:
    """The demo's policy, named default."""
    spec = {"scrapeIntervalSeconds": 5, "bakeSeconds": 30, "objectives": OBJECTIVES} | changes
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": "RolloutPolicy", "metadata": {"name": "default"}, "spec": spec}


def manifest(uri: str = V1, name: str = "digits", **spec: Any) -> dict[str, Any]:
    """A user's manifest."""
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"format": "onnx", "uri": uri}, **spec},
    }


RUNTIME: dict[str, Any] = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "triton"},
    "spec": {
        "formats": [{"name": "onnx", "priority": 1}],
        "port": 8000,
        "modelLayout": "TritonRepository",
        "containers": [{"name": "server", "image": "triton", "args": ["--model-repository={{model.path}}"]}],
    },
}

GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "models", "namespace": "gateway"},
    "status": {"conditions": [{"type": "Programmed", "status": "True", "reason": "Programmed"}]},
}


def empty_cluster(
    *, policy_changes: dict[str, Any] | None = None, runtime_changes: Mapping[str, Any] | None = None, **settings: Any
) -> Cluster:
    """A cluster with everything that a model needs, and no model."""
    cluster = Cluster(behaviours=dict(BEHAVIOURS), **settings)
    runtime = {**RUNTIME, "spec": {**RUNTIME["spec"], **(runtime_changes or {})}}
    for shared in (policy(**(policy_changes or {})), runtime, GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = deepcopy(shared)
    return cluster


def make_cluster(
    uri: str = V1, *, policy_changes: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **settings: Any
) -> Cluster:
    """A cluster in which a user has just applied a ModelDeployment."""
    cluster = empty_cluster(policy_changes=policy_changes, **settings)
    cluster.user_applies(manifest(uri, **(spec or {})))
    return cluster


@made_once
def serving_cluster(uri: str = V1, *, warm_seconds: float = 60, **settings: Any) -> Cluster:
    """A cluster whose first version serves and has had traffic."""
    cluster = make_cluster(uri, **settings)
    cluster.run(warm_seconds)
    return cluster
