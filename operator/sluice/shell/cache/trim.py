"""Reduces objects to what decisions are made from: memory is per object, and a change in the rest wakes no key."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from sluice_core.kernel import differ, naming, rawobjects
from sluice_core.kernel.snapshot import Object
from sluice_core.render import scaledobject
from sluice_core.render.traffic import sharedservice
from sluice_core.rollout.routing import address

Trim: TypeAlias = Callable[[Object], dict[str, Any]]

ANNOTATIONS: Final = (
    address.ANNOTATION_REPAIRED,
    address.ANNOTATION_SETTLE_UNTIL,
    address.ANNOTATION_SETTLING,
    differ.ANNOTATION_APPLIED,
    naming.ANNOTATION_DRAIN_UNTIL,
    naming.ANNOTATION_FORGET_AFTER,
    naming.ANNOTATION_OUTCOME,
    naming.ANNOTATION_STABLE_SINCE,
    scaledobject.ANNOTATION_PAUSED,
    sharedservice.ANNOTATION_PREVIEW,
    sharedservice.ANNOTATION_WEIGHTS,
)
"""All annotations that are read, of objects themselves: those of a pod template are part of a spec."""
DROPPED_METADATA: Final = frozenset({"managedFields", "selfLink"})
MODEL: Final = "ModelDeployment"
DECIDED_ON: Final = frozenset({MODEL, "ModelRollout", "BatchInference"})
"""Kinds whose status is a record: rewritten without it, it would be lost."""
HEARTBEATS: Final = frozenset({"lastProbeTime", "lastUpdateTime", "lastHeartbeatTime"})
INTERNED_LENGTH: Final = 64
DEEPEST: Final = 64
"""The most levels of an object; Kubernetes' kinds and ours stay below 25. Comparing and parsing recurse into them."""


MOST_BYTES: Final = 2**20
"""The approximate memory kept of one object at most; the largest of those in use take a tenth."""
ITEM_BYTES: Final = 50
"""Approximate bytes of an entry in a mapping or list: a key, which most objects share, and a number or a short
string."""
OUR_LABELS: Final = (
    naming.LABEL_MANAGED_BY,
    naming.LABEL_OWNER,
    naming.LABEL_REVISION,
    naming.LABEL_BATCH,
    rawobjects.JOB_NAME_LABEL,
)


class Unusable(ValueError):
    """An object is too deep or too large to handle; the message says so."""


def trimmed(raw: Object) -> dict[str, Any]:
    """A copy with only the fields that are used; equal strings are shared between objects.

    A malformed object may raise anything: see `unreadable`.
    """
    return measured(raw)[0]


def measured(raw: Object) -> tuple[dict[str, Any], int]:
    """The result of `trimmed`, and its approximate size in bytes."""
    special = BY_KIND.get(str(raw.get("kind")))
    kept = {**raw, **special(raw)} if special is not None else {**raw}
    kept["metadata"] = _metadata(raw.get("metadata") or {})
    if raw.get("kind") == MODEL:
        kept["metadata"]["managedFields"] = [
            {"time": each.get("time"), "fieldsV1": {"f:spec": {}}} for each in rawobjects.spec_writes(raw)
        ]
    copy = Copy(MOST_BYTES)
    shared: dict[str, Any] = copy.of(kept)
    copy.of(())  # a long string at the end
    return shared, copy.size


def readable(raw: Object) -> dict[str, Any]:
    """The result of `trimmed`, or else its stub."""
    try:
        return trimmed(raw)
    except Exception as error:  # noqa: BLE001 - it is said in the object's condition, or in its owner's
        return unreadable(raw, error)


def unreadable(raw: Object, error: Exception) -> dict[str, Any]:
    """The stub of an object that cannot be trimmed: its owner, the reason, and the record of what was decided on it."""
    stub: dict[str, Any] = {"apiVersion": raw.get("apiVersion"), "kind": raw["kind"]}
    stub["metadata"] = _identifying(raw["metadata"])
    if raw["kind"] in DECIDED_ON:
        stub["status"] = _record(raw.get("status"))
    stub[rawobjects.UNREADABLE] = str(error) if isinstance(error, Unusable) else f"{type(error).__name__}: {error}"
    return stub


