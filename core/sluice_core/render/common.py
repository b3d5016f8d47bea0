"""What children share: names, labels, the owner (for the garbage collector), and the security settings of pods."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from sluice_core.api.base import API_VERSION, ApiObject
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.kernel import naming

if TYPE_CHECKING:
    from sluice_core.api.v1alpha1.servingruntime import (  # which a command of the plugin does not need
        ServingRuntimeSpec,
    )

MIRROR: Final = "mirror"
PREVIEW: Final = "pre"
HEADER: Final = "header"
SUFFIXES: Final = (MIRROR, PREVIEW, HEADER)
"""Suffixes of the Services for requests that are counted separately, `<revision>-<suffix>`, in front of the same pods.
At most six letters: the longest model name then gives a Service name of 63."""


SCRAPED: Final = "prometheus.io/"
"""Prefix of the annotations by which Prometheus finds scrape targets."""
USER_ID: Final = 65532
"""The user `nonroot` of the usual minimal images."""
TMP_MOUNT: Final = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - a volume of the pod, and nobody else's


def owner_reference(owner: ApiObject) -> dict[str, Any]:
    """Makes the owner the controller of a child.

    `blockOwnerDeletion` stays false: setting it needs permission on finalizers, and nothing waits for it.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def child_metadata(deployment: ModelDeployment, name: str, revision: str | None = None) -> dict[str, Any]:
    """Metadata of a child; `revision` labels an object of one revision."""
    return {
        "name": name,
        "namespace": deployment.metadata.namespace,
        "labels": naming.owned_labels(deployment.metadata.name, revision),
        "ownerReferences": [owner_reference(deployment)],
    }


def served_name(deployment: ModelDeployment) -> str:
    """The name under which the server offers the model."""
    return deployment.spec.model.name or deployment.metadata.name


def served_port(spec: ModelDeploymentSpec, runtime: "ServingRuntimeSpec") -> int:
    """The container port that answers HTTP: the runtime's, or the user's own image's."""
    return (spec.runtime.port if spec.runtime is not None else None) or runtime.port


def is_sidecar(init_container: Mapping[str, Any]) -> bool:
    """Whether it runs beside the other containers, and ends after them."""
    return init_container.get("restartPolicy") == "Always"


def ready_path(server: Mapping[str, Any]) -> str:
    """The path of the server container's readiness probe; empty if the probe works otherwise."""
    probe = server.get("readinessProbe") or {}
    return str((probe.get("httpGet") or {}).get("path", ""))


def scraped(port: int, path: str) -> dict[str, str]:
    """Annotations of a pod that exposes metrics there."""
    return {f"{SCRAPED}scrape": "true", f"{SCRAPED}port": str(port), f"{SCRAPED}path": path}


def literal(argument: str) -> str:
    """The argument in literal form: the kubelet expands `$(NAME)`, and `$$` means one dollar sign."""
    return argument.replace("$", "$$")


def restricted() -> dict[str, Any]:
    """What the `restricted` Pod Security Standard requires of a container, in addition to the pod's settings."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def sealed() -> dict[str, Any]:
    """The same for our own containers, which only write to their volumes."""
    return {**restricted(), "readOnlyRootFilesystem": True}


def pod_fields() -> dict[str, Any]:
    """Fields of every pod's spec that ask nothing of the API server."""
    return {
        "securityContext": pod_security(),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }


def pod_security() -> dict[str, Any]:
    """What that standard requires of a whole pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
