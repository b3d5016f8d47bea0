"""Auto and ShrinkStable with a limited number of pods: both sides take turns."""

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout.capacity import pods, shares
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.capacity.scene import Scene


def limited(scene: Scene, stable: Revision) -> Capacity:
    """Auto and ShrinkStable with a limited number of pods."""
    shrinking, kept = scene.shrinks, _kept(scene, stable)
    if scene.unseen:
        mode = CapacityMode.SHRINK_STABLE if shrinking or kept < scene.replicas else CapacityMode.SURGE
        return Capacity(kept, min(scene.placed, scene.ahead), "", mode)
    if scene.fits_beside and not shrinking:
        return Capacity(scene.replicas, scene.ahead, "", CapacityMode.SURGE)
    step = scene.step
    if step.load_permille > step.permille or (not shrinking and not scene.shared):
        return beside(scene, stable)
    return _shrunk(scene, stable)


def beside(scene: Scene, stable: Revision) -> Capacity:
    """Previews and mirrored requests need pods while stable still has all users: all of them, or none yet.

    A step that has not begun gives up its pods: two releases that hold a part each would wait for each other for ever.
    """
    kept = _kept(scene, stable)
    if scene.room(stable=kept) >= scene.due:
        return Capacity(kept, min(scene.ahead, max(scene.due, scene.room(stable=kept))), "", CapacityMode.SURGE)
    held = max(
        scene.placed if scene.begun else 0, shares.pods_for(scene.exposed, scene.replicas) if scene.exposed else 0
    )
    return Capacity(
        kept, min(held, scene.due), scene.missing(pods=scene.due - min(held, scene.placed)), CapacityMode.SURGE
    )


def _shrunk(scene: Scene, stable: Revision) -> Capacity:
    """One turn: the candidate takes free devices, or stable gives up a pod, or the weight must follow first."""
    kept, candidate = _kept(scene, stable), scene.candidate
    ready = candidate.ready_endpoints if candidate is not None else 0
    count = min(scene.ahead, scene.room(stable=kept), _allowed(scene, stable, kept))
    count = max(count, min(scene.ahead, shares.pods_for(scene.exposed, scene.replicas)) if scene.exposed else 0)
    floor = shares.pods_left(scene.exposed, scene.replicas)
    short = count < scene.due and ready >= count and pods.existing(stable) <= stable.replicas
    if short and count > 0 and kept > floor and scene.programmed:
        return Capacity(kept - 1, count, "", CapacityMode.SHRINK_STABLE)
    stuck = short and kept <= floor and scene.exposed >= shares.permille_for(min(ready, count), scene.replicas)
    limited = kept < scene.replicas or count < scene.ahead or scene.shrinks
    mode = CapacityMode.SHRINK_STABLE if limited else CapacityMode.SURGE
    return Capacity(kept, count, _why(scene, stable) if stuck else "", mode)


def _kept(scene: Scene, stable: Revision) -> int:
    """Stable's pods unchanged, or as many more as its share needs and may have."""
    needed = shares.pods_left(scene.exposed, scene.replicas)
    if stable.replicas >= needed:
        return min(stable.replicas, scene.replicas)
    if not scene.shrinks:
        return needed
    taken = scene.others + (pods.existing(scene.candidate) if scene.candidate is not None else 0)
    return min(needed, pods.grown(stable, scene.replicas + pods.EXTRA - taken))


def _allowed(scene: Scene, stable: Revision, kept: int) -> int:
    """Candidate pods that ShrinkStable itself allows; Auto has no limit of its own."""
    if not scene.shrinks:
        return scene.ahead
    return max(0, scene.replicas + pods.EXTRA - max(kept, pods.existing(stable)) - scene.others)


def _why(scene: Scene, stable: Revision) -> str:
    """Why neither side can give the other a pod."""
    if scene.others and _allowed(scene, stable, stable.replicas) == 0:
        return (
            f"{scene.others} pods of an earlier version must end first: capacity ShrinkStable allows "
            f"{scene.replicas + pods.EXTRA} pods at a time"
        )
    return scene.missing(pods=1)