def _record(status: Any) -> Any:
    """A status that can be read, or none."""
    try:
        return Copy().of(status) if isinstance(status, dict) else {}
    except Unusable:
        return {}


def size_of(kept: Object) -> int:
    """The approximate size of a trimmed object in bytes."""
    copy = Copy()
    copy.of(kept)
    return copy.size


def same_content(one: Object, other: Object) -> bool:
    """Whether two trimmed objects look the same to every decision."""
    return _without_version(one) == _without_version(other)


def _without_version(trimmed_object: Object) -> dict[str, Any]:
    metadata = {key: value for key, value in trimmed_object["metadata"].items() if key != "resourceVersion"}
    return {**trimmed_object, "metadata": metadata}


def _identifying(metadata: Object) -> dict[str, Any]:
    """The object's identity and its owner; other labels, annotations and owners may be anything."""
    fields = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
    labels = _only(metadata.get("labels") or {}, *OUR_LABELS)
    found: dict[str, Any] = Copy().of({**_only(metadata, *fields), **({"labels": labels} if labels else {})})
    return found


def _metadata(metadata: Object) -> dict[str, Any]:
    kept = {key: value for key, value in metadata.items() if key not in DROPPED_METADATA}
    if annotations := _only(kept.pop("annotations", None) or {}, *ANNOTATIONS):
        kept["annotations"] = annotations
    return kept


def _pod(pod: Object) -> dict[str, Any]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    return {
        "spec": {
            "initContainers": [
                _only(container, "name", "image") | _secrets(container)
                for container in spec.get("initContainers") or ()
            ],
            "containers": [_only(container, "name", "image") for container in spec.get("containers") or ()],
            **_image_volumes(spec),
        },
        "status": {
            **_only(status, "phase", "reason", "message"),
            **(_only(status, "podIP") if _is_asked(pod) else {}),
            "conditions": _dated_conditions(status),
            **{
                field: [
                    _only(container, "name", "image", "ready", "restartCount", "state", "lastState")
                    for container in status.get(field) or ()
                ]
                for field in ("initContainerStatuses", "containerStatuses")
            },
        },
    }


def _is_asked(pod: Object) -> bool:
    """Whether the operator sends requests to the pod itself."""
    labels = rawobjects.labels(pod)
    return naming.LABEL_BATCH in labels or naming.is_aside(str(labels.get(naming.LABEL_OWNER, "")), naming.RESOLVER)


def _secrets(container: Object) -> dict[str, Any]:
    """The keys of Secrets that a container cannot do without: they show which one is missing."""
    references = [(each.get("valueFrom") or {}).get("secretKeyRef") for each in container.get("env") or ()]
    kept = [{"valueFrom": {"secretKeyRef": _only(each, "key", "optional")}} for each in references if each]
    return {"env": kept} if kept else {}


def _image_volumes(spec: Object) -> dict[str, Any]:
    """Images that the kubelet mounts: those of models."""
    volumes = [each for each in spec.get("volumes") or () if each.get("image")]
    kept = [_only(each, "name") | {"image": _only(each["image"], "reference")} for each in volumes]
    return {"volumes": kept} if kept else {}


