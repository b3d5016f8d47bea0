"""Pods and shares: the pods that a share of the requests needs, and the share that a number of pods may have."""

from sluice_core.rollout import steps
from sluice_core.situation.situation import Situation


def pods_for(permille: int, replicas: int, *, by_service: bool = False) -> int:
    """Ready pods that a candidate needs before it may have this share: ⌈share·replicas⌉, at least one.

    by_service: the pods determine the share. Beside all of stable, share/(1-share)·replicas pods, rounded, give it;
    never more than replicas, which is a half.
    """
    if by_service and permille < steps.WHOLE:
        beside = (2 * permille * replicas + steps.WHOLE - permille) // (2 * (steps.WHOLE - permille))
        return min(replicas, max(1, beside))
    return max(1, -(-permille * replicas // steps.WHOLE))


def even_pods(step: steps.Step, following: steps.Step, replicas: int) -> int:
    """Pods of the candidate with which one of them gets about as many requests as one of all of stable's, as far as the
    next step needs so many."""
    needed, ahead = (pods_for(each.load_permille, replicas) for each in (step, following))
    if step.permille >= steps.WHOLE:
        return needed
    beside = (2 * step.permille * replicas + steps.WHOLE - step.permille) // (2 * (steps.WHOLE - step.permille))
    return max(needed, min(beside, ahead))


def permille_for(pods: int, replicas: int, *, by_service: bool = False) -> int:
    """The largest share for this number of ready pods: ⌊pods/replicas⌋ in permille. by_service: the share that they
    have.
    """
    return min(steps.WHOLE, pods * steps.WHOLE // (replicas + (pods if by_service else 0)))


def pods_left(permille: int, replicas: int) -> int:
    """Pods that stable needs while the candidate has this share; at least one, for the rollback.

    Inverse of `permille_for`: a share that was rounded down to a permille still frees its whole pods.
    """
    return max(1, replicas - (permille * replicas + replicas - 1) // steps.WHOLE)


def whole(situation: Situation) -> int:
    """R: the replicas that stand for all requests. With autoscaling, those that stable has, or had when the release
    began.
    """
    spec, stable, active = situation.snapshot.deployment.spec, situation.stable, situation.active
    if spec.autoscaling is None:
        return spec.replicas
    began = active.spec.base_replicas if active is not None and active.spec.source is not None else 1
    return max(spec.autoscaling.minimum_replicas, stable.replicas if stable is not None else 1, began)


def at_rest(situation: Situation) -> int:
    """Replicas of the stable version, or the minimum of its autoscaler, without a release."""
    spec = situation.snapshot.deployment.spec
    return spec.replicas if spec.autoscaling is None else spec.autoscaling.minimum_replicas
