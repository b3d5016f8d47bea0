"""How many pods each side of a release needs."""

from sluice.api.v1alpha1.modelrollout import ModelRollout


def pods_for(weight: int, replicas: int) -> int:
    """Ready pods that a candidate needs before it may have `weight` percent: ⌈weight·replicas⌉, at least one."""
    return max(1, -(-weight * replicas // 100))


def candidate_replicas(rollout: ModelRollout, replicas: int) -> int:
    """Replicas of the candidate: enough for the next step, so that an advance need not wait for pods."""
    steps = rollout.spec.steps
    ahead = steps[min(rollout.status.step, len(steps) - 1)].weight
    if rollout.spec.source is None:
        ahead = 100
    return pods_for(max(ahead, rollout.status.weight), replicas)
