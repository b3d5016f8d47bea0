"""Objects that the API server accepts, to be changed one field at a time."""

import copy
from typing import Any, Final

Object = dict[str, Any]

POLICY_FIELDS: Final[Object] = {
    "steps": [{"weight": 5}, {"weight": 100}],
    "objectives": [{"name": "errors", "failureRatio": {"events": "ServerErrors", "maximum": "2%"}}],
    "falseRollbackProbability": "1%",
    "falseAdvanceProbability": "5%",
    "scrapeIntervalSeconds": 15,
    "blindSeconds": 120,
    "idleSeconds": 3600,
    "progressDeadlineSeconds": 86400,
    "onDeadline": "Hold",
    "bakeSeconds": 600,
}


def merged(base: Object, change: Object) -> Object:
    """The base with the change laid over it; None removes a field."""
    result = copy.deepcopy(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "sluice.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def deployment(change: Object | None = None, *, name: str = "digits") -> Object:
    """A ModelDeployment."""
    base = {"model": {"format": "onnx", "uri": "s3://models/digits/1"}}
    return _object("ModelDeployment", name, merged(base, change or {}))


def policy(change: Object | None = None, *, name: str = "strict") -> Object:
    """A RolloutPolicy."""
    return _object("RolloutPolicy", name, merged(POLICY_FIELDS, change or {}))


def objective(**parts: Any) -> Object:
    """A RolloutPolicy with this one objective."""
    return policy({"objectives": [{"name": "it", **parts}]})


def runtime(change: Object | None = None, *, name: str = "server") -> Object:
    """A ServingRuntime."""
    base = {"formats": [{"name": "onnx"}], "port": 8000, "containers": [{"name": "server", "image": "server:1"}]}
    return _object("ServingRuntime", name, merged(base, change or {}))


def rollout(change: Object | None = None, *, name: str = "digits-1-1") -> Object:
    """A ModelRollout."""
    end = {"revision": "digits-1", "inputHash": "1", "uri": "s3://models/digits/1"}
    base = {"modelDeployment": "digits", "to": end, **POLICY_FIELDS}
    return _object("ModelRollout", name, merged(base, change or {}))


def batch(change: Object | None = None, *, name: str = "churn") -> Object:
    """A BatchInference."""
    base = {
        "modelDeploymentRef": {"name": "digits"},
        "input": {"uri": "s3://data/today", "format": "Parquet"},
        "output": {"uri": "s3://data/scores", "format": "Parquet"},
    }
    return _object("BatchInference", name, merged(base, change or {}))


def intent(by: str, *, action: str = "Promote", time: str = "2026-03-01T12:00:00Z") -> Object:
    """The change of a ModelRollout that makes an intent."""
    return {"spec": {"intent": {"action": action, "requestedBy": by, "requestTime": time}}}


def make_model(namespace: str, *, uri: str = "s3://models/digits/1") -> Object:
    """The smallest ModelDeployment."""
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {"model": {"format": "onnx", "uri": uri}},
    }


def open_definition(group: str, version: str, kind: str, plural: str) -> Object:
    """The definition of a foreign kind, which accepts anything."""
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": open_schema}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},  # groups of k8s.io need one
        },
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }
