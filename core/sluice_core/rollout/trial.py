"""The judge's view of the running release."""

import math
from dataclasses import replace
from typing import Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.snapshot import Revision, Route
from sluice_core.render import common
from sluice_core.render.traffic import assignment, timeouts
from sluice_core.rollout import baseline, comparing, fuse, intents, patience, steps
from sluice_core.rollout.capacity import shares
from sluice_core.situation import arms
from sluice_core.situation.situation import Situation, testing
from sluice_judge import timestamps
from sluice_judge.kinds import kind_of
from sluice_judge.model import (
    Exposure,
    GatewayCounters,
    LastLook,
    OwnCounters,
    ReleasePlan,
    Servers,
    Trial,
    TrialPolicy,
)
from sluice_judge.schema.model import fraction
from sluice_judge.schema.policy import Stepping

WITHOUT_SAMPLES: Final = frozenset({Action.ABORT, Action.ROLL_BACK, Action.PROMOTE, Action.SKIP_STEP, Action.PAUSE})
"""Intents that are answered whatever the counters say; after the others a release continues by evidence."""


def running_trial(situation: Situation) -> Trial | None:
    """The trial of a release that has entered its first step; None if nothing is compared."""
    stable, active, candidate = situation.stable, situation.active, situation.candidate
    if active is None or candidate is None or not active.spec.analysed or active.status.step < 1:
        return None
    step = steps.current(active)
    base = _trial(situation, active)
    if base is None or step is None:
        return None
    suffix = common.MIRROR if step.mirror_percent else common.PREVIEW if step.preview else ""
    whole = stable.replicas if stable else 0
    load = _load(active, step)
    beside = baseline.serving(situation)
    beside = beside if beside is not None and _has_share(situation, beside, active) else None
    outage = candidate.ready_endpoints == 0 and (fuse.outage(stable) or _reloads_alone(stable, active, candidate))
    return replace(
        base,
        candidate=arms.arm_of(candidate, situation.snapshot.route, suffix),
        baseline=arms.arm_of(beside, situation.snapshot.route) if beside is not None else None,
        exposure=_exposure(situation, active, candidate, step),
        plan=replace(base.plan, planned_pods=comparing.as_shrunk(base.plan.planned_pods, load, whole)),
        servers=replace(
            base.servers,
            candidate_own=_own(situation, candidate),
            baseline_own=_own(situation, beside) if beside is not None else base.servers.baseline_own,
            outage=outage,
        ),
    )


def _has_share(situation: Situation, beside: Revision, active: ModelRollout) -> bool:
    """Whether the baseline gets as many requests as the candidate."""
    route = situation.snapshot.route
    return route is not None and 0 < active.status.permille == route.weight(beside.name) and beside.ready_endpoints > 0


def control_trial(situation: Situation, running: Trial) -> Trial | None:
    """The baseline in the candidate's place, by the objectives that it does not correct: what accuses it is no fault of
    the candidate's. None without a baseline that serves, or without such an objective.
    """
    active = situation.active
    objectives = tuple(each for each in running.policy.objectives if not kind_of(each).traits.by_baseline)
    if active is None or running.baseline is None or not objectives:
        return None
    return replace(
        running,
        candidate=running.baseline,
        baseline=None,
        policy=replace(running.policy, objectives=objectives),
        exposure=replace(running.exposure, share_checked=False),
        servers=replace(running.servers, candidate_own=running.servers.baseline_own),
        last=LastLook(active.status.baseline_state),
    )


def _exposure(situation: Situation, active: ModelRollout, candidate: Revision, step: steps.Step) -> Exposure:
    route, status, stable = situation.snapshot.route, active.status, situation.stable
    permille, beside = _exposed(active, candidate, route), active.spec.baseline_revision or ""
    to_baseline = route.weight(beside) if route is not None else 0
    return Exposure(
        step=len(status.steps),
        permille=permille,
        route_generation=_generation(active, route),
        route_programmed=route is not None
        and route.programmed
        and _as_wanted(route, active, candidate, situation.snapshot.now),
        share_checked=0 < permille < steps.WHOLE
        and permille == status.permille
        and not situation.snapshot.by_service
        and stable is not None
        and _of_these(route, candidate.name, stable.name, beside),
        stable_permille=steps.WHOLE - permille - to_baseline if to_baseline else None,
        load_permille=_load(active, step),
        mirrored=bool(step.mirror_percent),
        baking=status.permille >= steps.WHOLE,
        probing=status.probe is not None,
        excludes=step.excludes,
    )


