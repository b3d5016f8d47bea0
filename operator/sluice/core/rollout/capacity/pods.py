"""Pods that are there: of versions that leave, and of those that grow again."""

from typing import Final

from sluice.core.kernel.snapshot import Revision
from sluice.core.situation.situation import Situation

EXTRA: Final = 1
"""Pods above those at rest while stable shrinks."""


def existing(revision: Revision) -> int:
    """Pods of a revision that hold their devices, terminating ones included, or are about to."""
    return max(revision.replicas, len(revision.pods))


def leaving(situation: Situation) -> tuple[Revision, ...]:
    """Revisions that neither serve nor are being released."""
    staying = {r.name for r in (situation.stable, *situation.candidates) if r is not None}
    return tuple(r for r in situation.snapshot.revisions if r.name not in staying)


def leaving_pods(situation: Situation) -> int:
    return sum(existing(r) for r in leaving(situation))


def others_serve(situation: Situation) -> bool:
    """Whether the route still sends requests to another version than the stable one."""
    stable, route = situation.stable, situation.snapshot.route
    weights = route.weights if route is not None and stable is not None else ()
    return any(permille > 0 for name, permille in weights if stable is not None and name != stable.name)


def grown(stable: Revision, most: int) -> int:
    """Its replicas, or more while that makes no more than `most` pods, those that end still counted."""
    return max(stable.replicas, most - (existing(stable) - stable.replicas))


def crowded(situation: Situation) -> str:
    """Why a Service cannot share requests between two versions yet, or empty: it cannot leave out the pods of a third."""
    others = [r.name for r in leaving(situation) if existing(r) > 0]
    if not situation.snapshot.by_service or not others:
        return ""
    return f"the pods of {', '.join(others)} must end first: a Service cannot exclude them"
