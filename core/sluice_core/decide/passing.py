"""Delays statuses that only say that a route or a new model is in flight: they are over in a moment, and written only
if they last.

A gateway takes a moment for each change of a route, and a release makes several. A new model gets its pods, addresses
and routes one after another. The next reconcile replaces such a status; until then readers see the one before.
Everything else in a status is written at once: a decision, a step, a problem, a clock, an intent and its answer, and
whether a model that has been ready is ready.
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
"""The delay of such a status. When hundreds of models change at once, pods and gateways take ten seconds and more."""
READY_SECONDS: Final = 10.0
"""The delay until a new model is reported ready while one of its routes has no answer."""
LASTS_BUSY_SECONDS: Final = 240.0
"""The delay while other writes are queued: when a thousand models change at once it takes minutes, and each status of
this kind delays all others."""
OF_RELEASE: Final = ("reason", "message", "verdict", "conditions", "state", "baseline_state")
OF_ROUTE: Final = frozenset({Type.ROUTES_PROGRAMMED, Type.METRICS_AVAILABLE})
OF_NEW_MODEL: Final = ("stable", "candidate", "rollout", "lastRollouts", "watch", "conditions")


def of_release(rollout: ModelRollout, after: ModelRolloutStatus) -> float:
    """The delay of a running release's new status if it only says that the route is in flight."""
    before = rollout.status
    if after.reason != Reason.ROUTE_CHANGING or before.observed_generation != rollout.metadata.generation:
        return 0.0
    is_all = before.model_copy(update={name: getattr(after, name) for name in OF_RELEASE}) == after
    return LASTS_SECONDS if is_all else 0.0


def of_model(situation: Situation, after: ModelDeploymentStatus) -> float:
    """The delay of a ModelDeployment's status whose route is changed by a release or after one, or that comes up."""
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
    """Whether a release only changes the route, or a first version still waits for that."""
    reason = active.status.reason
    waits = active.spec.source is None and before.rollout is not None and before.rollout.reason == reason
    return waits or reason == Reason.ROUTE_CHANGING


def _waits(status: ModelDeploymentStatus) -> bool:
    return any(each.reason == Reason.WAITING_FOR_GATEWAY for each in status.conditions)


def _comes_up(situation: Situation, after: ModelDeploymentStatus) -> bool:
    """Whether only the gateway's answer is missing until a model is ready for the first time."""
    latest, before = situation.latest, situation.snapshot.deployment.status.conditions
    is_new = latest is not None and latest.spec.source is None and not any(map(_is_ready, before))
    return is_new and not any(map(_is_problem, after.conditions))


def _is_ready(condition: Condition) -> bool:
    return condition.type == Type.READY and condition.status is ConditionStatus.TRUE


def _is_problem(condition: Condition) -> bool:
    """Not that something is still pending: the Deployment counts its pods later than their addresses exist."""
    is_on_its_way = condition.type == Type.RECONCILING or condition.reason == Reason.WAITING_FOR_GATEWAY
    return conditions.is_bad(condition) and not is_on_its_way


def _beside(status: ModelDeploymentStatus) -> dict[str, Any]:
    """The status without what says that a model comes up."""
    return {name: value for name, value in status.to_wire().items() if name not in OF_NEW_MODEL}


def _lasting(status: ModelDeploymentStatus) -> dict[str, Any]:
    """The status without what is in flight: shares, pods that are ready for them, and the release's message."""
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
    """The delay. Readiness is something that people wait for, even when the operator is busy."""
    return LASTS_BUSY_SECONDS if busy and seconds >= LASTS_SECONDS else seconds


def due(plan: Plan, since: float | None, now: float, *, busy: bool = False) -> tuple[Plan, float | None]:
    """The plan without statuses that have not lasted, and since when there has been one; None if there is none.

    since: from the reconcile before; now: seconds of the same clock. busy: whether other writes are queued.
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
