"""Changes that others made to Sluice's objects."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_core.kernel import differ
from sluice_core.kernel.news import happening, spell
from sluice_core.kernel.plan import Apply, Event, Write
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Object
from sluice_core.situation.situation import Situation

_REMEDIES: Final = dict.fromkeys(("HTTPRoute", "GRPCRoute"), "To change weights, use kubectl sluice or spec.rollout")


def events(situation: Situation, writes: tuple[Write, ...]) -> Iterator[Event]:
    """Events when an object of ours that someone else changed or deleted is restored."""
    for write in writes:
        if not isinstance(write, Apply):
            continue
        kind, name = write.manifest["kind"], write.manifest["metadata"]["name"]
        observed = situation.snapshot.objects.get((kind, name))
        remedy = _REMEDIES.get(kind, "To change it, change the ModelDeployment")
        if observed is None and kind in ("Deployment", "Service") and name in _was_there(situation):
            message = f"{kind} {name} was deleted by somebody else; it was created again. {remedy}"
            yield _event(situation, message, (kind, name))
        elif observed is not None and _changed_by_others(situation, write.manifest, observed):
            message = f"{kind} {name} was changed by somebody else; it was put back. {remedy}"
            yield _event(situation, message, (kind, name))


def _event(situation: Situation, message: str, put_back: tuple[str, str]) -> Event:
    """One event; repeated changes of the same object are reported once in a while."""
    now, model = situation.snapshot.now, situation.snapshot.deployment.metadata
    id_ = happening(model.uid, Reason.DRIFT_CORRECTED, message, spell(now))
    return Event(Reason.DRIFT_CORRECTED, message, id_, now, put_back)


def _was_there(situation: Situation) -> frozenset[str]:
    """Revisions that have once had ready pods of this model, since they serve or are being released."""
    stable, active = situation.stable, situation.active
    known = [] if active is None else [(arm.revision, arm.ready_time) for arm in active.status.arms]
    if active is not None and situation.candidate is not None:
        known.append((situation.candidate.name, active.status.ready_time))
    served = [] if stable is None or situation.snapshot.unseen else [stable.name]
    return frozenset([*served, *(name for name, ready_time in known if ready_time is not None)])


def _changed_by_others(situation: Situation, manifest: Mapping[str, Any], observed: Object) -> bool:
    """Whether this very manifest was applied, and yet the object differs."""
    if situation.snapshot.deployment.spec.autoscaling is not None and manifest["kind"] == "Deployment":
        # An autoscaled object's replicas are not in the hash: a difference may be the operator's own change.
        manifest = {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}
    applied = observed["metadata"].get("annotations", {}).get(differ.ANNOTATION_APPLIED)
    same = applied == manifest["metadata"]["annotations"][differ.ANNOTATION_APPLIED]
    return bool(same and differ.needs_apply(manifest, observed))
