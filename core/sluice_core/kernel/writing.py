"""Writes of one object, compared with what exists."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_core.api.base import API_VERSION
from sluice_core.kernel import differ, rawobjects
from sluice_core.kernel.plan import Apply, Delete, Ref, Write
from sluice_core.kernel.snapshot import Object, Snapshot
from sluice_judge import memo

API_VERSIONS: Final = {
    "Deployment": "apps/v1",
    "Service": "v1",
    "Job": "batch/v1",
    "ModelRollout": API_VERSION,
    "ControllerRevision": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "ScaledObject": "keda.sh/v1alpha1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
}

_AGREED: Final = memo.Memo[Object, Mapping[str, Any]](256)
"""Observed objects, each with the manifest that it last agreed with, about 2 KiB each. Compressed objects do not stay
open for longer (`shell/cache/shelf.py`)."""


def applied(snapshot: Snapshot, manifest: Mapping[str, Any]) -> Iterator[Write]:
    """Applies the manifest unless the object agrees with it."""
    observed = snapshot.objects.get((manifest["kind"], manifest["metadata"]["name"]))
    if observed is not None and _AGREED.get(observed) == manifest:
        return
    stamped = differ.stamped(manifest)
    if observed is not None and differ.equal(stamped, observed):
        _AGREED.put(observed, manifest)
    elif is_needed(snapshot, stamped, observed):
        yield apply(stamped, observed)


def apply(manifest: Mapping[str, Any], observed: Object | None) -> Apply:
    """An apply of exactly the observed object, or of a new one."""
    return Apply(manifest, rawobjects.uid(observed) if observed is not None else "")


def is_needed(snapshot: Snapshot, stamped: Mapping[str, Any], observed: Object | None) -> bool:
    """Whether to apply a manifest: not if the result would be the existing object, as an admission webhook modifies it."""
    if observed is None:
        return True
    return differ.needs_apply(stamped, observed) and differ.settled(stamped, observed) not in snapshot.admitted


def admitted(stamped: Mapping[str, Any], answer: Object) -> str | None:
    """What to remember of the answer to an Apply that the API server changed, and would change again.

    None if the object is as it was sent.
    """
    return differ.settled(stamped, answer) if differ.needs_apply(stamped, answer) else None


def deleted(snapshot: Snapshot, kind: str, name: str) -> Iterator[Write]:
    """Deletes the object unless it is missing or being deleted."""
    observed = snapshot.objects.get((kind, name))
    if observed is not None and not rawobjects.is_going(observed):
        yield Delete(Ref(API_VERSIONS[kind], kind, name, snapshot.namespace, observed["metadata"].get("uid", "")))
