"""Keys of reconciled objects, the owners of others, and the keys to wake after a change."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from sluice.shell.cache.stubs import Identity
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.naming import LABEL_BATCH, LABEL_OWNER, owner_name
from sluice_core.kernel.snapshot import Object

MODEL: Final = "ModelDeployment"
BATCH: Final = "BatchInference"
PINNED: Final = "ControllerRevision"


class Key(NamedTuple):
    """Names an object that is reconciled."""

    namespace: str
    name: str
    kind: str = MODEL
    """ModelDeployment or BatchInference."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.kind == MODEL else f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Woken:
    """The keys to wake after a change."""

    keys: frozenset[Key] = frozenset()
    """Woken at once: the object is theirs."""
    spread: bool = False
    """Wakes every key, spread over time: the object is shared."""
    asked: bool = False
    """Whether a person asks for something."""
    edited: bool = False
    """Whether a spec has changed."""

    def __or__(self, other: "Woken") -> "Woken":
        return Woken(
            self.keys | other.keys,
            self.spread or other.spread,
            self.asked or other.asked,
            self.edited or other.edited,
        )

    def __bool__(self) -> bool:
        return bool(self.keys) or self.spread


NOBODY: Final = Woken()


def identity_of(raw: Object) -> Identity:
    """The object's place in the store."""
    metadata = raw["metadata"]
    return Identity(str(raw["kind"]), metadata.get("namespace") or "", metadata["name"])


def owner_of(raw: Object) -> Key | None:
    """The ModelDeployment or BatchInference that the object's labels name. A release names it in its spec, whatever its
    labels, unless it belongs to something else."""
    metadata = raw["metadata"]
    labels = metadata.get("labels") or {}
    namespace = metadata.get("namespace") or ""
    released = (raw.get("spec") or {}).get("modelDeployment") if raw["kind"] == ModelRollout.kind else None
    owners = [owner.get("kind") for owner in metadata.get("ownerReferences") or ()]
    if released and (not owners or MODEL in owners):
        return Key(namespace, str(released))
    if LABEL_BATCH in labels:
        return Key(namespace, labels[LABEL_BATCH], BATCH)
    owner = labels.get(LABEL_OWNER)
    return None if owner is None else Key(namespace, owner_name(owner))


def model_of(batch: Object) -> Key | None:
    """The ModelDeployment that a BatchInference refers to, for an object that may not parse."""
    name = ((batch.get("spec") or {}).get("modelDeploymentRef") or {}).get("name")
    return Key(batch["metadata"].get("namespace") or "", str(name)) if name else None


def hosts_of(route: Object | None) -> tuple[str, ...]:
    """The host names of a route, which may not parse."""
    return tuple(map(str, ((route or {}).get("spec") or {}).get("hostnames") or ()))


def key_of(raw: Object, kind: str) -> Key:
    return Key(raw["metadata"].get("namespace") or "", raw["metadata"]["name"], kind)


def edits(before: Object | None, after: Object | None) -> bool:
    """Whether the spec of a ModelDeployment or BatchInference was written; a new object counts."""
    return after is not None and (before is None or before.get("spec") != after.get("spec"))


def asks(before: Object | None, after: Object | None) -> bool:
    """Whether an intent was written into a ModelRollout."""
    if before is None or after is None or after["kind"] != ModelRollout.kind:
        return False
    found = [(version.get("spec") or {}).get("intent") for version in (before, after)]
    return found[1] is not None and found[0] != found[1]
