"""What the gateways of this folder have in common: applying objects, and the Gateway that models attach to."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from lab import node

Object = dict[str, Any]
_SERVER_SIDE: Final = ("apply", "--server-side", "--force-conflicts")


def apply_objects(*objects: Object) -> None:
    """Server-side, in the given order."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    node.kubectl(*_SERVER_SIDE, "--filename=-", text=text)


def apply_definitions(files: Iterable[Path]) -> None:
    """CustomResourceDefinitions, and wait until the API server serves them."""
    names = [f"--filename={file}" for file in files]
    node.kubectl(*_SERVER_SIDE, *names)
    node.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def gateway_class(name: str, controller: str, parameters: Object | None = None) -> Object:
    spec = {"controllerName": controller} | ({"parametersRef": parameters} if parameters else {})
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": spec,
    }


def gateway(name: str, *, namespace: str, class_name: str, port: int) -> Object:
    """One HTTP listener that takes routes of every namespace."""
    listener = {"name": "http", "protocol": "HTTP", "port": port, "allowedRoutes": {"namespaces": {"from": "All"}}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"gatewayClassName": class_name, "listeners": [listener]},
    }


def restricted() -> Object:
    """A container's securityContext without any right."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
