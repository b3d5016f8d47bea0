"""How many pods each side of a release has, so that none waits for a device that is not there.

    Surge          candidate beside all of stable; the scheduler finds room, or a node autoscaler makes it
    ShrinkStable   at most one pod more than at rest, by turns:
                   candidate +1 ── ready ──> its weight follows ── programmed ──> stable -1 ──> candidate +1 …
    Recreate       stable to 0 ── its pods are gone ──> candidate
    Auto           Surge where the devices are free, otherwise ShrinkStable, otherwise it waits

Stable never has fewer pods than its share of the requests needs. While it shrinks, a step is decided on before all of
its pods are there, and the candidate's weight follows its ready pods (`Capacity.ramps`): otherwise the last pod of the
candidate and the share of stable would wait for each other. The memory of all this is in the Deployments alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluice.api.v1alpha1.common import CapacityMode
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.core.kernel.snapshot import Revision
from sluice.core.rollout import steps
from sluice.core.situation import devices as accelerators
from sluice.core.situation.devices import Devices, DevicesQuestion
from sluice.core.situation.situation import Situation, testing, validating

EXTRA: Final = 1
"""Pods above those at rest while stable shrinks."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Replicas of each side; with autoscaling they are the least that the HorizontalPodAutoscaler may go to."""

    stable_replicas: int
    candidate_replicas: int
    wait: str
    """Why pods that the release needs are not there, for a person; empty where nothing is missing."""
    mode: CapacityMode
    """What is done now, never Auto."""
    arms: Mapping[str, int] = field(default_factory=dict)
    """Replicas of each arm of an A/B test, by revision."""

    @property
    def ramps(self) -> bool:
        """Whether a step begins before all of its pods are ready, its weight following those that are."""
        return self.mode is CapacityMode.SHRINK_STABLE

    def replicas_of(self, candidate: str) -> int:
        """Replicas of one of the candidates."""
        return self.arms.get(candidate, self.candidate_replicas)


