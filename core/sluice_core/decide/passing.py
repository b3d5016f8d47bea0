"""Statuses that say no more than that a route is on its way, or a new model: over in a moment, and told only where it lasts.

A gateway takes a moment for each change of a route, and a release makes several. A new model gets its pods, its addresses and
its routes one after another. What a status says meanwhile is replaced by the reconcile after; whoever looks at the status sees
what was there before. Everything else that a status says is written at once: a decision, a step, a problem, a clock, an intent
and its answer, and whether a model that has been ready is.
"""

from dataclasses import replace
from typing import Any, Final

from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus
from sluice_core.kernel import conditions, differ
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.plan import ApplyStatus, Plan
from sluice_core.kernel.reasons import Reason
from sluice_core.situation.situation import Situation

LASTS_SECONDS: Final = 30.0
"""After so long it is told. Where hundreds of models change at once, pods and gateways take ten seconds and more."""
READY_SECONDS: Final = 10.0
"""After so long it is told that a new model is ready, where one of its routes is not answered."""
LASTS_BUSY_SECONDS: Final = 240.0
"""While others wait to be written what is on its way is told after so long: where a thousand models change at once it takes
minutes, and each status that says so makes all others wait longer."""
OF_RELEASE: Final = ("reason", "message", "verdict", "conditions", "state")
OF_ROUTE: Final = frozenset({Type.ROUTES_PROGRAMMED, Type.METRICS_AVAILABLE})
OF_NEW_MODEL: Final = ("stable", "candidate", "rollout", "lastRollouts", "watch", "conditions")


def of_release(rollout: ModelRollout, after: ModelRolloutStatus) -> float:
    """How long the new status of a running release waits: it says that the route is on its way, and nothing else."""
    before = rollout.status
    if after.reason != Reason.ROUTE_CHANGING or before.observed_generation != rollout.metadata.generation:
        return 0.0
    is_all = before.model_copy(update={name: getattr(after, name) for name in OF_RELEASE}) == after
    return LASTS_SECONDS if is_all else 0.0


def of_model(situation: Situation, after: ModelDeploymentStatus) -> float:
    """The same of a ModelDeployment, whose route is changed by a release or after one; or that it comes up."""
    model, active = situation.snapshot.deployment, situation.active
    if model.status.observed_generation != model.metadata.generation:
        return 0.0
    if not (_waits(after) if active is None else _is_on_its_way(active, model.status)):
        return 0.0
    is_new = active is None and _comes_up(situation, after)
    rest = _beside if is_new else _lasting
    if not differ.status_equal(rest(after), rest(model.status)):
        return 0.0
    return READY_SECONDS if is_new and any(map(_is_ready, after.conditions)) else LASTS_SECONDS


def _is_on_its_way(active: ModelRollout, before: ModelDeploymentStatus) -> bool:
    """Whether a release only changes the route, or a first version still waits for the same."""
    reason = active.status.reason
    waits = active.spec.source is None and before.rollout is not None and before.rollout.reason == reason
    return waits or reason == Reason.ROUTE_CHANGING


def _waits(status: ModelDeploymentStatus) -> bool:
    return any(each.reason == Reason.WAITING_FOR_GATEWAY for each in status.conditions)


def _comes_up(situation: Situation, after: ModelDeploymentStatus) -> bool:
    """Whether nothing but the gateway's answer is missing until a model is ready for the first time."""
    latest, before = situation.latest, situation.snapshot.deployment.status.conditions
    is_new = latest is not None and latest.spec.source is None and not any(map(_is_ready, before))
    return is_new and not any(map(_is_problem, after.conditions))


def _is_ready(condition: Condition) -> bool:
    return condition.type == Type.READY and condition.status is ConditionStatus.TRUE


def _is_problem(condition: Condition) -> bool:
    """Not that there is still something to do: the Deployment counts its pods later than their addresses are there."""
    is_on_its_way = condition.type == Type.RECONCILING or condition.reason == Reason.WAITING_FOR_GATEWAY
    return conditions.is_bad(condition) and not is_on_its_way


def _beside(status: ModelDeploymentStatus) -> dict[str, Any]:
    """What a status says beside that a model comes up."""
    return {name: value for name, value in status.to_wire().items() if name not in OF_NEW_MODEL}


def _lasting(status: ModelDeploymentStatus) -> dict[str, Any]:
    """What a status says beside what is on its way: shares, pods that are ready for them, and the release's words."""
    wire = status.to_wire()
    for version in ("stable", "candidate"):
        wire[version] = (wire.get(version) or {}).get("revision")
    rollout = wire.get("rollout") or {}
    wire["rollout"] = (
        rollout.get("name"),
        rollout.get("step", 0) > 0,
    )  # the first step may be the last one: all requests
    wire["conditions"] = [each.to_wire() for each in status.conditions if not _is_passing(each)]
    return wire


def _is_passing(condition: Condition) -> bool:
    return condition.type == Type.RECONCILING or (condition.type in OF_ROUTE and not _is_problem(condition))


def _lasts(seconds: float, busy: bool) -> float:
    """How long it is left out. Whether a model is ready is something that people wait for, also then."""
    return LASTS_BUSY_SECONDS if busy and seconds >= LASTS_SECONDS else seconds


def due(plan: Plan, since: float | None, now: float, *, busy: bool = False) -> tuple[Plan, float | None]:
    """The plan without what has not lasted, and since when there has been something of that kind; None where there is not.

    since: the same of the reconcile before; now: in seconds of the same clock. busy: whether others wait to be written.
    """
    began = now if since is None else min(since, now)
    left = {
        number: _lasts(write.after_seconds, busy) - (now - began)
        for number, write in enumerate(plan.writes)
        if isinstance(write, ApplyStatus) and write.after_seconds > 0
    }
    looks = [seconds for seconds in left.values() if seconds > 0]
    if not looks:
        return plan, began if left else None
    if plan.requeue_after is not None:
        looks.append(plan.requeue_after)
    kept = tuple(write for number, write in enumerate(plan.writes) if left.get(number, 0.0) <= 0)
    return replace(plan, writes=kept, requeue_after=min(looks)), began
