"""The number of pods on each side of a release, so that none waits for a missing device.

    Surge          candidate beside all of stable; the scheduler finds room, or a node autoscaler makes it
    ShrinkStable   at most one pod more than at rest, by turns:
                   candidate +1 ── ready ──> its weight follows ── programmed ──> stable -1 ──> candidate +1 …
    Recreate       stable to 0 ── its pods are gone ──> candidate
    Auto           Surge where the devices are free, otherwise ShrinkStable, otherwise it waits

Stable never has fewer pods than its share of the requests needs. While it shrinks, a step is decided before all of its
pods exist, and the candidate's weight follows its ready pods (`Capacity.ramps`): otherwise the last pod of the
candidate and the share of stable would wait for each other. All of this state is in the Deployments.
"""

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout.capacity import needs, pods, shares, shrinking
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.capacity.scene import Scene
from sluice_core.situation.devices import Devices
from sluice_core.situation.situation import Situation, testing, validating


def plan(situation: Situation, devices: Devices | None) -> Capacity:
    """The replicas of this reconcile; `devices` answers `question`, and is None if it was not asked."""
    active = situation.active
    if active is None or validating(active):
        return Capacity(_restored(situation), 0, "", CapacityMode.SURGE)
    scene = Scene(situation, active, shares.whole(situation), devices, needs.question(situation))
    if situation.stable is None or active.spec.source is None:
        missing = scene.missing(pods=scene.ahead - scene.placed) if scene.room(stable=0) < scene.ahead else ""
        return Capacity(scene.replicas, scene.ahead, missing, CapacityMode.SURGE)
    if active.spec.capacity is CapacityMode.RECREATE:
        return _recreated(scene, situation.stable)
    if testing(active):
        return _arms_beside(scene, active)
    if active.spec.capacity is CapacityMode.SURGE or (scene.unlimited and not scene.shrinks):
        return Capacity(scene.replicas, scene.evenly_ahead, "", CapacityMode.SURGE)
    if situation.snapshot.by_service:
        return shrinking.beside(scene, situation.stable)
    return shrinking.limited(scene, situation.stable)


def _recreated(scene: Scene, stable: Revision) -> Capacity:
    """Scales down stable first, and any version that serves in its place; an existing candidate stays, whatever happens
    to stable."""
    created = scene.candidate is not None and scene.candidate.replicas > 0
    first = (stable, *pods.in_the_way(scene.situation))
    if not created and any(pods.existing(revision) > 0 for revision in first):
        return Capacity(0, 0, "", CapacityMode.RECREATE)
    missing = scene.missing(pods=scene.replicas - scene.placed) if scene.room(stable=0) < scene.replicas else ""
    return Capacity(0, scene.replicas, missing, CapacityMode.RECREATE)


def _arms_beside(scene: Scene, active: ModelRollout) -> Capacity:
    """Every arm has pods for its share beside all of stable: all of them, or none yet (see `beside`)."""
    rules = active.spec.ab_test
    weights = rules.shares if rules is not None else {}
    arms = scene.candidates
    needs = {arm.name: shares.pods_for(weights[arm.name], scene.replicas) for arm in arms}
    most = max(needs.values(), default=0)
    if not scene.limited:
        return Capacity(scene.replicas, most, "", CapacityMode.SURGE, needs)
    placed = {arm.name: min(scene.placed_of(arm), needs[arm.name]) for arm in arms}
    lacking = sum(needs.values()) - sum(placed.values())
    if lacking <= scene.free(stable=scene.replicas):
        return Capacity(scene.replicas, most, "", CapacityMode.SURGE, needs)
    held = {
        arm.name: max(placed[arm.name], min(arm.ready_endpoints, needs[arm.name])) if scene.begun else 0 for arm in arms
    }
    lacking = sum(needs.values()) - sum(min(number, placed[name]) for name, number in held.items())
    return Capacity(scene.replicas, 0, scene.missing(pods=lacking), CapacityMode.SURGE, held)


def _restored(situation: Situation) -> int:
    """Stable's replicas at rest; after ShrinkStable it grows as the pods of the other version end.

    A version that may scale to 0 does not while another one still has requests that will return to it.
    """
    stable, latest = situation.stable, situation.latest
    wanted = max(shares.at_rest(situation), 1 if pods.others_serve(situation) else 0)
    if stable is None or latest is None or latest.spec.capacity is not CapacityMode.SHRINK_STABLE:
        return wanted
    return min(wanted, pods.grown(stable, wanted + pods.EXTRA - pods.leaving_pods(situation)))