def _load(active: ModelRollout, step: steps.Step) -> int:
    """The share that the pods are created for; a probe removes none."""
    return steps.WHOLE if active.status.probe is not None else step.load_permille


def _generation(active: ModelRollout, route: Route | None) -> int:
    """Changes with the route. Writing it once more after a mismatch discards an interval, too."""
    return 0 if route is None else 2 * route.generation + (active.status.split_mismatch_since is not None)


def _of_these(route: Route | None, *names: str) -> bool:
    """Whether no other version has a share of the requests, such as one that was given up while stable had no pod."""
    return route is None or sum(map(route.weight, names)) == steps.WHOLE


def _exposed(active: ModelRollout, candidate: Revision, route: Route | None) -> int:
    """The candidate's share: its step's, or more while it takes over requests of the stable version."""
    granted = active.status.permille
    if active.status.stable_unready_since is None or route is None or not granted:
        return granted
    return max(granted, route.weight(candidate.name))


def _reloads_alone(stable: Revision | None, active: ModelRollout, candidate: Revision) -> bool:
    """Whether nothing serves because a pod is recreated, beside which there is no room for the stable version.

    The gateway's answers then say nothing about the model, and a rollback would take as long: the fuse decides.
    """
    room_needed = stable is not None and stable.replicas == 0 and active.spec.capacity is CapacityMode.RECREATE
    return room_needed and patience.loading(candidate, active.status.unready_since)


def forecast_trial(situation: Situation) -> Trial | None:
    """The future trial, before the first step; None once the plan is known."""
    active, candidate = situation.active, situation.candidate
    if active is None or candidate is None or not active.spec.analysed or active.status.step > 0:
        return None
    if active.status.plan or _intent_waits(active):
        return None
    base = _trial(situation, active)
    if base is None:
        return None
    own = tuple(step.permille for step in active.spec.steps)  # the forecast determines the lead step
    return replace(
        base,
        candidate=arms.arm_of(candidate, situation.snapshot.route),
        plan=replace(base.plan, steps=own),
        servers=replace(base.servers, candidate_own=_own(situation, candidate)),
    )


def arm_trials(situation: Situation) -> dict[str, Trial]:
    """In an A/B test: each running arm against the stable version, by revision."""
    active = situation.active
    if active is None or not testing(active) or active.status.step < 1 or active.spec.ab_test is None:
        return {}
    base = _trial(situation, active)
    if base is None:
        return {}
    route = situation.snapshot.route
    recorded = {arm.revision: arm for arm in active.status.arms}
    weights = active.spec.ab_test.shares
    rules = _own_rules(active.spec.ab_test, route)
    policy = replace(base.policy, metric=active.spec.ab_test.metric, arms=len(active.spec.ab_test.arms))
    stable = replace(base.stable, own_rule=rules.get(base.stable.revision))
    return {
        arm.name: replace(
            base,
            stable=stable,
            candidate=replace(arms.arm_of(arm, route), own_rule=rules.get(arm.name)),
            policy=policy,
            exposure=replace(
                base.exposure,
                permille=weights[arm.name],
                stable_permille=steps.WHOLE - sum(weights.values()),
                share_checked=True,
                route_programmed=route is not None and route.programmed and route.weight(arm.name) == weights[arm.name],
            ),
            servers=replace(
                base.servers,
                candidate_own=_own(situation, arm),
                outage=fuse.outage(situation.stable) and arm.ready_endpoints == 0,
            ),
            last=replace(base.last, state=recorded[arm.name].state if arm.name in recorded else None),
        )
        for arm in situation.candidates
    }


def _own_rules(test: ABTestRules, route: Route | None) -> dict[str, int]:
    """The index of each revision's rule for its returning users."""
    arms = route.paths.arms if route is not None else ()
    if len(arms) < 2:
        return {}
    return {revision: index for index, (revision, _) in enumerate(assignment.homes(test, arms), start=1)}


def _trial(situation: Situation, active: ModelRollout) -> Trial | None:
    """The part that all candidates share."""
    stable, snapshot = situation.stable, situation.snapshot
    if stable is None or active.spec.source is None:
        return None
    own = arms.arm_of(stable, snapshot.route)
    return Trial(
        now=snapshot.now,
        namespace=snapshot.namespace,
        name=snapshot.name,
        stable=own,
        candidate=own,
        policy=_policy(situation, active),
        exposure=Exposure(
            step=active.status.step,
            permille=0,
            route_generation=_generation(active, snapshot.route),
            route_programmed=False,
        ),
        gateway=_gateway(situation, active),
        plan=_plan(situation, active),
        servers=Servers(
            stable_ready=stable.ready_endpoints > 0,
            downtimes=_downtimes(situation, stable),
            own=_own(situation, stable),
        ),
        last=LastLook(active.status.state, blind=_blind(situation, active)),
        intent_waits=_intent_waits(active),
    )


