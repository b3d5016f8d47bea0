"""The ModelDeployment's own status: what serves, what is being released, and what is in the way."""

from collections.abc import Iterator, Mapping

from sluice.api.v1alpha1.common import Condition, ConditionStatus
from sluice.api.v1alpha1.modeldeployment import LastRollout, ModelDeploymentStatus, RevisionStatus, RolloutSummary
from sluice.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice.api.v1alpha1.variants import VariantState
from sluice.core.judge.model import Judgement
from sluice.core.kernel import conditions, rawobjects, timestamps
from sluice.core.kernel.conditions import CONDITIONS, Fact, Facts, Polarity
from sluice.core.kernel.plan import Event
from sluice.core.kernel.reasons import BY_RELEASE, QUIET, STALLS, PodReason, Reason
from sluice.core.kernel.snapshot import Problem, Revision, Route, Snapshot
from sluice.core.render import route, workload
from sluice.core.rollout import steps
from sluice.core.rollout.capacity import shares
from sluice.core.rollout.capacity.model import Capacity
from sluice.core.rollout.lifecycle import Attempt, Refusal
from sluice.core.situation import scaling, variants
from sluice.core.situation.situation import Blocked, Situation

NO_ROOM = frozenset({PodReason.UNSCHEDULABLE, PodReason.FAILED_CREATE})

NO_ANSWER = "the gateway has not answered for the route yet; if this lasts, see whether its controller is running"


def route_blocked(snapshot: Snapshot) -> str:
    """Why no route can be programmed at all, with the remedy; empty when one can."""
    problem = _route_problem(snapshot)
    return problem.message if problem is not None else ""


def status(
    situation: Situation,
    outlook: Attempt | Refusal | Blocked | None,
    judgement: Judgement | None,
    needs: Capacity,
    shares: Mapping[str, int],
) -> ModelDeploymentStatus:
    """The whole status; equal to the stored one when nothing changed.

    Args:
        situation: after this pass has moved the release.
        outlook: the release that begins next, or why what is asked for is not being released.
        judgement: of the running release.
        needs: the pods that each side should have, and why some are not created.
        shares: permille by revision, as the route has them after this pass.
    """
    snapshot = situation.snapshot
    observed = snapshot.deployment.status
    generation = snapshot.deployment.metadata.generation
    return ModelDeploymentStatus(
        observed_generation=generation,
        url=_url(snapshot),
        stable=_revision_status(situation.stable, shares) if situation.stable else None,
        candidate=_revision_status(situation.candidate, shares) if situation.candidate else None,
        arms=[_revision_status(arm, shares) for arm in situation.candidates] if situation.candidate is None else [],
        variants=variants.statuses(snapshot),
        rollout=_summary(situation.active),
        last_rollouts=[_last(r) for r in reversed(snapshot.rollouts) if r.status.outcome is not None][:5],
        conditions=conditions.summarise(
            facts(situation, outlook, judgement, needs),
            observed=observed.conditions,
            generation=generation,
            now=snapshot.now,
        ),
    )


def facts(
    situation: Situation,
    outlook: Attempt | Refusal | Blocked | None,
    judgement: Judgement | None,
    needs: Capacity,
) -> Facts:
    """What the conditions say, each with reason and message."""
    return Facts(
        ready=_ready(situation, outlook),
        reconciling=_reconciling(situation, outlook),
        stalled=_stalled(situation, outlook),
        current=_current(situation, outlook),
        routes_programmed=_routes_programmed(situation),
        capacity_available=_capacity_available(situation, needs),
        runtime_current=_runtime_current(situation),
        metrics_available=_metrics_available(situation, judgement),
        scaling_active=_scaling_active(situation),
    )


