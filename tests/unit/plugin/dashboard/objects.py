"""Objects as an API server has them."""

from copy import deepcopy
from typing import Any

from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import CANDIDATE, condition, make_deployment, make_rollout

Raw = dict[str, Any]
API = "sluice.dev/v1alpha1"


def model(name: str, namespace: str, *, message: str = "", conditions: list[Raw] | None = None, **status: Any) -> Raw:
    """A ModelDeployment."""
    made = make_deployment(name=name, conditions=conditions or builders.HEALTHY, **status)
    raw = made.model_dump(mode="json", by_alias=True, exclude_none=True)
    raw |= {"apiVersion": API, "kind": "ModelDeployment"}
    raw["metadata"] |= {"namespace": namespace, "uid": f"{namespace}-{name}", "resourceVersion": "5"}
    if message:
        raw["status"]["conditions"] = [condition("Ready", "False", "CrashLoopBackOff", message)]
    return raw


def release(name: str, namespace: str, **status: Any) -> Raw:
    """Its ModelRollout; `rules` are fields of its spec."""
    raw = make_rollout(**status).model_dump(mode="json", by_alias=True, exclude_none=True)
    raw |= {"apiVersion": API, "kind": "ModelRollout"}
    raw["spec"]["modelDeployment"] = name
    raw["metadata"] |= {
        "namespace": namespace,
        "name": f"{name}-r{raw['spec']['sequence']}",
        "uid": f"{namespace}-{name}-r",
        "labels": {"sluice.dev/model-deployment": name},
    }
    return raw


def two_namespaces() -> list[Raw]:
    """A model that is being released and one that was rolled back in team-a, and a secret one in team-b."""
    return [
        model("digits", "team-a", conditions=builders.RELEASING),
        release("digits", "team-a", **deepcopy(builders.RUNNING)),
        model("faces", "team-a", conditions=builders.ROLLED_BACK),
        release("faces", "team-a", **deepcopy(builders.BAD) | {"outcome": "RolledBack"}),
        model("hidden-model", "team-b", message="hidden words"),
        release("hidden-model", "team-b", target=CANDIDATE, message="hidden words"),
    ]
