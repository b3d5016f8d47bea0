"""Whole releases on a small cluster with few devices, in every mode.

The cluster does what Kubernetes does (pods take time to start and to end, a device is free only when its pod is gone)
and what the engine does (a step waits for its pods, or its weight follows them). What a plan says is all that moves it.
"""

from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import capacity, needs, shares
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.situation.situation import Situation
from tests.unit.core.rollout.scarcity import (
    CANDIDATE,
    GPU,
    STABLE,
    make_devices,
    make_release,
    make_situation,
    running,
    with_devices,
)

LONGEST_PASSES = 2_000
WHOLE_RELEASES = settings(max_examples=60)

STABLE_WITH_GPU, CANDIDATE_WITH_GPU = with_devices(STABLE), with_devices(CANDIDATE)


@dataclass
class Cluster:
    """A cluster with devices, and the engine in a few lines. `scenes` is what every reconcile has seen."""

    devices: int
    replicas: int
    release: ModelRollout
    ending_reconciles: int = 1
    """How long a pod takes to end."""
    taken: int = 0
    """Devices that others hold."""
    stable_pods: int = 0
    candidate_pods: int = 0
    ready: dict[str, int] = dataclass_field(default_factory=dict)
    """Pods that serve: one pass after they got their device."""
    pending: int = 0
    """Pods of either side without a device."""
    ending: list[tuple[str, int]] = dataclass_field(default_factory=list)
    """(revision, passes left)."""
    spec: dict[str, int] = dataclass_field(default_factory=dict)
    permille: int = 0
    """On the route."""
    effective: int = 0
    """Of the step that took effect last; 0 before."""
    programmed: bool = True
    held: bool = False
    """No proof comes: steps do not advance."""
    scenes: list[tuple[int, Capacity]] = dataclass_field(default_factory=list)
    """(pods that hold devices, what was planned) of each reconcile."""

    def __post_init__(self) -> None:
        self.stable_pods = self.replicas
        self.spec = {STABLE.name: self.replicas, CANDIDATE.name: 0}
        self.ready = dict(self.spec)

    @property
    def holding(self) -> int:
        return self.stable_pods + self.candidate_pods + len(self.ending)

    @property
    def free(self) -> int:
        return self.devices - self.taken - self.holding

    def situation(self) -> Situation:
        sides = [
            replace(
                running(
                    with_devices(revision), pods, terminating=sum(name == revision.name for name, _ in self.ending)
                ),
                replicas=self.spec[revision.name],
                ready_endpoints=self.ready[revision.name],
            )
            for revision, pods in ((STABLE_WITH_GPU, self.stable_pods), (CANDIDATE_WITH_GPU, self.candidate_pods))
        ]
        return make_situation(
            self.release,
            stable=sides[0],
            candidates=(sides[1],),
            replicas=self.replicas,
            permille=self.permille,
            programmed=self.programmed,
        )

    def one_reconcile(self) -> Capacity:
        situation = self.situation()
        answer = None
        if needs.question(situation) is not None:
            answer = make_devices(max(0, self.free), stable=self.stable_pods, candidate=self.candidate_pods)
        planned = capacity.plan(situation, answer)
        before = {STABLE.name: self.stable_pods, CANDIDATE.name: self.candidate_pods}
        self._scale(planned)
        pods = {STABLE.name: self.stable_pods, CANDIDATE.name: self.candidate_pods}
        self.ready = {name: min(count, pods[name]) for name, count in before.items()}
        if self.release.status.outcome is None:
            self._decide(planned)
        self.programmed, self.permille = self.permille == self.release.status.permille, self.release.status.permille
        self.scenes.append((self.holding, planned))
        return planned

    def _scale(self, planned: Capacity) -> None:
        self.ending = [(name, left - 1) for name, left in self.ending if left > 1]
        ended = self.release.status.outcome is not None
        leaves = ended and self.permille == 0 and self.programmed
        wanted = self.spec[CANDIDATE.name] if ended else planned.candidate_replicas
        self.spec = {STABLE.name: planned.stable_replicas, CANDIDATE.name: 0 if leaves else wanted}
        self.stable_pods = self._scaled(STABLE, self.stable_pods)
        self.candidate_pods = self._scaled(CANDIDATE, self.candidate_pods)
        self.pending = sum(self.spec.values()) - self.stable_pods - self.candidate_pods

    def _scaled(self, revision: Revision, pods: int) -> int:
        wanted = self.spec[revision.name]
        self.ending += [(revision.name, self.ending_reconciles)] * max(0, pods - wanted)
        return min(pods, wanted) + max(0, min(wanted - pods, self.free))

    def _decide(self, planned: Capacity) -> None:
        status, every, ready = self.release.status, steps.steps(self.release), self.ready[CANDIDATE.name]

        def ready_for(step: steps.Step) -> bool:
            return ready >= shares.pods_for(step.load_permille, self.replicas)

        def may_enter(step: steps.Step) -> bool:
            return ready_for(step) or (planned.ramps and ready > 0)

        update: dict[str, Any] = {}
        in_effect = status.step > 0 and self.effective == every[status.step - 1].permille
        if status.step == 0 or (in_effect and status.step < len(every)):
            if may_enter(every[status.step]) and not self.held:
                update["step"] = status.step + 1
        elif in_effect:
            update["outcome"] = Outcome.PROMOTED
        step = every[update.get("step", status.step) - 1]
        if update.get("step", status.step) > 0 and ready_for(step):
            self.effective = update["permille"] = step.permille
        elif update.get("step", status.step) > 0 and planned.ramps:
            share = min(step.permille, shares.permille_for(ready, self.replicas))
            update["permille"] = max(status.permille, share)
        self.release = self.release.model_copy(update={"status": status.model_copy(update=update)})

    def end(self, outcome: Outcome) -> None:
        status = self.release.status.model_copy(update={"outcome": outcome, "permille": 0})
        self.release = self.release.model_copy(update={"status": status})

    def run(self) -> None:
        """Until the release has ended; fails where it never does."""
        for _ in range(LONGEST_PASSES):
            if self.release.status.outcome is not None:
                return
            planned = self.one_reconcile()
            self.check(planned)
        pytest.fail(f"never ends: {self}")

    def check(self, planned: Capacity) -> None:
        assert self.holding + self.taken <= self.devices
        if planned.mode is not CapacityMode.RECREATE:
            assert self.ready[STABLE.name] >= min(self.replicas, shares.pods_left(self.permille, self.replicas)), self
        if self.release.spec.capacity is not CapacityMode.SURGE:
            assert self.pending <= 0 or planned.mode is CapacityMode.RECREATE, f"pods without a device: {self}"


