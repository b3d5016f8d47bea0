"""An API server without a network, with its rules: uids, generations, immutable fields, the status subresource."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_core import errors
from sluice_core.api import crd
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Patch, Ref, Write
from sluice_judge import timestamps

Object = dict[str, Any]

START: Final = 1_700_000_000.0
MOST_BACKENDS: Final = 16
"""Limit for a route's rule, by the schema of the Gateway API."""
IMMUTABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "ControllerRevision": ("data",),
    "Deployment": ("spec.selector",),
    "Job": ("spec.template", "spec.selector", "spec.completions", "spec.completionMode"),
    "ModelRollout": (
        *("spec.modelDeployment", "spec.sequence", "spec.attempt", "spec.from", "spec.to", "spec.strategy"),
        *("spec.policy", "spec.baseReplicas", "spec.steps", "spec.abTest", "spec.capacity", "spec.rollback"),
        *("spec.maximumRequestsAtRisk", "spec.requestedInputHash", "spec.startStep", "spec.objectives"),
    ),
}


WITH_STATUS: Final = frozenset(model.kind for model in crd.KINDS if "status" in model.model_fields)
"""Our kinds whose status the API server fills with defaults; a status that a user writes there is dropped."""


class Refused(AssertionError):
    """The API server refuses the request."""


@dataclass
class ApiServer:
    """The objects of a simulated world; a refused write of the operator fails the test."""

    now: float = START
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    """By kind and name."""
    writes: list[Write] = field(default_factory=list)
    """The operator's, in order."""
    made: int = 0
    """How many objects were created so far."""
    admits: Callable[[Object], None] = lambda _: None
    """Admission webhooks: they change a written object in place."""

    def apply(self, write: Write) -> None:
        """Performs one write of the operator."""
        self.writes.append(write)
        match write:
            case Apply(manifest, uid):
                if "status" in manifest:
                    raise Refused("a status is written apart")
                self._require_expected(manifest, uid)
                self.store(manifest)
            case ApplyStatus(manifest):
                written = self._existing(Ref("", manifest["kind"], manifest["metadata"]["name"]))
                written["status"] = _sent(manifest["status"])
            case Patch(ref, change):
                old = self._existing(ref)
                self.store(_merged(old, change))
            case Delete(ref):
                if (ref.kind, ref.name) in self.objects:
                    self._delete(ref)

    def store(self, manifest: Mapping[str, Any]) -> Object:
        """Creates an object, or replaces all of it except its status; the stored object."""
        key, new = (manifest["kind"], manifest["metadata"]["name"]), _sent(manifest)
        self.admits(new)
        self._require_owners(new)
        _require_valid(new)
        old = self.objects.get(key)
        if old is None:
            self.made += 1
            created = timestamps.rfc3339(self.now)
            new["metadata"] |= {"uid": f"uid-{self.made}", "generation": 1, "creationTimestamp": created}
            if new["kind"] in WITH_STATUS:
                new["status"] = dict(crd.UNSEEN)
        else:
            _require_unchanged(old, new)
            kept = {name: old["metadata"][name] for name in ("uid", "creationTimestamp")}
            generation = old["metadata"]["generation"] + (_content(old) != _content(new))
            new["metadata"] |= kept | {"generation": generation}
            new["status"] = old.get("status", {})
        self.objects[key] = new
        return new

    def user_applies(self, manifest: Mapping[str, Any]) -> None:
        """A user's own write; `managedFields` show when the spec last changed."""
        old = self.objects.get((manifest["kind"], manifest["metadata"]["name"]))
        unchanged = old is not None and _content(old) == _content(_sent(manifest))
        written = {"manager": "kubectl", "time": timestamps.rfc3339(self.now), "fieldsV1": {"f:spec": {}}}
        fields = old["metadata"].get("managedFields") if old is not None and unchanged else [written]
        self.store({**manifest, "metadata": {**manifest["metadata"], "managedFields": fields}})

    def user_deletes(self, kind: str, name: str) -> None:
        """A user deletes an object; the garbage collector then deletes the objects that it owns."""
        uid = self.objects[kind, name]["metadata"]["uid"]
        self._delete(Ref("", kind, name))
        for key, one in list(self.objects.items()):
            owners = [owner["uid"] for owner in one["metadata"].get("ownerReferences", ())]
            if uid in owners and key in self.objects:
                self.user_deletes(*key)

    def _delete(self, ref: Ref) -> None:
        """At once, unless a finalizer holds the object."""
        metadata = self._existing(ref)["metadata"]
        if metadata.get("finalizers"):
            metadata.setdefault("deletionTimestamp", timestamps.rfc3339(self.now))
        else:
            del self.objects[ref.kind, ref.name]
            self.collect(ref)

    def of_kind(self, kind: str) -> list[Object]:
        return [one for (its_kind, _), one in self.objects.items() if its_kind == kind]

    def collect(self, gone: Ref) -> None:
        """The effects of a deletion; defined by the worlds that have any."""

    def _existing(self, ref: Ref) -> Object:
        found = self.objects.get((ref.kind, ref.name))
        if found is None:
            raise Refused(f"there is no {ref.kind} {ref.name}")
        if ref.uid and ref.uid != found["metadata"]["uid"]:
            raise Refused(f"{ref.kind} {ref.name} is {found['metadata']['uid']}, not {ref.uid}")
        return found

    def _require_expected(self, manifest: Mapping[str, Any], uid: str) -> None:
        found = self.objects.get((manifest["kind"], manifest["metadata"]["name"]))
        there = found["metadata"].get("uid", "") if found is not None else ""
        if there != uid:
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            raise errors.Conflict(f"{name} is {there or 'not there'}, not {uid or 'new'}")

    def _require_owners(self, new: Object) -> None:
        """The garbage collector deletes objects with a missing owner."""
        for owner in new["metadata"].get("ownerReferences", ()):
            self._existing(Ref("", owner["kind"], owner["name"], uid=owner["uid"]))


def _require_valid(new: Object) -> None:
    if new["kind"] in ("HTTPRoute", "GRPCRoute"):
        for rule in new["spec"]["rules"]:
            if len(rule["backendRefs"]) > MOST_BACKENDS:
                raise Refused(f"{new['kind']} {new['metadata']['name']}: more than {MOST_BACKENDS} backendRefs")


def _merged(old: Object, change: Mapping[str, Any]) -> Object:
    """A merge patch: null removes a field."""
    both = {
        name: _merged(old.get(name) or {}, new) if isinstance(new, Mapping) else new for name, new in change.items()
    }
    return {name: value for name, value in {**old, **both}.items() if value is not None}


def _require_unchanged(old: Object, new: Object) -> None:
    for path in IMMUTABLE.get(new["kind"], ()):
        if _at(old, path) != _at(new, path):
            raise Refused(f"{path} of {new['kind']} {new['metadata']['name']} can never be changed")


def _at(target: Object, path: str) -> Any:
    found: Any = target
    for name in path.split("."):
        found = found.get(name) if found else None
    return found


def _content(target: Object) -> Object:
    return {name: value for name, value in target.items() if name not in ("metadata", "status")}


def _sent(value: Any) -> Any:
    """A value after transfer as JSON."""
    return json.loads(json.dumps(value))
