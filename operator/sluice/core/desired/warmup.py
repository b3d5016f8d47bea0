"""The container that sends a fresh server its first requests, and is ready when they are answered fast enough.

A pod is Ready only when all of its containers are, so that it works while the operator is away.
"""

from collections.abc import Mapping
from typing import Any, Final

from sluice.api.config import OperatorConfig
from sluice.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice.api.v1alpha1.servingruntime import Protocol, ServingRuntime
from sluice.core.desired import common

WARM_UP: Final = "warm-up"
PORT: Final = 18_099
"""Where the kubelet asks whether the server is warm."""
PROTOCOLS: Final = (Protocol.V2,)
"""In which requests can be sent."""
PAYLOAD_PATH: Final = "/payload"


class WarmupNotPossible(ValueError):
    """A ModelDeployment asks for a warm-up in protocols that have none."""

    def __init__(self, runtime: ServingRuntime) -> None:
        speaks = ", ".join(runtime.spec.protocols)
        super().__init__(
            f"spec.warmup: ServingRuntime {runtime.metadata.name!r} speaks {speaks}; warm-up requests can be sent in "
            f"{', '.join(PROTOCOLS)}; remove spec.warmup, or use another runtime"
        )


def containers(
    deployment: ModelDeployment, runtime: ServingRuntime, config: OperatorConfig, server: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """None where no warm-up is asked for; comes after the server, which must stay the first. Raises WarmupNotPossible."""
    wishes, initializer = deployment.spec.warmup, config.storage_initializer
    if wishes is None:
        return []
    return [
        {
            "name": WARM_UP,
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
    """The payload: optional, so that a ConfigMap that is missing is told by the warm-up, and not by a pod that hangs."""
    ref = spec.warmup.payload_ref if spec.warmup is not None else None
    if ref is None:
        return []
    return [{"name": "payload", "configMap": {"name": ref.config_map, "optional": True}}]


def _arguments(deployment: ModelDeployment, runtime: ServingRuntime, server: Mapping[str, Any]) -> list[str]:
    wishes = deployment.spec.warmup
    assert wishes is not None
    protocol = next((known for known in runtime.spec.protocols if known in PROTOCOLS), None)
    if protocol is None:
        raise WarmupNotPossible(runtime)
    arguments = {
        "--protocol": protocol.value,
        "--port": str(common.served_port(deployment.spec, runtime.spec)),
        "--model": common.served_name(deployment),
        "--ready-path": common.ready_path(server),
        "--ready-port": str(PORT),
        "--requests": str(wishes.requests),
    }
    if wishes.maximum_latency_millis is not None:
        arguments["--maximum-latency-millis"] = str(wishes.maximum_latency_millis)
    if wishes.payload_ref is not None:
        arguments["--payload"] = f"{PAYLOAD_PATH}/{wishes.payload_ref.key}"
    return [part for pair in arguments.items() for part in pair]
