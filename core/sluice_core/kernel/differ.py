"""Whether an object must be written: nothing is written when nothing changed.

The observed object has more than we sent: the server's defaults, and fields of others. So drift means that something
desired is missing. Fields that were sent once and are no longer desired would be overlooked; they show in an annotation
with the hash of the last applied manifest.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sluice_core.api.base import GROUP, ObjectMeta
from sluice_core.kernel.plan import Write, status_write
from sluice_core.kernel.snapshot import Object
from sluice_judge import hashing
from sluice_judge.schema.model import ApiModel

ANNOTATION_APPLIED: Final = f"{GROUP}/applied-hash"

QUANTITIES: Final = {"requests", "limits"}
"""Maps whose values are resource quantities: the server may write "1000m" as "1"."""
QUANTITY: Final = {"sizeLimit", "divisor"}
"""Fields that are a single resource quantity."""
MERGE_KEYS: Final = {
    "containers": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists that several writers may share, with the key of their entries; others' entries can be neither seen nor removed."""
TRISTATE: Final = {
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "replicas",
    "weight",
}
"""Fields whose absence differs from false or 0; elsewhere the server drops zero values."""

_QUANTITY: Final = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), None: Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def stamped(desired: Object) -> dict[str, Any]:
    """The manifest with its own hash as an annotation."""
    metadata = dict(desired.get("metadata", {}))
    annotations = {**metadata.get("annotations", {}), ANNOTATION_APPLIED: hashing.stable_hash(desired)}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def needs_apply(desired_stamped: Object, observed: Object | None) -> bool:
    """Whether the manifest must be applied: absent, changed or no longer desired fields, or another writer's change.

    Ignores the status, which is written separately.
    """
    return observed is None or not equal(desired_stamped, observed)


def settled(desired_stamped: Object, observed: Object) -> str:
    """A fingerprint of the manifest and of the object's values for its fields.

    Changes of fields outside the manifest do not affect it.
    """
    return hashing.stable_hash([desired_stamped, _projected(observed, desired_stamped, key="")], length=32)


def equal(desired: Any, observed: Any) -> bool:
    """Whether `observed` has everything that is `desired`."""
    return _contains(observed, desired, key="")


def status_writes(
    kind: str, metadata: ObjectMeta, before: ApiModel, after: ApiModel, *, after_seconds: float = 0.0
) -> Iterator[Write]:
    """The whole status of one of our own kinds, unless the object has it already. after_seconds: as in `ApplyStatus`."""
    if after != before and not status_equal(after.to_wire(), before.to_wire()):
        yield status_write(kind, metadata.name, metadata.namespace, after, after_seconds=after_seconds)


def status_equal(desired: Object, observed: Object | None) -> bool:
    """Whether two statuses say the same; fields that are null or empty count as absent."""
    return _says_same(desired, observed or {})


def _contains(observed: Any, desired: Any, key: str) -> bool:
    """Most of a reconcile at rest is spent here, so JSON types are recognised by their class, not by `Mapping`."""
    if isinstance(desired, dict):
        return isinstance(observed, dict) and _has_fields(observed, desired, key)
    if isinstance(desired, list | tuple):
        return isinstance(observed, list | tuple) and _list_contains(observed, desired, key)
    if key in QUANTITY:
        return _same_quantity(desired, observed)
    # True == 1 in Python, but not in JSON.
    return bool(desired == observed) and isinstance(desired, bool) == isinstance(observed, bool)


def _has_fields(observed: dict[str, Any], desired: dict[str, Any], parent: str) -> bool:
    quantities = parent in QUANTITIES
    for name, want in desired.items():
        have = observed.get(name)
        if have is None:
            if want or name in TRISTATE:
                return False
        elif isinstance(want, str) and have == want:  # most fields
            continue
        elif quantities and not isinstance(want, dict):
            if not _same_quantity(want, have):
                return False
        elif not _contains(have, want, name):
            return False
    return True


def _list_contains(observed: Sequence[Any], desired: Sequence[Any], key: str) -> bool:
    merge_key = MERGE_KEYS.get(key)
    if merge_key is not None and _keyed(observed, merge_key) and _keyed(desired, merge_key):
        present = {item[merge_key]: item for item in observed}
        return all(_contains(present.get(item[merge_key]), item, key="") for item in desired)
    return len(observed) == len(desired) and all(
        _contains(have, want, key="") for have, want in zip(observed, desired, strict=True)
    )


def _projected(observed: Any, desired: Any, key: str) -> Any:
    """What `observed` has of the fields that are `desired`."""
    if isinstance(desired, Mapping) and isinstance(observed, Mapping):
        return {name: _projected(observed.get(name), want, name) for name, want in desired.items()}
    if not (isinstance(desired, list | tuple) and isinstance(observed, list | tuple)):
        return observed
    merge_key = MERGE_KEYS.get(key)
    if merge_key is not None and _keyed(observed, merge_key) and _keyed(desired, merge_key):
        present = {item[merge_key]: item for item in observed}
        return [_projected(present.get(item[merge_key]), item, key="") for item in desired]
    if len(observed) != len(desired):
        return observed
    return [_projected(have, want, key="") for have, want in zip(observed, desired, strict=True)]


def _keyed(items: Sequence[Any], key: str) -> bool:
    """Whether every item has the key, with unique values."""
    keys = [item.get(key) if isinstance(item, Mapping) else None for item in items]
    return None not in keys and len(set(keys)) == len(keys)


def _same_quantity(first: Any, second: Any) -> bool:
    one, other = quantity(first), quantity(second)
    return bool(first == second) if one is None or other is None else one == other


def quantity(value: Any) -> Decimal | None:
    match = _QUANTITY.match(str(value))
    return None if match is None else Decimal(match.group(1)) * _SUFFIXES[match.group(2)]


def _says_same(one: Any, other: Any) -> bool:
    """Ends at the first difference: most of what is compared in a release differs, and soon."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(
            _says_same(one.get(name), other.get(name))
            or (_says_nothing(one.get(name)) and _says_nothing(other.get(name)))
            for name in one.keys() | other.keys()
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_says_same, one, other))
    return bool(one == other)


def _says_nothing(value: Any) -> bool:
    """Whether a field is null or empty; an object is if all its fields are."""
    if isinstance(value, dict):
        return all(map(_says_nothing, value.values()))
    return value is None or (isinstance(value, list | tuple) and not value)