def _policy(situation: Situation, active: ModelRollout) -> TrialPolicy:
    spec = active.spec
    return TrialPolicy(
        objectives=tuple(spec.objectives),
        alpha=fraction(spec.false_rollback_probability),
        beta=fraction(spec.false_advance_probability),
        idle_seconds=spec.idle_seconds,
        initial_dispersion=spec.initial_dispersion,
        new_pod_seconds=spec.new_pod_seconds,
        cache_fill_seconds=spec.cache_fill_seconds,
        asks=spec.capacity is not CapacityMode.RECREATE and spec.ab_test is None and not situation.snapshot.by_service,
    )


def _gateway(situation: Situation, active: ModelRollout) -> GatewayCounters:
    snapshot = situation.snapshot
    return GatewayCounters(
        preset=snapshot.preset,
        scrape_interval_seconds=active.spec.scrape_interval_seconds,
        answer_seconds=timeouts.longest_answer_seconds(
            snapshot.deployment.spec.routing, [revision.timeouts for revision in snapshot.revisions]
        ),
        namespace_label=snapshot.config.query_namespace_label,
    )


def _plan(situation: Situation, active: ModelRollout) -> ReleasePlan:
    every, spec, by_service = steps.steps(active), active.spec, situation.snapshot.by_service
    return ReleasePlan(
        steps=tuple(step.permille for step in every),
        deadline_seconds=_deadline_seconds(active),
        # No share is smaller than one pod's.
        maximum_requests_at_risk=spec.maximum_requests_at_risk if spec.start_step == 1 and not by_service else 0,
        by_risk=spec.stepping is Stepping.AUTO,
        excludes={step.permille: step.excludes for step in every if step.excludes is not None},
        planned_pods=comparing.planned_pods(every, spec.capacity, shares.whole(situation), by_service=by_service),
        with_baseline=baseline.planned(situation, active),
    )


def _own(situation: Situation, revision: Revision) -> OwnCounters:
    return arms.own_counters(situation.snapshot.runtimes, situation.snapshot.namespace, revision)


def _intent_waits(active: ModelRollout) -> bool:
    """Whether a person's intent is to be answered before the next look."""
    intent = intents.pending(active)
    return intent is not None and intent.action in WITHOUT_SAMPLES


def _blind(situation: Situation, active: ModelRollout) -> str:
    """Why nothing could be seen at the last look, from the model's condition; or empty."""
    if active.status.blind_since is None:
        return ""
    every = situation.snapshot.deployment.status.conditions
    said = (condition.message for condition in every if condition.type == Type.METRICS_AVAILABLE)
    return next(said, "") or "nothing could be seen at the last look"


def _downtimes(situation: Situation, stable: Revision) -> tuple[tuple[float, float], ...]:
    """The downtimes of releases without room for two versions, until stable's pods surely were back."""
    returns = patience.to_start(stable, patience.observed_loads(situation.snapshot.rollouts))
    made = [
        rollout.status
        for rollout in situation.snapshot.rollouts
        if rollout.spec.capacity is CapacityMode.RECREATE
        and rollout.spec.source is not None
        and rollout.spec.source.revision == stable.name
    ]
    return tuple(
        (
            timestamps.seconds(status.start_time),
            math.inf if status.end_time is None else timestamps.seconds(status.end_time) + returns,
        )
        for status in made
        if status.start_time is not None
    )


def _deadline_seconds(active: ModelRollout) -> float:
    end = active.status.deadline_time
    start = active.status.start_time
    if end is None or start is None:
        return float(active.spec.progress_deadline_seconds)
    return timestamps.seconds(end) - timestamps.seconds(start)


def _as_wanted(route: Route, active: ModelRollout, candidate: Revision, now: float) -> bool:
    """Whether the route exposes what the current step says; or more, once the candidate has replaced stable for long."""
    step = steps.current(active)
    if step is None or not patience.exposes(route.weight(candidate.name), active.status, now):
        return False
    mirrored = route.paths.mirror[0] == candidate.name if route.paths.mirror else False
    return mirrored == bool(step.mirror_percent) and (route.paths.preview == candidate.name) == step.preview
