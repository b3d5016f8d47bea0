"""The pods that a release will need, and the question about free devices for them."""

from collections.abc import Mapping

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import steps
from sluice_core.rollout.capacity import shares
from sluice_core.situation import devices as accelerators
from sluice_core.situation.devices import DevicesQuestion
from sluice_core.situation.situation import Situation, testing
from sluice_judge import kinds


def question(situation: Situation) -> DevicesQuestion | None:
    """The question about free devices; None if nothing depends on them."""
    active = situation.active
    if active is None or active.spec.capacity is CapacityMode.SURGE:
        return None
    if active.spec.baseline_revision is None and _complete(situation, active):
        return None
    pods = next(iter(candidates(situation)), None)
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


def candidates(situation: Situation) -> tuple[Revision, ...]:
    """Revisions that get pods beside stable."""
    stable = situation.stable.name if situation.stable is not None else None
    return tuple(revision for revision in situation.candidates if revision.name != stable)


def _complete(situation: Situation, active: ModelRollout) -> bool:
    """Whether every candidate has the ready pods that it needs."""
    replicas, rules = shares.whole(situation), active.spec.ab_test
    weights = rules.shares if rules is not None and testing(active) else {}
    return all(
        revision.ready_endpoints
        >= (
            shares.pods_for(weights[revision.name], replicas)
            if weights
            else ahead(active, replicas, by_service=situation.snapshot.by_service)
        )
        for revision in candidates(situation)
    )


def due(active: ModelRollout) -> steps.Step:
    """The decided step, or the first one."""
    every = steps.steps(active)
    return every[min(active.status.step or active.spec.start_step, len(every)) - 1]


def ahead(active: ModelRollout, replicas: int, *, by_service: bool) -> int:
    """Candidate pods for the step after the current one as well, so that an advance need not wait for pods."""
    if active.spec.source is None:
        return replicas
    if by_service:
        return shares.pods_for(due(active).load_permille, replicas, by_service=True)
    following = due(active) if active.status.step == 0 else steps.upcoming(active)
    load = max(due(active).load_permille, following.load_permille, active.status.permille)
    return shares.pods_for(load, replicas)


def evenly_ahead(active: ModelRollout, replicas: int, *, by_service: bool) -> int:
    """The same with as many as latency is compared with at equal load, where the devices do not limit their number."""
    needed = ahead(active, replicas, by_service=by_service)
    if by_service or active.spec.source is None or not kinds.compares_pods(active.spec.objectives):
        return needed
    every = steps.steps(active)
    index = min(active.status.step or active.spec.start_step, len(every)) - 1
    last = min(index + (active.status.step > 0), len(every) - 1)
    each = (shares.even_pods(every[at], every[min(at + 1, len(every) - 1)], replicas) for at in range(index, last + 1))
    return max(needed, *each)


def devices_of(revision: Revision) -> tuple[str | None, Mapping[str, str]]:
    """The extended resource that its pods request, and the labels of their nodes."""
    wanted = accelerators.extended_resource(revision.template)
    return (wanted[0] if wanted is not None else None, revision.template["spec"].get("nodeSelector") or {})