weights_of_steps = st.lists(st.integers(1, 99), max_size=4, unique=True).map(lambda found: (*sorted(found), 100))


@WHOLE_RELEASES
@given(
    replicas=st.integers(1, 12), extra=st.integers(1, 14), weights=weights_of_steps,
    mode=st.sampled_from([CapacityMode.AUTO, CapacityMode.SHRINK_STABLE]), ending_reconciles=st.integers(1, 3),
)  # fmt: skip
def test_with_one_device_more_than_at_rest_every_release_ends(
    replicas: int, extra: int, weights: tuple[int, ...], mode: CapacityMode, ending_reconciles: int
) -> None:
    cluster = Cluster(replicas + extra, replicas, make_release(mode=mode, weights=weights), ending_reconciles)
    cluster.run()
    assert cluster.candidate_pods == replicas
    assert all(planned.wait == "" for _, planned in cluster.scenes)
    if mode is CapacityMode.SHRINK_STABLE:
        assert max(holding for holding, _ in cluster.scenes) == replicas + 1
    elif extra >= replicas:
        assert all(planned.stable_replicas == replicas for _, planned in cluster.scenes)


@WHOLE_RELEASES
@given(replicas=st.integers(1, 12), ending_reconciles=st.integers(1, 3))
def test_recreate_needs_no_device_more_than_at_rest(replicas: int, ending_reconciles: int) -> None:
    release = make_release(mode=CapacityMode.RECREATE, weights=(100,))
    cluster = Cluster(replicas, replicas, release, ending_reconciles)
    cluster.run()
    assert max(holding for holding, _ in cluster.scenes) == replicas


