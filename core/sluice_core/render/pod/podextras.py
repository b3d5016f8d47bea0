"""Additions of a ModelDeployment to its pods under Kubernetes' own names: volumes, shared memory, labels, device
claims.

Absent fields leave the template unchanged, since a revision's name is made from it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec, ModelSpec
from sluice_core.kernel import differ, naming
from sluice_core.render.pod import podgrants

SPREAD_OVER: Final = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


class MountTaken(ValueError):
    """A ModelDeployment mounts a volume where its ServingRuntime mounts one of its own."""

    def __init__(self, path: str, taken: str) -> None:
        super().__init__(
            f"spec.volumeMounts: {path} lies on {taken}, where the ServingRuntime mounts a volume; use another path"
        )


def labels(deployment: ModelDeployment, revision: str) -> dict[str, str]:
    """The labels of the pods that serve; ours win."""
    own = naming.owned_labels(deployment.metadata.name, revision)
    return {**(deployment.spec.pod_labels or {}), **own, "app.kubernetes.io/name": deployment.metadata.name}


def model_volume(model: ModelSpec, config: OperatorConfig) -> dict[str, Any]:
    """The volume that holds the model."""
    wanted = model.volume
    if wanted is not None and wanted.ephemeral is not None:
        return {"ephemeral": wanted.ephemeral}
    if wanted is not None and wanted.empty_dir is not None:
        return {"emptyDir": wanted.empty_dir.to_wire()}
    return {"emptyDir": {"sizeLimit": config.storage_initializer.maximum_model_size}}


def maximum_size(model: ModelSpec, config: OperatorConfig) -> str:
    """How much the downloader may write: it reports an excess, where the kubelet would evict the pod."""
    wanted, most = model.volume, config.storage_initializer.maximum_model_size
    if wanted is None or wanted.empty_dir is None:
        return most
    return min(most, wanted.empty_dir.size_limit, key=lambda size: differ.quantity(size) or 0)


def downloader_resources(model: ModelSpec, config: OperatorConfig) -> dict[str, Any]:
    """The downloader's resources, plus what it writes to a folder in memory: the kernel charges that to the writer."""
    resources: dict[str, Any] = config.storage_initializer.resources.to_wire()
    folder = model.volume.empty_dir if model.volume is not None else None
    if folder is None or folder.medium is None:
        return resources
    return {
        kind: {
            name: str(int((differ.quantity(amount) or 0) + (differ.quantity(folder.size_limit) or 0)))
            if name == "memory"
            else amount
            for name, amount in amounts.items()
        }
        for kind, amounts in resources.items()
    }


def shared_memory(spec: ModelDeploymentSpec) -> dict[str, Any]:
    """Servers pass tensors between processes through it; the container's default of 64 MiB is too small."""
    limit = {"sizeLimit": spec.shared_memory.size_limit} if spec.shared_memory is not None else {}
    return {"emptyDir": {"medium": "Memory", **limit}}


def with_mounts(server: Mapping[str, Any], spec: ModelDeploymentSpec) -> dict[str, Any]:
    """The model server's container with the user's volumes. Raises `MountTaken`."""
    mounts = spec.volume_mounts or ()
    taken = [mount["mountPath"] for mount in server.get("volumeMounts", ())]
    for mount in mounts:
        if (other := podgrants.overlapping(mount["mountPath"], taken)) is not None:
            raise MountTaken(mount["mountPath"], other)
    return {**server, "volumeMounts": [*server.get("volumeMounts", ()), *mounts]} if mounts else dict(server)


def with_claims(server: Mapping[str, Any], spec: ModelDeploymentSpec) -> dict[str, Any]:
    """The model server's container with all devices that the pod claims."""
    if not spec.resource_claims:
        return dict(server)
    resources = server.get("resources") or {}
    claims = [*resources.get("claims", ()), *({"name": claim["name"]} for claim in spec.resource_claims)]
    return {**server, "resources": {**resources, "claims": claims}}


def spread(spec: ModelDeploymentSpec, revision: str) -> list[dict[str, Any]]:
    """How the pods of a revision are spread; softly by default: a full or small cluster still runs the model."""
    selector = {"labelSelector": {"matchLabels": {naming.LABEL_REVISION: revision}}}
    if spec.topology_spread_constraints:
        return [{**selector, **constraint} for constraint in spec.topology_spread_constraints]
    return [
        {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", **selector} for key in SPREAD_OVER
    ]


def pull_secrets(*lists: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Secrets for pulling images, each once."""
    return list({ref["name"]: ref for refs in lists for ref in refs}.values())
