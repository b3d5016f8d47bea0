"""The container that sends a new server its first requests, and is ready when they are answered fast enough.

A pod is Ready only when all of its containers are, so this works without the operator.
"""

from collections.abc import Mapping
from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.api.v1alpha1.servingruntime import ModelLayout, Protocol, ServingRuntime
from sluice_core.api.v1alpha1.workload import Warmup
from sluice_core.render import common
from sluice_core.render.pod import placeholders, podnames

PORT: Final = 18_099
"""Port at which the kubelet asks whether the server is warm."""
PROTOCOLS: Final = (Protocol.V2, Protocol.V1, Protocol.OPENAI, Protocol.NATIVE)
"""Protocols of warm-up requests; the first that the server speaks is used; Native needs the path of the runtime or the
user.
"""
PAYLOAD_PATH: Final = "/payload"


class WarmupNotPossible(ValueError):
    """A ModelDeployment requests a warm-up that is impossible; the message begins with the field."""


def containers(
    deployment: ModelDeployment, runtime: ServingRuntime, config: OperatorConfig, server: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The warm-up container, empty if none is requested; it comes after the server, which must stay the first.

    Raises `WarmupNotPossible` and `placeholders.UnknownPlaceholder`.
    """
    wanted, initializer = deployment.spec.warmup, config.storage_initializer
    if wanted is None:
        return []
    return [
        {
            "name": podnames.WARM_UP,
            "image": initializer.image,
            "imagePullPolicy": initializer.image_pull_policy,
            "command": ["python3", "-m", "sluice_warmup"],
            "args": [common.literal(argument) for argument in _arguments(deployment, runtime, server)],
            "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "5m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}},
            "volumeMounts": [
                {"name": volume["name"], "mountPath": PAYLOAD_PATH, "readOnly": True}
                for volume in volumes(deployment.spec)
            ],
            "securityContext": common.sealed(),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
    ]


def volumes(spec: ModelDeploymentSpec) -> list[dict[str, Any]]:
    """The payload: optional, so that the warm-up reports a missing ConfigMap, not a pod that hangs."""
    ref = spec.warmup.payload_ref if spec.warmup is not None else None
    if ref is None:
        return []
    return [{"name": "payload", "configMap": {"name": ref.config_map, "optional": True}}]


def _arguments(deployment: ModelDeployment, runtime: ServingRuntime, server: Mapping[str, Any]) -> list[str]:
    wanted = deployment.spec.warmup
    assert wanted is not None
    protocol = _protocol(runtime)
    path = wanted.path or _runtimes_path(deployment, runtime, protocol)
    _require_request(wanted, runtime, protocol, path)
    arguments = {
        "--protocol": protocol.value,
        "--port": str(common.served_port(deployment.spec, runtime.spec)),
        "--model": common.served_name(deployment),
        "--ready-path": common.ready_path(server),
        "--ready-port": str(PORT),
        "--requests": str(wanted.requests),
    }
    if wanted.maximum_latency_millis is not None:
        arguments["--maximum-latency-millis"] = str(wanted.maximum_latency_millis)
    if path:
        arguments["--path"] = path
    if wanted.payload_ref is not None:
        arguments["--payload"] = f"{PAYLOAD_PATH}/{wanted.payload_ref.key}"
    adapters = deployment.spec.model.adapters if protocol is Protocol.OPENAI else []
    return [
        *(part for pair in arguments.items() for part in pair),
        *(part for each in adapters for part in ("--adapter", each.name)),
    ]


def _protocol(runtime: ServingRuntime) -> Protocol:
    found = next((protocol for protocol in PROTOCOLS if protocol in runtime.spec.protocols), None)
    if found is None:
        raise WarmupNotPossible(
            f"spec.warmup: ServingRuntime {runtime.metadata.name!r} speaks {', '.join(runtime.spec.protocols)}; "
            f"warm-up requests can be sent only in {', '.join(PROTOCOLS)}; remove spec.warmup, or use another runtime"
        )
    return found


def _runtimes_path(deployment: ModelDeployment, runtime: ServingRuntime, protocol: Protocol) -> str:
    """The runtime's path for requests of its own protocol; empty: it has none, or the protocol defines it."""
    if protocol is not Protocol.NATIVE or runtime.spec.warmup is None:
        return ""
    values = {"model.name": common.served_name(deployment)}
    return str(placeholders.filled(runtime.spec.warmup.path, values, "spec.warmup.path"))


def _require_request(wanted: Warmup, runtime: ServingRuntime, protocol: Protocol, path: str) -> None:
    """Ensures that every request has a path and a body before there is a pod."""
    name = runtime.metadata.name
    if protocol is Protocol.NATIVE and not path:
        raise WarmupNotPossible(
            f"spec.warmup.path: ServingRuntime {name!r} speaks its own protocol and does not say where requests go; "
            "set the path, and a payload in spec.warmup.payloadRef"
        )
    made_up = protocol in (Protocol.V2, Protocol.OPENAI) or runtime.spec.model_layout is ModelLayout.TENSORFLOW_VERSIONS
    if wanted.payload_ref is None and not made_up:
        raise WarmupNotPossible(
            f"spec.warmup.payloadRef: ServingRuntime {name!r} speaks {protocol}, in which models do not describe "
            "their inputs, so no request can be generated; set a payload"
        )