def pods_for(permille: int, replicas: int, *, by_service: bool = False) -> int:
    """Ready pods that a candidate needs before it may have this share: ⌈share·replicas⌉, at least one.

    by_service: pods are what makes the share. Beside all of stable, share/(1-share)·replicas, rounded, give it; never
    more than replicas, which is a half.
    """
    if by_service and permille < steps.WHOLE:
        beside = (2 * permille * replicas + steps.WHOLE - permille) // (2 * (steps.WHOLE - permille))
        return min(replicas, max(1, beside))
    return max(1, -(-permille * replicas // steps.WHOLE))


def permille_for(pods: int, replicas: int, *, by_service: bool = False) -> int:
    """The largest share that so many ready pods may have: ⌊pods/replicas⌋ in permille. by_service: that they have."""
    return min(steps.WHOLE, pods * steps.WHOLE // (replicas + (pods if by_service else 0)))


def pods_left(permille: int, replicas: int) -> int:
    """Pods that stable needs while the candidate has this share; at least one, for the way back.

    Inverse of `permille_for`: a share that was rounded down to a permille still frees its whole pods.
    """
    return max(1, replicas - (permille * replicas + replicas - 1) // steps.WHOLE)


def whole(situation: Situation) -> int:
    """R: the replicas that stand for all requests. With autoscaling those that stable has, or had when it began."""
    spec, stable, active = situation.snapshot.deployment.spec, situation.stable, situation.active
    if spec.autoscaling is None:
        return spec.replicas
    began = active.spec.base_replicas if active is not None and active.spec.source is not None else 1
    return max(spec.autoscaling.minimum_replicas, stable.replicas if stable is not None else 1, began)


def at_rest(situation: Situation) -> int:
    """Replicas of the stable version, or the fewest that its autoscaler may go to, when nothing is under way."""
    spec = situation.snapshot.deployment.spec
    return spec.replicas if spec.autoscaling is None else spec.autoscaling.minimum_replicas


def question(situation: Situation) -> DevicesQuestion | None:
    """What must be known of free devices; None where nothing depends on it."""
    active = situation.active
    if active is None or active.spec.capacity is CapacityMode.SURGE or _complete(situation, active):
        return None
    pods = next(iter(_candidates(situation)), None)
    wanted = accelerators.extended_resource(pods.template) if pods is not None else None
    if pods is None or wanted is None:
        return None
    spec = pods.template["spec"]
    return DevicesQuestion(
        resource=wanted[0],
        count=wanted[1],
        namespace=situation.snapshot.namespace,
        model=situation.snapshot.name,
        node_selector=spec.get("nodeSelector") or {},
        tolerations=tuple(spec.get("tolerations") or ()),
    )


def plan(situation: Situation, devices: Devices | None) -> Capacity:
    """The replicas of this pass; `devices` answers `question`, and is None where nothing was asked."""
    active = situation.active
    if active is None or validating(active):
        return Capacity(_restored(situation), 0, "", CapacityMode.SURGE)
    scene = _Scene(situation, active, whole(situation), devices, question(situation))
    if situation.stable is None or active.spec.source is None:
        missing = scene.missing(pods=scene.ahead - scene.placed) if scene.room(stable=0) < scene.ahead else ""
        return Capacity(scene.replicas, scene.ahead, missing, CapacityMode.SURGE)
    if active.spec.capacity is CapacityMode.RECREATE:
        return _recreated(scene, situation.stable)
    if testing(active):
        return _arms_beside(scene, active)
    if active.spec.capacity is CapacityMode.SURGE or (scene.unlimited and not _shrinks(active)):
        return Capacity(scene.replicas, scene.ahead, "", CapacityMode.SURGE)
    if situation.snapshot.by_service:
        return _beside(scene, situation.stable)
    return _limited(scene, situation.stable)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a running release needs, and what there is."""

    situation: Situation
    active: ModelRollout
    replicas: int
    devices: Devices | None
    asked: DevicesQuestion | None

    @property
    def candidate(self) -> Revision | None:
        return self.situation.candidate

    @property
    def due(self) -> int:
        """Candidate pods for the step that is decided on."""
        by_service = self.situation.snapshot.by_service
        return pods_for(_due(self.active).load_permille, self.replicas, by_service=by_service)

    @property
    def ahead(self) -> int:
        """Candidate pods for the step after it as well, so that an advance need not wait for pods.

        Not where more pods are a larger share.
        """
        return _ahead(self.active, self.replicas, by_service=self.situation.snapshot.by_service)

    @property
    def exposed(self) -> int:
        """Permille that the candidate surely has: decided, and on the route."""
        route = self.situation.snapshot.route
        if route is None or self.candidate is None:
            return 0
        return min(self.active.status.permille, route.weight(self.candidate.name))

    @property
    def begun(self) -> bool:
        """Whether the first step was decided on."""
        return self.active.status.step > 0

    @property
    def programmed(self) -> bool:
        """Whether the gateway does what the route says."""
        route = self.situation.snapshot.route
        return route is not None and route.programmed

    @property
    def others(self) -> int:
        """Pods of versions that are leaving."""
        return _leaving_pods(self.situation)

    @property
    def blind(self) -> bool:
        """Whether devices may not be counted; the scheduler then decides."""
        return self.devices is not None and bool(self.devices.unknown)

    @property
    def unseen(self) -> bool:
        """Whether devices should be counted, and nobody has; nothing is created or given away until then."""
        return self.devices is None and self.asked is not None

    @property
    def limited(self) -> bool:
        """Whether the candidate gets no pods but those that find devices."""
        return not self.blind and self.asked is not None

    @property
    def unlimited(self) -> bool:
        """Whether nothing is ever in short supply, as far as can be known."""
        candidate = self.candidate
        needed = accelerators.extended_resource(candidate.template) if candidate is not None else None
        return needed is None or self.blind

    @property
    def placed(self) -> int:
        """Candidate pods that have their devices."""
        return self.placed_of(self.candidate) if self.candidate is not None else 0

    def placed_of(self, revision: Revision) -> int:
        """Its pods that have their devices; where nobody has looked yet, those that it was given before."""
        return revision.replicas if self.devices is None else self.devices.scheduled.get(revision.name, 0)

    @property
    def fits_beside(self) -> bool:
        """Whether there are devices for all of stable, those that it gave away included, and for the candidate."""
        asked, own = self.asked, self.situation.stable
        if self.devices is None or asked is None:
            return False
        lacking = max(0, self.replicas - self.placed_of(own)) if own is not None and self.shared else 0
        return self.devices.pods_that_fit(asked.count) >= lacking + max(0, self.ahead - self.placed)

    def room(self, *, stable: int) -> int:
        """Candidate pods that find devices, those that have them included, if stable is to have `stable` pods."""
        return self.placed + self.free(stable=stable) if self.limited else self.ahead

    def free(self, *, stable: int) -> int:
        """Further pods that find devices once stable has `stable` pods; its own come first."""
        asked = self.asked
        if self.devices is None or asked is None:
            return 0
        own = self.situation.stable
        lacking = max(0, stable - self.placed_of(own)) if own is not None and self.shared else 0
        return max(0, self.devices.pods_that_fit(asked.count) - lacking)

    @property
    def shared(self) -> bool:
        """Whether a pod less of stable is room for one of the candidate: both need the same devices of the same nodes."""
        stable, pods = self.situation.stable, next(iter(_candidates(self.situation)), None)
        return stable is not None and pods is not None and _devices_of(stable) == _devices_of(pods)

    def missing(self, *, pods: int) -> str:
        """The sentence for so many pods that find no devices; empty where nothing was counted."""
        asked = self.asked
        if self.devices is None or asked is None or self.blind:
            return ""
        return accelerators.missing(asked, self.devices, pods, _profile(self.situation, asked.resource))


def _limited(scene: _Scene, stable: Revision) -> Capacity:
    """Auto and ShrinkStable where the number of pods is limited."""
    shrinking, kept = _shrinks(scene.active), _kept(scene, stable)
    if scene.unseen:
        mode = CapacityMode.SHRINK_STABLE if shrinking or kept < scene.replicas else CapacityMode.SURGE
        return Capacity(kept, min(scene.placed, scene.ahead), "", mode)
    if scene.fits_beside and not shrinking:
        return Capacity(scene.replicas, scene.ahead, "", CapacityMode.SURGE)
    step = _due(scene.active)
    if step.load_permille > step.permille or (not shrinking and not scene.shared):
        return _beside(scene, stable)
    return _shrunk(scene, stable)


def _beside(scene: _Scene, stable: Revision) -> Capacity:
    """Previews and mirrored requests need pods while stable still has all users: all of them, or none yet.

    What has not begun gives back what it got: two releases that hold a part each would wait for each other for ever.
    """
    kept = _kept(scene, stable)
    if scene.room(stable=kept) >= scene.due:
        return Capacity(kept, min(scene.ahead, max(scene.due, scene.room(stable=kept))), "", CapacityMode.SURGE)
    held = max(scene.placed if scene.begun else 0, pods_for(scene.exposed, scene.replicas) if scene.exposed else 0)
    return Capacity(
        kept, min(held, scene.due), scene.missing(pods=scene.due - min(held, scene.placed)), CapacityMode.SURGE
    )


def _shrunk(scene: _Scene, stable: Revision) -> Capacity:
    """One turn: the candidate takes what is free, or stable gives a pod, or the weight must follow first."""
    kept, candidate = _kept(scene, stable), scene.candidate
    ready = candidate.ready_endpoints if candidate is not None else 0
    count = min(scene.ahead, scene.room(stable=kept), _allowed(scene, stable, kept))
    count = max(count, min(scene.ahead, pods_for(scene.exposed, scene.replicas)) if scene.exposed else 0)
    floor = pods_left(scene.exposed, scene.replicas)
    short = count < scene.due and ready >= count and existing(stable) <= stable.replicas
    if short and count > 0 and kept > floor and scene.programmed:
        return Capacity(kept - 1, count, "", CapacityMode.SHRINK_STABLE)
    stuck = short and kept <= floor and scene.exposed >= permille_for(min(ready, count), scene.replicas)
    limited = kept < scene.replicas or count < scene.ahead or _shrinks(scene.active)
    mode = CapacityMode.SHRINK_STABLE if limited else CapacityMode.SURGE
    return Capacity(kept, count, _why(scene, stable) if stuck else "", mode)


def _kept(scene: _Scene, stable: Revision) -> int:
    """Stable's pods as they are, or as many more as its share needs and may have."""
    needed = pods_left(scene.exposed, scene.replicas)
    if stable.replicas >= needed:
        return min(stable.replicas, scene.replicas)
    if not _shrinks(scene.active):
        return needed
    taken = scene.others + (existing(scene.candidate) if scene.candidate is not None else 0)
    return min(needed, _grown(stable, scene.replicas + EXTRA - taken))


def _allowed(scene: _Scene, stable: Revision, kept: int) -> int:
    """Candidate pods that ShrinkStable itself allows; no limit of its own in Auto."""
    if not _shrinks(scene.active):
        return scene.ahead
    return max(0, scene.replicas + EXTRA - max(kept, existing(stable)) - scene.others)


def _why(scene: _Scene, stable: Revision) -> str:
    """Why neither side can give the other a pod."""
    if scene.others and _allowed(scene, stable, stable.replicas) == 0:
        return (
            f"{scene.others} pods of an earlier version must end first: capacity ShrinkStable allows "
            f"{scene.replicas + EXTRA} pods at a time"
        )
    return scene.missing(pods=1)


def _recreated(scene: _Scene, stable: Revision) -> Capacity:
    """Stable goes first; once the candidate exists it stays, whatever somebody does to stable."""
    created = scene.candidate is not None and scene.candidate.replicas > 0
    if existing(stable) > 0 and not created:
        return Capacity(0, 0, "", CapacityMode.RECREATE)
    missing = scene.missing(pods=scene.replicas - scene.placed) if scene.room(stable=0) < scene.replicas else ""
    return Capacity(0, scene.replicas, missing, CapacityMode.RECREATE)


def _arms_beside(scene: _Scene, active: ModelRollout) -> Capacity:
    """Every arm has pods for its share beside all of stable: all of them, or none yet (see `_beside`)."""
    rules = active.spec.ab_test
    weights = rules.shares if rules is not None else {}
    arms = _candidates(scene.situation)
    needs = {arm.name: pods_for(weights[arm.name], scene.replicas) for arm in arms}
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
    """Stable's replicas at rest; after ShrinkStable it grows as the pods of the other version end."""
    stable, latest, wanted = situation.stable, situation.latest, at_rest(situation)
    if stable is None or latest is None or latest.spec.capacity is not CapacityMode.SHRINK_STABLE:
        return wanted
    return min(wanted, _grown(stable, wanted + EXTRA - _leaving_pods(situation)))


def _grown(stable: Revision, most: int) -> int:
    """Its replicas, or more while that makes no more than `most` pods, those that end still counted."""
    return max(stable.replicas, most - (existing(stable) - stable.replicas))


def existing(revision: Revision) -> int:
    """Pods of a revision that hold their devices, terminating ones included, or are about to."""
    return max(revision.replicas, len(revision.pods))


def _leaving(situation: Situation) -> tuple[Revision, ...]:
    """Revisions that neither serve nor are being released."""
    staying = {r.name for r in (situation.stable, *situation.candidates) if r is not None}
    return tuple(r for r in situation.snapshot.revisions if r.name not in staying)


def _leaving_pods(situation: Situation) -> int:
    return sum(existing(r) for r in _leaving(situation))


def crowded(situation: Situation) -> str:
    """Why a Service cannot share requests between two versions yet, or empty: it cannot leave out the pods of a third."""
    others = [r.name for r in _leaving(situation) if existing(r) > 0]
    if not situation.snapshot.by_service or not others:
        return ""
    return f"the pods of {', '.join(others)} must end first: a Service cannot leave them out"


def _candidates(situation: Situation) -> tuple[Revision, ...]:
    stable = situation.stable.name if situation.stable is not None else None
    return tuple(revision for revision in situation.candidates if revision.name != stable)


def _complete(situation: Situation, active: ModelRollout) -> bool:
    """Whether every candidate has the ready pods that it needs."""
    replicas, rules = whole(situation), active.spec.ab_test
    weights = rules.shares if rules is not None and testing(active) else {}
    return all(
        revision.ready_endpoints
        >= (
            pods_for(weights[revision.name], replicas)
            if weights
            else _ahead(active, replicas, by_service=situation.snapshot.by_service)
        )
        for revision in _candidates(situation)
    )


def _due(active: ModelRollout) -> steps.Step:
    """The step that is decided on, or the one to begin with."""
    every = steps.steps(active)
    return every[min(active.status.step or active.spec.start_step, len(every)) - 1]


def _ahead(active: ModelRollout, replicas: int, *, by_service: bool) -> int:
    if active.spec.source is None:
        return replicas
    if by_service:
        return pods_for(_due(active).load_permille, replicas, by_service=True)
    following = _due(active) if active.status.step == 0 else steps.upcoming(active)
    load = max(_due(active).load_permille, following.load_permille, active.status.permille)
    return pods_for(load, replicas)


def _shrinks(active: ModelRollout) -> bool:
    """Whether the user asked for it; Auto may come to it."""
    return active.spec.capacity is CapacityMode.SHRINK_STABLE


def _devices_of(revision: Revision) -> tuple[str | None, Mapping[str, str]]:
    wanted = accelerators.extended_resource(revision.template)
    return (wanted[0] if wanted is not None else None, revision.template["spec"].get("nodeSelector") or {})


def _profile(situation: Situation, resource: str) -> str | None:
    """The profile by which the user asked for the resource."""
    accelerator = situation.snapshot.deployment.spec.accelerator
    if accelerator is None or accelerator.profile is None:
        return None
    profiles = {profile.name: profile.resource for profile in situation.snapshot.config.accelerator_profiles}
    return accelerator.profile if profiles.get(accelerator.profile) == resource else None