def events(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    """One event for every reason that a condition has turned bad for, with the remedy; and for variants that are made."""
    yield from _variant_events(before, after)
    known = {condition.reason for condition in before.conditions if _is_bad(condition)}
    for condition in after.conditions:
        reason = Reason.of(condition.reason)
        if _is_bad(condition) and reason not in known and not reason.marks & (QUIET | BY_RELEASE):
            known.add(reason)
            yield Event(reason, f"{condition.type}: {condition.message}")


def _variant_events(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    states = {(variant.name, variant.uri): variant.state for variant in before.variants}
    for variant in after.variants:
        if states.get((variant.name, variant.uri), VariantState.PENDING) is variant.state:
            continue
        if variant.state is VariantState.READY:
            yield Event(Reason.VARIANT_READY, f"{variant.name}: {variants.words(variant)}")
        elif variant.state is VariantState.FAILED and not any(
            c.reason == Reason.VARIANT_FAILED for c in after.conditions
        ):
            yield Event(Reason.VARIANT_FAILED, f"{variant.name}: {variant.message}")


def _is_bad(condition: Condition) -> bool:
    polarity = next(d.polarity for d in CONDITIONS if d.type == condition.type)
    bad = ConditionStatus.FALSE if polarity is Polarity.NORMAL_TRUE else ConditionStatus.TRUE
    return condition.status is bad


def _ready(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    snapshot, stable = situation.snapshot, situation.stable
    if stable is None:
        candidate = situation.candidate
        problem = candidate.problem if candidate is not None else None
        if problem is not None:
            return Fact(False, problem.reason, problem.message)
        if isinstance(outlook, Blocked):
            return Fact(False, outlook.reason, outlook.message)
        return Fact(False, Reason.NO_STABLE_VERSION, "the first version is not ready yet")
    if scaling.asleep(snapshot, stable):
        return Fact(
            True, Reason.SCALED_TO_ZERO, f"nobody asks; the first request to {_url(snapshot)} gets 503 and starts a pod"
        )
    if stable.ready_endpoints == 0:
        problem = stable.problem
        if problem is not None:
            return Fact(False, problem.reason, problem.message)
        return Fact(False, Reason.PODS_NOT_READY, f"no pod of {stable.name} is ready")
    routed = _routes_programmed(situation, splits=False)
    if not routed.status and not (routed.reason == Reason.WAITING_FOR_GATEWAY and _still_routed(snapshot.route)):
        return routed
    return Fact(True, Reason.SERVING, f"{stable.name} serves at {_url(snapshot)}")


def _still_routed(route: Route | None) -> bool:
    """Whether requests arrive by what the route said before a change that the gateway has not answered for yet."""
    return route is not None and route.used


def _reconciling(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    if situation.active is not None:
        status = situation.active.status
        return Fact(
            True, Reason.ROLLOUT_RUNNING, f"{situation.active.metadata.name}: {status.reason or Reason.STARTING}"
        )
    if isinstance(outlook, Attempt):
        return Fact(True, Reason.ROLLOUT_RUNNING, _begins(outlook))
    stable = situation.stable
    wanted = shares.at_rest(situation)
    if stable is not None and stable.ready_replicas < wanted:
        reason = Reason.RESTORING_STABLE if _restoring(situation) else Reason.PROGRESSING
        return Fact(True, reason, f"{stable.ready_replicas} of {wanted} pods of {stable.name} are ready")
    return Fact(False, Reason.RECONCILED, "")


def _restoring(situation: Situation) -> bool:
    """Whether stable gave pods to a version that is leaving, and has not got them all back."""
    latest, stable = situation.latest, situation.stable
    gave = latest is not None and latest.status.outcome not in (None, Outcome.PROMOTED)
    return gave and stable is not None and stable.replicas < shares.at_rest(situation)


def _stalled(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    lasting = (found for found in _hindrances(situation, outlook) if STALLS in found.reason.marks)
    return next(lasting, Fact(False, Reason.NOT_STALLED))


def _hindrances(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Iterator[Fact]:
    active = situation.active
    decided = Problem(Reason.of(active.status.reason), active.status.message) if active is not None else None
    for found in (outlook, _route_problem(situation.snapshot), decided, _unscalable(situation)):
        if isinstance(found, Blocked | Problem):
            yield Fact(True, found.reason, found.message)


def _current(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    candidate = situation.candidate
    if candidate is not None:
        problem = candidate.problem
        if problem is not None:
            return Fact(False, problem.reason, f"{candidate.name} cannot start: {problem.message}")
        return Fact(False, Reason.ROLLOUT_RUNNING, f"{candidate.name} is being released")
    if isinstance(outlook, Refusal | Blocked):
        return Fact(False, outlook.reason, outlook.message)
    stable = situation.stable
    if stable is None:
        return Fact(False, Reason.NO_STABLE_VERSION, "nothing serves yet")
    if outlook is not None and outlook.target.name != stable.name:
        return Fact(False, Reason.ROLLOUT_RUNNING, _begins(outlook))
    return Fact(True, Reason.CURRENT, f"{stable.name} is what was asked for")


def _begins(attempt: Attempt) -> str:
    return f"the release of {attempt.target.name} begins"


def _route_problem(snapshot: Snapshot) -> Blocked | None:
    gateway = route.gateway_of(snapshot.deployment, snapshot.config)
    if snapshot.by_service:
        return None
    if not snapshot.gateway_api:
        return Blocked(
            Reason.GATEWAY_API_MISSING,
            "the cluster does not serve gateway.networking.k8s.io/v1; install the Gateway API CRDs and a gateway, see "
            "docs/first-hour.md, or set the operator's config.routing to Service, see docs/without-a-gateway.md",
        )
    if snapshot.hostname_taken is not None:
        return Blocked(
            Reason.HOSTNAME_TAKEN,
            f"spec.routing.hostnames: {', '.join(snapshot.hostnames)} is already used by "
            f"ModelDeployment {snapshot.hostname_taken}; choose another host name",
        )
    if not snapshot.gateway_exists:
        return Blocked(
            Reason.GATEWAY_NOT_FOUND,
            f"there is no Gateway {gateway.namespace}/{gateway.name}; create it, or set "
            "spec.routing.gatewayRef or the operator's config.gateway",
        )
    return None


def _routes_programmed(situation: Situation, *, splits: bool = True) -> Fact:
    """Whether the gateway has the routes; with `splits` also whether requests are seen to split as they say."""
    snapshot, active = situation.snapshot, situation.active
    problem = _route_problem(snapshot)
    if problem is not None:
        return Fact(False, problem.reason, problem.message)
    if snapshot.by_service:
        return _shared_by_service(situation)
    if snapshot.route is None or not snapshot.route.answered:
        return Fact(False, Reason.WAITING_FOR_GATEWAY, snapshot.gateway_message or NO_ANSWER)
    if not snapshot.route.programmed:
        return Fact(False, Reason.ROUTE_NOT_ACCEPTED, snapshot.route.message)
    if splits and active is not None and active.status.reason == Reason.SPLIT_MISMATCH:
        return Fact(False, Reason.SPLIT_MISMATCH, active.status.message)
    return Fact(True, Reason.PROGRAMMED, "")


def _shared_by_service(situation: Situation) -> Fact:
    """How near the pods come to the shares that are wanted."""
    route_, candidate = situation.snapshot.route, situation.candidate
    if route_ is None:
        return Fact(False, Reason.WAITING_FOR_SERVICE, "the model's Service is written as soon as a version serves")
    if not route_.programmed:
        return Fact(False, Reason.WAITING_FOR_SERVICE, route_.message)
    wanted = route_.weight(candidate.name) if candidate is not None else 0
    if candidate is None or situation.stable is None or not 0 < wanted < steps.WHOLE:
        return Fact(
            True, Reason.APPROXIMATE, "one version has all requests; in a release, shares are ratios of ready pods"
        )
    ready, everybody = candidate.ready_endpoints, candidate.ready_endpoints + situation.stable.ready_endpoints
    share = steps.percent(round(steps.WHOLE * ready / max(1, everybody)))
    return Fact(
        True,
        Reason.APPROXIMATE,
        f"{candidate.name} has {ready} of {everybody} ready pods, and so about {share} of the connections; "
        f"{steps.percent(wanted)} is wanted",
    )


def _capacity_available(situation: Situation, needs: Capacity) -> Fact:
    """Whether the pods found room; a refused pod counts as well, such as by a ResourceQuota."""
    if needs.wait:
        return Fact(False, Reason.CAPACITY_UNAVAILABLE, needs.wait)
    if situation.active is None and _restoring(situation):
        return Fact(
            False, Reason.RESTORING_STABLE, "the stable version gets its pods back as those of the other version end"
        )
    served = [r for r in (situation.stable, *situation.candidates) if r is not None]
    problems = [p.problem for r in served for p in r.pods if p.problem is not None and p.problem.reason in NO_ROOM]
    if problems:
        return Fact(False, problems[0].reason, problems[0].message)
    return Fact(True, Reason.SCHEDULED) if served else Fact(None, Reason.NOTHING_TO_RUN)


def _runtime_current(situation: Situation) -> Fact:
    stable = situation.stable
    if stable is None:
        return Fact(None, Reason.NO_STABLE_VERSION, "")
    runtime = next((r for r in situation.snapshot.runtimes if r.metadata.name == stable.runtime), None)
    if runtime is None:
        return Fact(
            False,
            Reason.RUNTIME_NOT_FOUND,
            f"ServingRuntime {stable.runtime} is gone; {stable.name} keeps running from its pinned template; "
            "create it again, or name another one in spec.runtime.name",
        )
    if workload.runtime_hash(runtime) != stable.runtime_hash:
        return Fact(
            False,
            Reason.NEWER_RUNTIME,
            f"ServingRuntime {stable.runtime} has changed since {stable.name} was "
            "rendered; the next release uses the new one",
        )
    return Fact(True, Reason.CURRENT, "")


def _metrics_available(situation: Situation, judgement: Judgement | None) -> Fact:
    if judgement is None:
        return Fact(None, Reason.NOTHING_TO_MEASURE, "metrics are read while a release runs")
    active = situation.active
    if not judgement.blind:
        return Fact(True, Reason.MEASURED, "")
    since = active.status.blind_since if active is not None else None
    patience = active.spec.blind_seconds if active is not None else 0
    if since is not None and situation.snapshot.now - timestamps.seconds(since) < patience:
        return Fact(None, Reason.METRICS_LATE, judgement.blind)
    return Fact(False, Reason.METRICS_UNAVAILABLE, judgement.blind)


def _unscalable(situation: Situation) -> Blocked | None:
    """Why the autoscaler that is asked for cannot be made."""
    snapshot, settings = situation.snapshot, situation.snapshot.deployment.spec.autoscaling
    serving = situation.stable or situation.candidate
    if settings is None or serving is None or scaling.engine(settings) != scaling.SCALED_OBJECT:
        return None
    found = scaling.signal(snapshot, serving)
    return found if isinstance(found, Blocked) else None


def _scaling_active(situation: Situation) -> Fact:
    """What the HorizontalPodAutoscaler says, ours or the one that KEDA makes."""
    snapshot, stable = situation.snapshot, situation.stable
    if snapshot.deployment.spec.autoscaling is None:
        return Fact(None, Reason.NOT_AUTOSCALED, "spec.replicas says how many pods there are")
    unscalable = _unscalable(situation)
    if unscalable is not None:
        return Fact(False, unscalable.reason, unscalable.message)
    if stable is None:
        return Fact(None, Reason.NO_STABLE_VERSION, "")
    if scaling.asleep(snapshot, stable):
        return Fact(True, Reason.SCALED_TO_ZERO, "nobody asks")
    told = _told_by_autoscaler(snapshot, stable)
    if told is None:
        return Fact(None, Reason.WAITING_FOR_AUTOSCALER, "no HorizontalPodAutoscaler has looked at the load yet")
    if told.get("status") == "True":
        return Fact(True, Reason.SCALING)
    return Fact(False, Reason.LOAD_NOT_MEASURED, f"the number of pods stays as it is: {told.get('message', '')}")


def _told_by_autoscaler(snapshot: Snapshot, revision: Revision) -> Mapping[str, str] | None:
    """The condition ScalingActive of the HorizontalPodAutoscaler on the revision's Deployment."""
    for autoscaler in rawobjects.of_kind(snapshot.objects.values(), scaling.HORIZONTAL_POD_AUTOSCALER):
        if autoscaler["spec"]["scaleTargetRef"]["name"] == revision.name:
            told = (autoscaler.get("status") or {}).get("conditions") or ()
            return next((condition for condition in told if condition.get("type") == "ScalingActive"), None)
    return None


def _revision_status(revision: Revision, shares: Mapping[str, int]) -> RevisionStatus:
    return RevisionStatus(
        revision=revision.name,
        model_version=revision.model_version,
        weight=steps.rounded_percent(shares.get(revision.name, 0)),
        ready_replicas=revision.ready_replicas,
        replicas=revision.replicas,
    )


def _summary(active: ModelRollout | None) -> RolloutSummary | None:
    if active is None:
        return None
    status = active.status
    return RolloutSummary(
        name=active.metadata.name,
        strategy=active.spec.strategy,
        verdict=str(status.verdict or ""),
        reason=status.reason,
        message=status.message,
        step=status.step,
        steps=len(steps.steps(active)),
        requests_needed=status.requests_needed,
        estimated_completion_time=status.estimated_completion_time,
    )


def _last(rollout: ModelRollout) -> LastRollout:
    return LastRollout(
        name=rollout.metadata.name,
        outcome=str(rollout.status.outcome),
        reason=rollout.status.reason,
        end_time=rollout.status.end_time,
    )


def _url(snapshot: Snapshot) -> str:
    return f"http://{snapshot.hostnames[0]}"
