"""Existing pods of versions that leave, and of those that grow again."""

from typing import Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.kernel.snapshot import Revision
from sluice_core.situation.situation import Situation, validating

EXTRA: Final = 1
"""Pods above those at rest while stable shrinks."""


def existing(revision: Revision) -> int:
    """Pods of a revision that hold their devices, terminating ones included, or are about to."""
    return max(revision.replicas, len(revision.pods))


def leaving(situation: Situation) -> tuple[Revision, ...]:
    """Revisions that neither serve nor are being released."""
    staying = {r.name for r in (situation.stable, *situation.candidates) if r is not None}
    if situation.active is not None and situation.active.spec.baseline_revision is not None:
        staying.add(situation.active.spec.baseline_revision)  # it holds up nobody
    return tuple(r for r in situation.snapshot.revisions if r.name not in staying)


def leaving_pods(situation: Situation) -> int:
    return sum(existing(r) for r in leaving(situation))


def in_the_way(situation: Situation) -> tuple[Revision, ...]:
    """Versions from an earlier release when one without room for two versions begins, and stable is down.

    They may have served until then. Like the stable version they are removed at once, before the candidate is created;
    those that drain already may do so.
    """
    active, stable = situation.active, situation.stable
    if active is None or active.spec.capacity is not CapacityMode.RECREATE or validating(active):
        return ()
    if stable is None or stable.replicas > 0 or stable.ready_endpoints > 0:
        return ()
    there = {name for kind, name in situation.snapshot.objects if kind == "Deployment"}
    return tuple(each for each in leaving(situation) if each.name in there and each.drain_until is None)


def others_serve(situation: Situation) -> bool:
    """Whether the route still sends requests to a version other than the stable one."""
    stable, route = situation.stable, situation.snapshot.route
    weights = route.weights if route is not None and stable is not None else ()
    return any(permille > 0 for name, permille in weights if stable is not None and name != stable.name)


def grown(stable: Revision, most: int) -> int:
    """Its replicas, or more while there are no more than `most` pods, including terminating ones."""
    return max(stable.replicas, most - (existing(stable) - stable.replicas))


def crowded(situation: Situation) -> str:
    """Why a Service cannot share requests between two versions yet, or empty: it cannot exclude the pods of a third."""
    others = [r.name for r in leaving(situation) if existing(r) > 0]
    if not situation.snapshot.by_service or not others:
        return ""
    return f"the pods of {', '.join(others)} must end first: a Service cannot exclude them"