@WHOLE_RELEASES
@given(replicas=st.integers(1, 12), weights=weights_of_steps, spare=st.integers(0, 3))
def test_surge_ends_with_a_second_set_of_devices(replicas: int, weights: tuple[int, ...], spare: int) -> None:
    cluster = Cluster(2 * replicas + spare, replicas, make_release(mode=CapacityMode.SURGE, weights=weights))
    cluster.run()
    assert all(planned.stable_replicas == replicas for _, planned in cluster.scenes)


@WHOLE_RELEASES
@given(
    replicas=st.integers(1, 12), weights=weights_of_steps, ending_reconciles=st.integers(1, 3),
    mode=st.sampled_from([CapacityMode.AUTO, CapacityMode.SHRINK_STABLE]),
)  # fmt: skip
def test_a_full_cluster_waits_untouched_and_goes_on_when_a_device_gets_free(
    replicas: int, weights: tuple[int, ...], ending_reconciles: int, mode: CapacityMode
) -> None:
    cluster = Cluster(replicas + 1, replicas, make_release(mode=mode, weights=weights), ending_reconciles, taken=1)
    for _ in range(5):
        planned = cluster.one_reconcile()
        assert (planned.stable_replicas, planned.candidate_replicas) == (replicas, 0)
        assert planned.wait == f"needs 1 {GPU}; 0 free on 1 node"
    cluster.taken = 0
    cluster.run()
    assert cluster.candidate_pods == replicas


@WHOLE_RELEASES
@given(
    replicas=st.integers(1, 12), extra=st.integers(1, 14), weights=weights_of_steps, passes=st.integers(1, 60),
    ending_reconciles=st.integers(1, 3), mode=st.sampled_from([CapacityMode.AUTO, CapacityMode.SHRINK_STABLE]),
)  # fmt: skip
def test_after_a_roll_back_at_any_moment_stable_is_whole_again(
    replicas: int, extra: int, weights: tuple[int, ...], passes: int, ending_reconciles: int, mode: CapacityMode
) -> None:
    cluster = Cluster(replicas + extra, replicas, make_release(mode=mode, weights=weights), ending_reconciles)
    for _ in range(passes):
        if cluster.release.status.outcome is None:
            cluster.one_reconcile()
    if cluster.release.status.outcome is not None:
        return
    cluster.end(Outcome.ROLLED_BACK)
    for _ in range(LONGEST_PASSES):
        cluster.one_reconcile()
        if cluster.stable_pods == replicas and cluster.candidate_pods == 0:
            break
    assert (cluster.stable_pods, cluster.candidate_pods) == (replicas, 0)
    if mode is CapacityMode.SHRINK_STABLE:
        assert max(holding for holding, _ in cluster.scenes) <= replicas + 1


@WHOLE_RELEASES
@given(
    replicas=st.integers(1, 12), extra=st.integers(1, 14), weights=weights_of_steps, moment=st.integers(0, 40),
    thieves=st.integers(1, 4), ending_reconciles=st.integers(1, 3),
)  # fmt: skip
def test_a_device_that_others_take_in_the_middle_and_give_back_only_delays(
    replicas: int, extra: int, weights: tuple[int, ...], moment: int, thieves: int, ending_reconciles: int
) -> None:
    cluster = Cluster(replicas + extra, replicas, make_release(weights=weights), ending_reconciles)
    for _ in range(moment):
        if cluster.release.status.outcome is None:
            cluster.check(cluster.one_reconcile())
    stolen = cluster.taken = max(0, min(thieves, cluster.free))
    for _ in range(20):
        if cluster.release.status.outcome is None:
            cluster.check(cluster.one_reconcile())
    assert cluster.taken == stolen
    cluster.taken = 0
    cluster.run()
    assert cluster.candidate_pods == replicas
