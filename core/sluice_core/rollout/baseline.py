"""The baseline: pods of the stable version that are as new, as many and as busy as the candidate's.

    stable       10 pods, 90 %  ── errors ──────────┐
    baseline      1 pod,   5 %  ── response times ──┴──> candidate   1 pod, 5 %

It is a revision of its own with the stable version's pod template, so that gateways and servers count it apart. It
leaves, as any other revision does, once the candidate has half as many pods as stable: then these can be compared.
"""

import json
from dataclasses import replace

from sluice_core.api.v1alpha1.common import CapacityMode, Strategy
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import BaselinePods, RolloutPolicySpec
from sluice_core.api.v1alpha1.rolloutspec import ModelRolloutSpec
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import comparing, fuse, patience, steps
from sluice_core.rollout.attempts import Attempt
from sluice_core.rollout.capacity import needs, shares
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.capacity.scene import Scene
from sluice_core.situation.devices import Devices
from sluice_core.situation.situation import Situation, validating
from sluice_judge import hashing, timestamps
from sluice_judge.comparing import fairness
from sluice_judge.kinds import kind_of


def of_stable(stable: Revision) -> Revision:
    """The stable version as a revision of another name, without pods."""
    hash_ = hashing.stable_hash(["baseline", stable.name])
    name = naming.revision_name(stable.name.rpartition("-")[0], hash_)
    template = json.loads(json.dumps(stable.template).replace(stable.name, name))
    return replace(
        stable,
        name=name,
        input_hash=hash_,
        template=template,
        replicas=0,
        ready_replicas=0,
        ready_endpoints=0,
        pods=(),
        drain_until=None,
        stable_since=None,
    )


def begins(situation: Situation, attempt: Attempt, policy: RolloutPolicySpec, spec: ModelRolloutSpec) -> str | None:
    """The name of the baseline with which a release begins; None if it has none.

    An autoscaler would give it another number of pods than the candidate, and without a gateway every pod of the stable
    version gets the same share anyway.
    """
    deployment, stable = situation.snapshot.deployment.spec, situation.stable
    if policy.baseline is not BaselinePods.FRESH_PODS or stable is None or not attempt.analysed or attempt.arms:
        return None
    if spec.strategy is not Strategy.CANARY or spec.capacity not in (CapacityMode.AUTO, CapacityMode.SURGE):
        return None
    if situation.snapshot.by_service or deployment.autoscaling is not None:
        return None
    if not any(kind_of(objective).traits.by_baseline for objective in spec.objectives):
        return None
    return of_stable(stable).name if comparing.with_baseline(steps.planned(spec), _planned(spec)) else None


def pinned(situation: Situation, rollout: ModelRollout) -> tuple[Revision, ...]:
    """The revision to pin when a release with a baseline begins."""
    return (of_stable(situation.stable),) if rollout.spec.baseline_revision and situation.stable is not None else ()


def serving(situation: Situation) -> Revision | None:
    """The baseline while it is needed; None without one, and once it leaves."""
    active = situation.active
    if active is None or active.spec.baseline_revision is None or active.status.without_baseline:
        return None
    if situation.stable is None or validating(active):
        return None
    if active.status.probe is not None or not _needed(situation, active):
        return None
    found = situation.snapshot.revision(active.spec.baseline_revision)
    return found if found is not None and found.drain_until is None else None


def share(situation: Situation, granted: int, most: int) -> int:
    """Its share, permille: as much as the step grants the candidate, once it has pods for it, and at most this."""
    found = serving(situation)
    if found is None or found.ready_endpoints < shares.pods_for(granted, shares.whole(situation)):
        return 0
    return min(granted, max(0, most))


def with_pods(situation: Situation, sides: Capacity, devices: Devices | None) -> Capacity:
    """The replicas of a release with those of its baseline: as many as the candidate's, but no more than it is needed
    with. It takes only devices that the candidate leaves.

    sides: without it; devices: as for `capacity.plan`.
    """
    found, active = serving(situation), situation.active
    if found is None or active is None:
        return sides
    if sides.mode is not CapacityMode.SURGE or sides.wait or _late(situation, active, found):
        return replace(sides, baseline_replicas=found.replicas, baseline_leaves=True)
    scene = Scene(situation, active, shares.whole(situation), devices, needs.question(situation))
    wanted, placed = min(sides.candidate_replicas, fairness.needed(scene.replicas) - 1), scene.placed_of(found)
    left = scene.free(stable=scene.replicas) - max(0, sides.candidate_replicas - scene.placed)
    if not scene.limited or wanted - placed <= left:
        return replace(sides, baseline_replicas=wanted)
    return replace(sides, baseline_replicas=placed, baseline_leaves=not scene.unseen)


def _late(situation: Situation, active: ModelRollout, found: Revision) -> bool:
    """Whether its pods need far longer than others did: a release does not wait for what may never be ready."""
    status, snapshot = active.status, situation.snapshot
    if status.ready_time is None or found.ready_endpoints >= shares.pods_for(status.permille, shares.whole(situation)):
        return False
    begun = (status.ready_time, *(record.start_time for record in status.steps[-1:]))
    loads = patience.observed_loads(snapshot.rollouts)
    seen = max(loads.get(end.revision, 0.0) for end in active.spec.ends)
    granted = max(fuse.FUSE_SECONDS, patience.MARGIN * seen)
    return snapshot.now - max(map(timestamps.seconds, begun)) > granted


def planned(situation: Situation, active: ModelRollout) -> frozenset[int]:
    """The loads, in permille, of the steps that wait for a comparison with it: none while its pods cannot run."""
    found = serving(situation)
    if active.spec.baseline_revision is None or active.status.without_baseline:
        return frozenset()
    if found is None and active.status.step > 0:
        return frozenset()
    return frozenset() if found is not None and found.problem is not None else _steps(situation, active)


def words(spec: ModelRolloutSpec) -> str:
    """What the baseline of a release costs and compares, for a person; empty without one."""
    if spec.baseline_revision is None:
        return ""
    needed = fairness.needed(spec.base_replicas)
    names = ", ".join(objective.name for objective in spec.objectives if kind_of(objective).traits.by_baseline)
    return (
        f"while the candidate has fewer than {needed} pods, as many new pods of the stable version get the same share, and "
        f"{names} is compared with theirs; without room for them, it is compared later"
    )


def _needed(situation: Situation, active: ModelRollout) -> bool:
    """Whether the step has too few pods to be compared with stable's, and those of later steps are not ready yet."""
    few = situation.candidate is None or not fairness.fair(situation.candidate.ready_endpoints, shares.whole(situation))
    return few and needs.due(active).load_permille in _steps(situation, active)


def _steps(situation: Situation, active: ModelRollout) -> frozenset[int]:
    every = steps.steps(active)
    return comparing.with_baseline(every, comparing.planned_pods(every, active.spec.capacity, shares.whole(situation)))


def _planned(spec: ModelRolloutSpec) -> dict[int, tuple[int, int]]:
    return comparing.planned_pods(steps.planned(spec), spec.capacity, spec.base_replicas)
