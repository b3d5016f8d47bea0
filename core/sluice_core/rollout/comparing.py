"""The steps in which the pods of both versions can be compared by latency (`judge.fairness`)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeploymentSpec
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.api.v1alpha1.rolloutspec import ModelRolloutSpec
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.steps import Step
from sluice_judge.comparing import fairness
from sluice_judge.kinds import kind_of
from sluice_judge.schema.objectives import Objective

WARMED: Final = 4
"""Pods that were warmed up before they were ready count as new for this fraction of the time."""


def new_pod_seconds(policy: RolloutPolicySpec, deployment: ModelDeploymentSpec) -> int:
    """How long a pod of the model counts as new."""
    return policy.new_pod_seconds // WARMED if deployment.warmup is not None else policy.new_pod_seconds


def planned_pods(
    every: Sequence[Step], capacity: CapacityMode, replicas: int, *, by_service: bool = False
) -> dict[int, tuple[int, int]]:
    """By the share that pods are created for, in permille: the candidate's, and those that stable keeps."""
    loads = {step.load_permille for step in every}
    planned = {
        load: (shares.pods_for(load, replicas, by_service=by_service), _kept(capacity, load, replicas))
        for load in loads
    }
    if by_service or capacity is CapacityMode.SHRINK_STABLE:
        return planned
    return planned | {
        step.load_permille: (shares.even_pods(step, following, replicas), replicas)
        for step, following in itertools.pairwise(every)
        if step.permille == step.load_permille
    }


def as_shrunk(pods: Mapping[int, tuple[int, int]], permille: int, replicas: int) -> dict[int, tuple[int, int]]:
    """The same if the stable version has given up pods for the candidate's: a step does not wait for pods that never
    come.

    replicas: the number that it should have now.
    """
    ours, others = pods[permille]
    left = min(others, max(1, replicas))
    return {**pods, permille: (ours if left == others else min(ours, shares.pods_for(permille, others)), left)}


def with_baseline(every: Sequence[Step], pods: Mapping[int, tuple[int, int]]) -> frozenset[int]:
    """The loads, in permille, of the steps that need a baseline: too few of the candidate's pods, or too busy ones, to be
    compared with stable's. At half of the requests and more, nothing would be left for stable's own pods.

    pods: `planned_pods` of the steps.
    """
    return frozenset(
        step.load_permille
        for step in every
        if 0 < step.permille < steps.WHOLE // 2 and not _compared(step, *pods[step.load_permille])
    )


def unfair(spec: ModelRolloutSpec) -> str:
    """Objectives that no step can compare, or only later ones, and what to do; or empty."""
    names = _names(spec.objectives)
    if not names or spec.source is None or not spec.analysed or spec.baseline_revision is not None:
        return ""
    before = [step for step in steps.planned(spec) if step.load_permille and step.permille < steps.WHOLE]
    pods = planned_pods(steps.planned(spec), spec.capacity, spec.base_replicas)
    fair = [step for step in before if _compared(step, *pods[step.load_permille])]
    if not before or (fair and fair[0] is before[0]):
        return ""
    if fair:
        return (
            f"{names} is compared once the candidate gets {fair[0].words}: earlier it has too few pods beside stable's"
        )
    ours, others = _most({step.load_permille: pods[step.load_permille] for step in before})
    return (
        f"{names} is never compared: at most {ours} of the candidate's pods run beside {others} of stable's, and a fair "
        f"comparison needs {fairness.needed(others)}; add a step with a larger share, or set maximumMillis and a percentile"
    )


def _compared(step: Step, ours: int, others: int) -> bool:
    """Whether these pods of the candidate can be slower than stable's at this step."""
    return fairness.fair(ours, others) and not (
        step.permille and fairness.busier((step.permille, steps.WHOLE - step.permille), (ours, others))
    )


def _names(objectives: Sequence[Objective]) -> str:
    return ", ".join(objective.name for objective in objectives if kind_of(objective).traits.compares_pods)


def _most(pods: Mapping[int, tuple[int, int]]) -> tuple[int, int]:
    return max(pods.values(), key=lambda pair: pair[0])


def _kept(capacity: CapacityMode, permille: int, replicas: int) -> int:
    return shares.pods_left(permille, replicas) if capacity is CapacityMode.SHRINK_STABLE else replicas
