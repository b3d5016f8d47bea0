"""What the conditions of a ModelDeployment say, one function each."""

from collections.abc import Iterator, Mapping

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.decide import routes, standing
from sluice_core.kernel import rawobjects
from sluice_core.kernel.conditions import Fact, Facts
from sluice_core.kernel.reasons import STALLS, PodReason, Reason
from sluice_core.kernel.snapshot import Problem, Revision, Snapshot
from sluice_core.render import workload
from sluice_core.rollout import lifecycle, steps
from sluice_core.rollout.attempts import Attempt, Refusal
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.routing import observing, weights
from sluice_core.situation import devices, following, reporting, scaling
from sluice_core.situation.situation import Blocked, Situation
from sluice_core.watch import report as watch_report
from sluice_core.watch.subject import watched_version
from sluice_judge import timestamps
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of
from sluice_judge.presets import GatewayPreset

NO_ROOM = frozenset({PodReason.UNSCHEDULABLE, PodReason.FAILED_CREATE})
AS_ASKED = frozenset({Reason.WINNER_PROMOTED})
"""What was requested has happened, though spec.model names another version: nothing is pending or blocked."""


def facts(
    situation: Situation,
    outlook: Attempt | Refusal | Blocked | None,
    judgement: Judgement | None,
    needs: Capacity,
) -> Facts:
    """The state of each condition, with reason and message."""
    return Facts(
        ready=_ready(situation, outlook),
        reconciling=_reconciling(situation, outlook),
        stalled=_stalled(situation, outlook),
        current=_current(situation, outlook),
        routes_programmed=routes.programmed(situation),
        address_allowed=routes.address_allowed(situation.snapshot),
        observed=observing.fact(situation),
        resolved=following.fact(situation.snapshot, reporting.problem(situation.snapshot)),
        capacity_available=_capacity_available(situation, needs),
        runtime_current=_runtime_current(situation),
        metrics_available=_metrics_available(situation, judgement),
        scaling_active=_scaling_active(situation),
        healthy=watch_report.healthy(watched_version(situation), situation.snapshot.deployment.status.watch),
    )


