"""Reduces objects to what a page shows: the rest may be megabytes, and takes many times as much memory."""

from typing import Any, Final

from sluice_core.kernel import rawobjects
from sluice_core.kernel.rawobjects import Object

MOST_BYTES: Final = 2**20
"""The approximate memory of one object at most; the largest of those in use take a tenth."""
ITEM_BYTES: Final = 80
"""The approximate size of an entry of a mapping beside its value."""
OURS: Final = ("sluice.dev/", "app.kubernetes.io/", "batch.kubernetes.io/")
"""Prefixes of the labels and annotations that are read."""
POD_SPEC: Final = ("nodeName", "volumes", "resourceClaims")
CONTAINER: Final = ("name", "image", "resources", "restartPolicy")


class ObjectTooLarge(ValueError):
    """What is left of an object takes more than `MOST_BYTES`."""


def slimmed(raw: Object) -> dict[str, Any]:
    """A copy without foreign labels and annotations, and without unread fields of a pod. Raises `ObjectTooLarge`."""
    kept = {**raw, "metadata": _metadata(raw)}
    if raw.get("kind") == "Pod":
        kept["spec"] = _pod_spec(raw.get("spec") or {})
    if weight(kept) > MOST_BYTES:
        raise ObjectTooLarge(
            f"{raw.get('kind')} {rawobjects.name(raw)} takes more than {MOST_BYTES >> 10} KiB of memory"
        )
    return kept


def weight(value: Any, most: int = MOST_BYTES) -> int:
    """The approximate size of a value in memory, in bytes; counting stops beyond `most`."""
    total, rest = 0, [value]
    while rest and total <= most:
        match rest.pop():
            case str() as text:
                total += 50 + len(text)
            case dict() as mapping:
                total += 64 + sum(ITEM_BYTES + len(key) for key in mapping)
                rest.extend(mapping.values())
            case list() | tuple() as items:
                total += 56 + 8 * len(items)
                rest.extend(items)
            case _:
                total += 32
    return total


def _metadata(raw: Object) -> dict[str, Any]:
    metadata = raw.get("metadata") or {}
    kept = {key: value for key, value in metadata.items() if key not in ("labels", "annotations", "managedFields")}
    for field in ("labels", "annotations"):
        if found := {key: value for key, value in (metadata.get(field) or {}).items() if key.startswith(OURS)}:
            kept[field] = found
    writes = [
        {**_only(each, "manager", "time", "subresource"), "fieldsV1": {} if each.get("subresource") else {"f:spec": {}}}
        for each in (*rawobjects.spec_writes(raw), *rawobjects.status_writes(raw))
    ]
    return {**kept, "managedFields": writes} if writes else kept


def _pod_spec(spec: Object) -> dict[str, Any]:
    containers = {
        field: [_only(each, *CONTAINER) | _secrets(each) for each in spec.get(field) or ()]
        for field in ("initContainers", "containers")
    }
    return _only(spec, *POD_SPEC) | containers


def _secrets(container: Object) -> dict[str, Any]:
    """The references by which a missing Secret is recognised."""
    env = [each for each in container.get("env") or () if (each.get("valueFrom") or {}).get("secretKeyRef")]
    return {"env": env} if env else {}


def _only(mapping: Object, *fields: str) -> dict[str, Any]:
    return {field: mapping[field] for field in fields if field in mapping}
