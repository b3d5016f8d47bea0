"""Free devices: the number of further pods with accelerators for which the cluster has room.

Counted only while a release needs pods; at rest nothing is watched or known.

    DevicesQuestion ──(adapter lists nodes, pods, quotas)──> count ──> Devices ──> pods_that_fit

A node's free devices are what it can allocate less what its pods hold. A pod needs all of its devices on one node.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.reasons import PodReason
from sluice_core.kernel.snapshot import Object

"""Phases of pods that hold nothing any more."""
SHUNNED_BY: Final = {"NoSchedule", "NoExecute"}
"""Effects of a taint that keep new pods away."""
QUOTA_PREFIX: Final = "requests."
"""Prefix of extended resources in quotas; they have no limits apart from their requests."""


@dataclass(frozen=True, slots=True)
class DevicesQuestion:
    """Which devices are free for pods like these?"""

    resource: str
    """The extended resource, such as nvidia.com/gpu."""
    count: int
    """Devices for each pod."""
    namespace: str
    model: str
    """The ModelDeployment whose pods are counted by revision."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class Devices:
    """The answer. Exact for nodeSelector, taints, pods and quotas; affinity, memory and CPU are left to the scheduler."""

    free_by_node: tuple[int, ...] = ()
    """Free devices of each node that the pods may run on and that has any such devices, free or not."""
    claimed: int = 0
    """Devices that pending pods of others request."""
    quota_left: int | None = None
    """What the namespace's ResourceQuotas leave; None without one."""
    scheduled: Mapping[str, int] = field(default_factory=dict)
    """Pods that have a node and are not terminating, by revision of the model."""
    unknown: str = ""
    """Why nothing could be counted, such as missing permissions; the scheduler then decides alone."""

    @property
    def free(self) -> int:
        """Free devices on all nodes together."""
        return sum(self.free_by_node)

    @property
    def nodes(self) -> int:
        """Nodes that have such devices."""
        return len(self.free_by_node)

    def pods_that_fit(self, count: int) -> int:
        """The largest number of further pods with `count` devices each that find a node and are within the quota."""
        placed = sum(free // count for free in self.free_by_node) - -(-self.claimed // count)
        allowed = placed if self.quota_left is None else min(placed, self.quota_left // count)
        return max(0, allowed)


def count(
    question: DevicesQuestion, nodes: Iterable[Object], pods: Iterable[Object], quotas: Iterable[Object]
) -> Devices:
    """The free devices, from raw objects.

    Args:
        question: what is asked.
        nodes: all nodes of the cluster.
        pods: all pods of the cluster, or at least those that ask for the resource.
        quotas: the ResourceQuotas of the namespace.
    """
    holding = [pod for pod in pods if held(pod, question.resource) > 0]
    used = _used_by_node(holding, question.resource)
    usable = [node for node in nodes if allocatable(node, question.resource) is not None and fits(node, question)]
    return Devices(
        free_by_node=tuple(
            max(0, (allocatable(node, question.resource) or 0) - used.get(_name(node), 0)) for node in usable
        ),
        claimed=sum(held(pod, question.resource) for pod in holding if _claims(pod, question)),
        quota_left=_quota_left(quotas, question.resource),
        scheduled=_scheduled(holding, question),
    )


def missing(question: DevicesQuestion, devices: Devices, pods: int, profile: str | None) -> str:
    """The message for `pods` further pods that find no devices: what is needed, and what exists."""
    needed = pods * question.count
    named = f"{question.resource} with profile {profile}" if profile is not None else question.resource
    if devices.nodes == 0:
        return f"needs {needed} {named}; no node that the pods may run on has any"
    where = f"{devices.nodes} node" if devices.nodes == 1 else f"{devices.nodes} nodes"
    sentence = f"needs {needed} {named}; {devices.free} free on {where}"
    if devices.quota_left is not None and devices.quota_left < needed:
        sentence += f"; the ResourceQuota of namespace {question.namespace} leaves {devices.quota_left}"
    elif devices.free >= needed and devices.claimed:
        sentence += f"; pods waiting for a node claim {devices.claimed}"
    elif devices.free >= needed:
        sentence += f", but not {question.count} for each pod on one node"
    return sentence


def allocatable(node: Object, resource: str) -> int | None:
    """A node's devices; None if no plugin ever registered the resource there."""
    value = (node.get("status", {}).get("allocatable") or {}).get(resource)
    return None if value is None else _whole(value)


def held(pod: Object, resource: str) -> int:
    """Devices that a pod holds or requests: its containers together, or more while an init container runs."""
    return 0 if rawobjects.is_over(pod) else _asked(pod.get("spec", {}), resource)


def _asked(spec: Object, resource: str) -> int:
    init = spec.get("initContainers") or ()
    sidecars = sum(_requested(c, resource) for c in init if c.get("restartPolicy") == "Always")
    serving = sidecars + sum(_requested(c, resource) for c in spec.get("containers") or ())
    return max(serving, *(_requested(c, resource) for c in init), 0)


def fits(node: Object, question: DevicesQuestion) -> bool:
    """Whether the scheduler may put such a pod on the node, regardless of free resources."""
    labels = node.get("metadata", {}).get("labels") or {}
    spec = node.get("spec", {})
    selected = all(labels.get(key) == value for key, value in question.node_selector.items())
    taints = [taint for taint in spec.get("taints") or () if taint.get("effect") in SHUNNED_BY]
    return (
        selected
        and not spec.get("unschedulable")
        and all(any(tolerates(toleration, taint) for toleration in question.tolerations) for taint in taints)
    )


def tolerates(toleration: Object, taint: Object) -> bool:
    """Kubernetes' rule: an empty effect fits every effect, an empty key with Exists every taint."""
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def extended_resource(template: Object) -> tuple[str, int] | None:
    """(resource, devices for each pod) of a pod template; None if it requests no extended resource.

    Only the first of several extended resources by name counts: the others are left to the scheduler.
    """
    spec = template.get("spec", {})
    names = {
        name
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        for name in (container.get("resources") or {}).get("limits") or {}
        if is_extended(name)
    }
    return next(((name, number) for name in sorted(names) if (number := _asked(spec, name)) > 0), None)


def claimed(template: Object) -> tuple[str, ...]:
    """The names by which a pod, or the pods of a template, claim devices (Dynamic Resource Allocation)."""
    return tuple(str(claim.get("name")) for claim in template.get("spec", {}).get("resourceClaims") or ())


def uncounted(template: Object) -> str:
    """A note about devices that the pods of a template claim; empty if they claim none.

    Their allocation is only known to the drivers' slices and the scheduler.
    """
    claims = claimed(template)
    if not claims:
        return ""
    return (
        f"devices of spec.resourceClaims ({', '.join(claims)}) cannot be counted: with rollout.capacity Auto the scheduler "
        "finds room beside the stable version; set ShrinkStable or Recreate if there is none"
    )


def is_extended(resource: str) -> bool:
    """Whether a resource is a device plugin's, not Kubernetes' own."""
    return "/" in resource and not resource.partition("/")[0].endswith("kubernetes.io")


def _used_by_node(pods: Iterable[Object], resource: str) -> dict[str, int]:
    used: dict[str, int] = {}
    for pod in pods:
        node = pod.get("spec", {}).get("nodeName")
        if node:
            used[node] = used.get(node, 0) + held(pod, resource)
    return used


def _scheduled(pods: Iterable[Object], question: DevicesQuestion) -> dict[str, int]:
    found: dict[str, int] = {}
    for pod in pods:
        metadata = pod["metadata"]
        if _ours(pod, question) and pod["spec"].get("nodeName") and not metadata.get("deletionTimestamp"):
            revision = str(metadata["labels"].get(naming.LABEL_REVISION, ""))
            found[revision] = found.get(revision, 0) + 1
    return found


def _claims(pod: Object, question: DevicesQuestion) -> bool:
    """Whether another model's pod is about to take devices: not placed yet, and not known to fit nowhere."""
    conditions = pod.get("status", {}).get("conditions") or ()
    refused = any(c.get("type") == "PodScheduled" and c.get("reason") == PodReason.UNSCHEDULABLE for c in conditions)
    return not pod["spec"].get("nodeName") and not refused and not _ours(pod, question)


def _ours(pod: Object, question: DevicesQuestion) -> bool:
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    return metadata.get("namespace") == question.namespace and labels.get(naming.LABEL_OWNER) == question.model


def _quota_left(quotas: Iterable[Object], resource: str) -> int | None:
    """The least that an unscoped quota leaves; scoped ones may not apply to these pods."""
    key = f"{QUOTA_PREFIX}{resource}"
    left = []
    for quota in quotas:
        spec = quota.get("spec", {})
        hard = (spec.get("hard") or {}).get(key)
        if hard is not None and not spec.get("scopes") and not spec.get("scopeSelector"):
            used = (quota.get("status", {}).get("used") or {}).get(key, 0)
            left.append(max(0, _whole(hard) - _whole(used)))
    return min(left, default=None)


def _requested(container: Object, resource: str) -> int:
    """Extended resources cannot be overcommitted: requests equal limits, and either may be omitted."""
    resources = container.get("resources") or {}
    for part in ("requests", "limits"):
        value = (resources.get(part) or {}).get(resource)
        if value is not None:
            return _whole(value)
    return 0


def _whole(value: Any) -> int:
    """A quantity of devices as a whole number; the API server may write 1000 as "1k"."""
    text = str(value)
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)


def _name(object_: Object) -> str:
    return str(object_.get("metadata", {}).get("name", ""))