def _ready(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    snapshot, stable = situation.snapshot, situation.stable
    if stable is None:
        candidate = situation.candidate
        problem = candidate.problem if candidate is not None else None
        if problem is not None:
            return Fact(False, problem.reason, problem.message)
        if situation.lost:
            return Fact(False, Reason.STABLE_VERSION_LOST, lifecycle.lost_stable(situation))
        if isinstance(outlook, Blocked):
            return Fact(False, outlook.reason, outlook.message)
        return Fact(False, Reason.NO_STABLE_VERSION, "the first version is not ready yet")
    if scaling.asleep(snapshot, stable):
        return Fact(
            True,
            Reason.SCALED_TO_ZERO,
            f"no requests; the first request to {routes.url(snapshot)} will get 503 and start a pod",
        )
    instead = _instead_of(situation, stable)
    if stable.ready_endpoints == 0 and instead is None:
        problem = stable.problem or Problem(Reason.PODS_NOT_READY, f"no pod of {stable.name} is ready")
        return Fact(False, problem.reason, problem.message + _meanwhile(snapshot, stable))
    routed = routes.programmed(situation, splits=False)
    if not routed.status and not (routed.reason == Reason.WAITING_FOR_GATEWAY and routes.still_routed(snapshot.route)):
        return routed
    serves = f"serves at {routes.url(snapshot)}"
    if instead is not None:
        return Fact(True, Reason.SERVING, f"{instead.name} {serves}; {stable.name} has no pods to make room for it")
    return Fact(True, Reason.SERVING, f"{stable.name} {serves}")


def _instead_of(situation: Situation, stable: Revision) -> Revision | None:
    """The candidate that answers all requests while the stable version is taken down to make room for it."""
    active, candidate, route = situation.active, situation.candidate, situation.snapshot.route
    if active is None or active.spec.capacity is not CapacityMode.RECREATE or candidate is None or route is None:
        return None
    whole = candidate.ready_endpoints > 0 and route.weight(candidate.name) >= steps.WHOLE - weights.TRACE
    return candidate if whole and stable.ready_endpoints == 0 else None


def _meanwhile(snapshot: Snapshot, stable: Revision) -> str:
    """What answers while the stable version cannot, or empty: a rollback waits for its first pod."""
    serving = [
        f"{revision.name} answers {steps.percent(permille)} of the requests"
        for revision in snapshot.revisions
        if revision != stable and revision.ready_endpoints > 0 and snapshot.route is not None
        if (permille := snapshot.route.weight(revision.name)) > 0
    ]
    return f"; until one is, {' and '.join(serving)}" if serving else ""


def _reconciling(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    if situation.active is not None:
        return Fact(True, Reason.ROLLOUT_RUNNING, _running(situation, situation.active))
    if isinstance(outlook, Attempt):
        return Fact(True, Reason.ROLLOUT_RUNNING, _begins(outlook))
    if outlook is not None and outlook.reason not in AS_ASKED:
        return Fact(True, outlook.reason, outlook.message)
    stable = situation.stable
    wanted = shares.at_rest(situation)
    if stable is not None and stable.ready_replicas < wanted:
        reason = Reason.RESTORING_STABLE if _restoring(situation) else Reason.PROGRESSING
        return Fact(True, reason, f"{stable.ready_replicas} of {wanted} pods of {stable.name} are ready")
    return Fact(False, Reason.RECONCILED, "")


def _running(situation: Situation, active: ModelRollout) -> str:
    """The release, what it waits for, and why its version does not come up."""
    parts = [active.metadata.name, active.status.reason or Reason.STARTING]
    problem = situation.candidate.problem if situation.candidate is not None else None
    if problem is not None:
        parts.append(problem.message)
    return ": ".join(parts)


def _restoring(situation: Situation) -> bool:
    """Whether stable gave pods to a version that is leaving, and has not recovered them all."""
    latest, stable = situation.latest, situation.stable
    gave = latest is not None and latest.status.outcome not in (None, Outcome.PROMOTED)
    return gave and stable is not None and stable.replicas < shares.at_rest(situation)


def _stalled(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Fact:
    active, now = situation.active, situation.snapshot.now
    release = standing.stalled(active.status, now) if active is not None else None
    return next(_hindrances(situation, outlook), release or Fact(False, Reason.NOT_STALLED))


def _hindrances(situation: Situation, outlook: Attempt | Refusal | Blocked | None) -> Iterator[Fact]:
    for found in (outlook, routes.hindrance(situation.snapshot), _policy(situation), _unscalable(situation)):
        if isinstance(found, Refusal | Blocked) and STALLS in found.reason.marks:
            yield Fact(True, found.reason, found.message)


def _policy(situation: Situation) -> Blocked | None:
    """Why no release can begin; a running one has its own copy of the rules."""
    policy = situation.policy
    return policy if isinstance(policy, Blocked) and situation.active is None else None


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
    return Fact(True, Reason.CURRENT, f"{stable.name} is the requested version")


def _begins(attempt: Attempt) -> str:
    return f"the release of {attempt.target.name} begins"


def _capacity_available(situation: Situation, needs: Capacity) -> Fact:
    """Whether the pods could be scheduled; a refused pod counts as well, for example by a ResourceQuota."""
    if needs.wait:
        return Fact(False, Reason.CAPACITY_UNAVAILABLE, needs.wait)
    if situation.active is None and _restoring(situation):
        return Fact(
            False, Reason.RESTORING_STABLE, "the stable version gets its pods back as the other version's pods end"
        )
    served = [r for r in (situation.stable, *situation.candidates) if r is not None]
    problems = [p.problem for r in served for p in r.pods if p.problem is not None and p.problem.reason in NO_ROOM]
    if problems:
        return Fact(False, problems[0].reason, problems[0].message)
    if not served:
        return Fact(None, Reason.NOTHING_TO_RUN)
    uncounted = (devices.uncounted(revision.template) for revision in served)
    return Fact(True, Reason.SCHEDULED, next(filter(None, uncounted), ""))


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
    active = situation.active
    if judgement is None or active is None:  # or it has just ended
        return Fact(None, Reason.NOTHING_TO_MEASURE, "metrics are read while a release runs")
    if not judgement.sight.blind:
        return Fact(True, Reason.MEASURED, _uncounted(situation.snapshot.preset, active))
    since = active.status.blind_since
    if since is not None and situation.snapshot.now - timestamps.seconds(since) < active.spec.blind_seconds:
        return Fact(None, Reason.METRICS_LATE, judgement.sight.blind)
    return Fact(False, Reason.METRICS_UNAVAILABLE, judgement.sight.blind)


def _uncounted(preset: GatewayPreset, active: ModelRollout) -> str:
    """Failures that the gateway does not count, though objectives need them; empty if it counts all."""
    asking = [kind.name for kind in map(kind_of, active.spec.objectives) if kind.traits.counts_broken_answers]
    if not asking or not preset.requests or preset.broken is not None:
        return ""
    return (
        f"gateway {preset.name} does not tell answers that break off, so {' and '.join(asking)} cannot count them; judge "
        "streams by the model server: failureRatio with source Server and events BrokenStreams"
    )


def _unscalable(situation: Situation) -> Blocked | None:
    """Why the requested autoscaler cannot be created."""
    snapshot, settings = situation.snapshot, situation.snapshot.deployment.spec.autoscaling
    serving = situation.stable or situation.candidate
    if settings is None or serving is None or scaling.engine(settings) != scaling.SCALED_OBJECT:
        return None
    found = scaling.signal(snapshot, serving)
    return found if isinstance(found, Blocked) else None


def _scaling_active(situation: Situation) -> Fact:
    """What the HorizontalPodAutoscaler reports, Sluice's or KEDA's."""
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
    condition = _autoscaler_condition(snapshot, stable)
    if condition is None:
        return Fact(None, Reason.WAITING_FOR_AUTOSCALER, "no HorizontalPodAutoscaler has measured the load yet")
    if condition.get("status") == "True":
        return Fact(True, Reason.SCALING, scaling.estimated(snapshot))
    message = f"the number of pods stays the same: {condition.get('message', '')}{_credentials_remedy(situation)}"
    return Fact(False, Reason.LOAD_NOT_MEASURED, message)


def _credentials_remedy(situation: Situation) -> str:
    """What to do if KEDA has no credentials for a Prometheus that may require them."""
    settings, config = situation.snapshot.deployment.spec.autoscaling, situation.snapshot.config
    by_keda = settings is not None and scaling.engine(settings) == scaling.SCALED_OBJECT
    if not by_keda or not config.prometheus_secret_name or config.keda_prometheus_url:
        return ""
    return (
        f"; KEDA asks Prometheus without the credentials of Secret {config.prometheus_secret_name}: set "
        "config.kedaPrometheusUrl (Helm) to an address that lets it in"
    )


def _autoscaler_condition(snapshot: Snapshot, revision: Revision) -> Mapping[str, str] | None:
    """The condition ScalingActive of the HorizontalPodAutoscaler on the revision's Deployment."""
    for autoscaler in rawobjects.of_kind(snapshot.objects.values(), scaling.HORIZONTAL_POD_AUTOSCALER):
        if autoscaler["spec"]["scaleTargetRef"]["name"] == revision.name:
            stated = (autoscaler.get("status") or {}).get("conditions") or ()
            return next((condition for condition in stated if condition.get("type") == "ScalingActive"), None)
    return None