def _deployment(deployment: Object) -> dict[str, Any]:
    status = deployment.get("status") or {}
    counts = _only(status, "observedGeneration", "replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
    return {"status": {**counts, "conditions": _conditions(status)}}


def _endpoint_slice(endpoints: Object) -> dict[str, Any]:
    return {
        "endpoints": [
            {
                **_only(endpoint, "addresses", "conditions"),
                "targetRef": _only(endpoint.get("targetRef") or {}, "kind", "name", "uid"),
            }
            for endpoint in endpoints.get("endpoints") or ()
        ]
    }


def _gateway(gateway: Object) -> dict[str, Any]:
    """A Gateway without the count of attached routes, which changes with every model in the cluster."""
    status = gateway.get("status") or {}
    listeners = [
        {**_only(listener, "name"), "conditions": _conditions(listener)} for listener in status.get("listeners") or ()
    ]
    by_name = sorted(listeners, key=lambda listener: str(listener.get("name")))
    return {"status": {**_only(status, "addresses"), "conditions": _conditions(status), "listeners": by_name}}


def _route(route: Object) -> dict[str, Any]:
    status = route.get("status") or {}
    parents = [{**parent, "conditions": _conditions(parent)} for parent in status.get("parents") or ()]
    in_order = sorted(parents, key=lambda parent: (str(parent.get("controllerName")), str(parent.get("parentRef"))))
    return {"status": {**status, "parents": in_order}}


def _job(job: Object) -> dict[str, Any]:
    """Whether it is suspended or has ended, and which of its indexes have; its pods show the rest."""
    spec, status = job.get("spec") or {}, job.get("status") or {}
    ended = _only(status, "completedIndexes", "failedIndexes")
    return {"spec": _only(spec, "suspend"), "status": {**ended, "conditions": _dated_conditions(status)}}


def _spark_application(application: Object) -> dict[str, Any]:
    """Whether it is suspended or has ended; the driver's pod shows the rest."""
    spec, status = application.get("spec") or {}, application.get("status") or {}
    return {"spec": _only(spec, "suspend"), "status": _only(status, "applicationState", "terminationTime")}


def _autoscaler(autoscaler: Object) -> dict[str, Any]:
    """Whether it can measure, not the measurements, which change all the time."""
    conditions = _conditions(autoscaler.get("status") or {})
    return {
        "status": {"conditions": [condition for condition in conditions if condition.get("type") == "ScalingActive"]}
    }


def _metadata_alone(_: Object) -> dict[str, Any]:
    return {"spec": {}, "status": {}}


def _without_status(_: Object) -> dict[str, Any]:
    return {"status": {}}


BY_KIND: Final[Mapping[str, Trim]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "EndpointSlice": _endpoint_slice,
    "Gateway": _gateway,
    "HTTPRoute": _route,
    "GRPCRoute": _route,
    "Job": _job,
    "Namespace": _metadata_alone,
    "SparkApplication": _spark_application,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _without_status,
    "ScaledObject": _without_status,
    "Service": _without_status,
}


def _conditions(status: Object) -> list[dict[str, Any]]:
    """The conditions without the times at which they are repeated, as gateways do whenever anything changes."""
    return [_without(condition, "lastTransitionTime") for condition in _dated_conditions(status)]


def _dated_conditions(status: Object) -> list[dict[str, Any]]:
    """The conditions by type: their writer may order them differently each time, as Contour does."""
    found = [
        {key: value for key, value in condition.items() if key not in HEARTBEATS}
        for condition in status.get("conditions") or ()
    ]
    return sorted(found, key=lambda condition: str(condition.get("type")))


def _only(mapping: Object, *fields: str) -> dict[str, Any]:
    return {field: mapping[field] for field in fields if field in mapping}


def _without(mapping: Object, field: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != field}


class Copy:
    """Copies values with every key and short string stored once in the process: JSON makes new ones for each object."""

    def __init__(self, most_bytes: float = math.inf) -> None:
        self.size = 0
        """The approximate size of the copies in bytes."""
        self._most_bytes = most_bytes

    def of(self, value: Any, levels: int = DEEPEST) -> Any:
        """Raises `Unusable` as soon as the copy is too deep or too large."""
        if isinstance(value, str):
            if len(value) <= INTERNED_LENGTH:
                return sys.intern(str(value))
            self.size += len(value)
            return value
        if not isinstance(value, dict | list | tuple):
            return value
        if levels == 0:
            raise Unusable(f"nested more than {DEEPEST} levels deep")
        self.size += sys.getsizeof(value) + ITEM_BYTES * len(value)
        if self.size > self._most_bytes:
            raise Unusable(f"what the operator needs of it takes more than {MOST_BYTES >> 10} KiB of memory")
        if isinstance(value, dict):
            return {sys.intern(str(key)): self.of(item, levels - 1) for key, item in value.items()}
        return [self.of(item, levels - 1) for item in value]
