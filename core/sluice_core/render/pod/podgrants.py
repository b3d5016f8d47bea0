"""What a namespace may request for its pods: volumes, priorities and labels that are neither ours nor the platform's.

the CRD's rules ──> what is never allowed: other sources, our names, our paths     refused on write
problem, here   ──> the same of what was stored before, and what the platform allows by namespace
the account policy of the chart ──> the same once more, of what the operator's account writes
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from sluice_core.api.config import EVERYTHING, OperatorConfig
from sluice_core.api.v1alpha1 import podfields, volumes
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import differ

SYSTEM: Final = "system-"
"""Prefix of Kubernetes' own priority classes: a pod with one of them can evict all others."""
_LABEL: Final = re.compile(r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")

Check: TypeAlias = Callable[[ModelDeployment, OperatorConfig], str]


def problem(deployment: ModelDeployment, config: OperatorConfig) -> str:
    """The first field of the pod that its namespace may not have, and what to do; empty: none."""
    return next((said for check in CHECKS if (said := check(deployment, config))), "")


def pinned_problem(template: Mapping[str, Any], namespace: str, config: OperatorConfig) -> str:
    """What the platform no longer allows of a revision's volumes; other pods do not inherit its priority."""
    theirs = [each for each in template["spec"].get("volumes", ()) if not volumes.is_ours(each["name"])]
    return next(_granted(theirs, namespace, config), "")


def _priority_not_allowed(deployment: ModelDeployment, config: OperatorConfig) -> str:
    wanted, namespace = deployment.spec.priority_class_name, deployment.metadata.namespace
    grants = (grant for grant in config.allowed_priority_classes if grant.is_for(namespace))
    may = {name for grant in grants for name in grant.classes}
    if wanted is None or wanted in may or (EVERYTHING in may and not wanted.startswith(SYSTEM)):
        return ""
    return (
        f"spec.priorityClassName: pods of namespace {namespace} may not have the class {wanted!r}; "
        f"{_usable(may)}, or have the platform add it to config.allowedPriorityClasses"
    )


def _label_is_ours(deployment: ModelDeployment, _: OperatorConfig) -> str:
    for name in deployment.spec.pod_labels or {}:
        if name in podfields.OUR_LABELS or name.startswith(podfields.OUR_LABEL_PREFIXES):
            return f"spec.podLabels: {name} belongs to Sluice or to Kubernetes; use another label"
        if not _LABEL.fullmatch(name):
            return f"spec.podLabels: {name!r} is not the name of a label; use letters, digits, - _ and . (example.com/team)"
    return ""


def _volume_not_allowed(deployment: ModelDeployment, config: OperatorConfig) -> str:
    theirs = deployment.spec.volumes or []
    return next(_malformed(theirs), "") or next(_granted(theirs, deployment.metadata.namespace, config), "")


def _malformed(theirs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for volume in theirs:
        where, sources = f"spec.volumes: {volume.get('name')}", [name for name in volume if name != "name"]
        if volumes.is_ours(str(volume.get("name"))):
            yield f"{where} is the name of a volume of Sluice's own; use another one"
        if len(sources) != 1 or sources[0] not in volumes.VOLUME_SOURCES:
            yield f"{where} must have exactly one of {', '.join(volumes.VOLUME_SOURCES)}"
        for source in (volume.get("projected") or {}).get("sources") or ():
            if not set(source) <= set(volumes.PROJECTED_SOURCES):
                yield f"{where}: sources of projected are {', '.join(volumes.PROJECTED_SOURCES)}; remove the others"


def _granted(theirs: Iterable[Mapping[str, Any]], namespace: str, config: OperatorConfig) -> Iterator[str]:
    """The parts of volumes that the platform does not allow."""
    grants = [grant for grant in config.allowed_volumes if grant.is_for(namespace)]
    folders = {path for grant in grants for path in grant.host_paths}
    drivers = {driver for grant in grants for driver in grant.csi_drivers}
    cache = config.storage_initializer.cache
    for volume in theirs:
        where = f"spec.volumes: {volume['name']}"
        if "hostPath" in volume and (path := volume["hostPath"].get("path")) not in folders:
            yield (
                f"{where}: pods of namespace {namespace} may not mount {path} of the node; {_usable(folders)}, or have the "
                "platform add it to config.allowedVolumes"
            )
        if "csi" in volume and (driver := volume["csi"].get("driver")) not in drivers:
            yield (
                f"{where}: pods of namespace {namespace} may not use the CSI driver {driver}; {_usable(drivers)}, a claim, or "
                "have the platform add it to config.allowedVolumes"
            )
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if cache is not None and claim is not None and claim == cache.persistent_volume_claim:
            yield f"{where}: claim {claim} is the downloader's cache; use another claim"


def _mount_on_our_path(deployment: ModelDeployment, _: OperatorConfig) -> str:
    names = {volume["name"] for volume in deployment.spec.volumes or ()}
    for mount in deployment.spec.volume_mounts or ():
        path = str(mount.get("mountPath"))
        if mount.get("name") not in names:
            return f"spec.volumeMounts: {mount.get('name')!r} is not one of spec.volumes ({', '.join(sorted(names)) or 'none'})"
        if re.fullmatch(volumes.PLAIN_PATH, path) is None:
            return f"spec.volumeMounts: {path!r} is not a path from the root such as /cache; correct mountPath"
        if (taken := overlapping(path, volumes.OUR_PATHS)) is not None:
            return (
                f"spec.volumeMounts: {path} lies on {taken}, which belongs to Sluice and Kubernetes; use another path"
            )
    return ""


def overlapping(path: str, taken: Iterable[str]) -> str | None:
    """The first of the paths that is the same as this one, above or below it."""
    return next(
        (each for each in taken if f"{path}/".startswith(f"{each}/") or f"{each}/".startswith(f"{path}/")), None
    )


def _larger_than_allowed(deployment: ModelDeployment, config: OperatorConfig) -> str:
    """Filling a node's disk harms the pods of others, too."""
    own = deployment.spec.model.volume
    folders = [(volume.get("emptyDir") or {}).get("sizeLimit") for volume in deployment.spec.volumes or ()]
    wanted = {
        "spec.volumes": [size for size in folders if size is not None],
        "spec.model.volume.emptyDir.sizeLimit": [own.empty_dir.size_limit] if own and own.empty_dir else [],
    }
    most = config.storage_initializer.maximum_model_size
    for field, sizes in wanted.items():
        if any((differ.quantity(size) or 0) <= 0 for size in sizes):  # to the kubelet, no limit at all
            return f"{field}: an emptyDir has a sizeLimit above 0, such as 40Gi; say how much it may take"
        if sum(differ.quantity(size) or 0 for size in sizes) > (differ.quantity(most) or 0):
            return (
                f"{field}: {' + '.join(map(str, sizes))} of emptyDir is more than {most}, the most that folders of a pod may "
                "take here; lower it, use a claim (ephemeral), or have the platform raise "
                "config.storageInitializer.maximumModelSize"
            )
    return ""


def _usable(names: Iterable[str]) -> str:
    listed = " or ".join(sorted(names))
    return f"use {listed}" if listed else "it may use none"


CHECKS: Final[tuple[Check, ...]] = (  # first that answers wins
    _priority_not_allowed,
    _label_is_ours,
    _volume_not_allowed,
    _mount_on_our_path,
    _larger_than_allowed,
)
