"""The objects that a situation needs, as writes that change the existing ones.

A revision's Deployment and Service after it lost its traffic:

    weight 0 written ──> gateway programmed ──> drain-until noted on the Deployment ──> time is up: off the route
        ──> gateway programmed ──> Deployment and Service deleted
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sluice_core.decide import drift, history, orphans, resolving
from sluice_core.kernel import differ, naming, writing
from sluice_core.kernel.plan import Apply, Delete, Event, Ref, Write
from sluice_core.kernel.snapshot import Pod, Revision
from sluice_core.render import autoscaler, budget, common, scaledobject, workload
from sluice_core.render.jobs import variantjob
from sluice_core.render.scaledobject import Signal
from sluice_core.render.traffic import service
from sluice_core.rollout import baseline, validation
from sluice_core.rollout.capacity import pods
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.routing import address, observing, paths, weights
from sluice_core.situation import scaling
from sluice_core.situation.situation import Situation


@dataclass(frozen=True, slots=True)
class Children:
    """The writes that the children still need."""

    writes: tuple[Write, ...]
    serving: tuple[Write, ...]
    """The writes without which requests do not arrive where they should: workloads, Services and routes."""
    events: tuple[Event, ...]
    look_again_after: float | None
    """Seconds until a drain or a settling route must be checked; None at rest."""
    shares: Mapping[str, int]
    """Permille by revision in the routes after the writes."""


def desired(situation: Situation, needs: Capacity, *, created: bool) -> Children:
    """Writes for workloads, services, route, budget and history, in this order, deletions last."""
    retired = tuple(_retired(situation))
    target = address.target(situation, retired)
    route_writes = tuple(address.writes(situation, target))
    running_writes = tuple(_running_writes(situation, needs))
    writes = (
        *running_writes,
        *_replaced_pod(situation),
        *_draining_writes(situation, retired, unchanged=not route_writes),
        *_budget_writes(situation),
        *route_writes,
        *_removals(situation, retired, unchanged=not route_writes),
        *orphans.writes(situation, unchanged=not route_writes),
        *_unreferred_services(situation, unchanged=not route_writes),
        # After everything that serves: a failure here must not hold up a rollback.
        *observing.writes(situation),
        *observing.removals(situation, unchanged=not route_writes),
        *resolving.writes(situation.snapshot),
        *_job_writes(situation),
        *(() if created else history.deletions(situation)),
    )
    return Children(
        writes=writes,
        serving=(*running_writes, *route_writes),
        events=tuple(drift.events(situation, (*running_writes, *route_writes))),
        look_again_after=_look_again(situation, retired, target),
        shares=weights.added(target.weights) if target is not None else address.observed_shares(situation),
    )


def untouched(situation: Situation) -> Children:
    """Everything unchanged, for a reconcile that another one follows at once."""
    return Children((), (), (), None, address.observed_shares(situation))


def revision_writes(situation: Situation, revision: Revision) -> Iterator[Write]:
    """The ControllerRevision that pins a new revision; its content never changes."""
    if ("ControllerRevision", revision.name) not in situation.snapshot.objects:
        yield Apply(workload.desired_controller_revision(revision, situation.snapshot.deployment))


def _running_writes(situation: Situation, needs: Capacity) -> Iterator[Write]:
    if situation.stable is not None:
        yield from _serve(situation, situation.stable, needs.stable_replicas, pinned=needs.ramps)
    for candidate in situation.candidates:
        if candidate != situation.stable:
            yield from _serve(situation, candidate, needs.replicas_of(candidate.name), pinned=needs.ramps)
    beside = baseline.serving(situation)
    if beside is not None and (needs.baseline_replicas or beside.replicas):
        yield from _serve(situation, beside, needs.baseline_replicas, pinned=needs.ramps)
    for revision in pods.in_the_way(situation):
        yield from _serve(situation, revision, 0, pinned=False)
    for revision, suffix in paths.services(situation):
        yield from _service(situation, revision, suffix)


def _serve(situation: Situation, revision: Revision, replicas: int, *, pinned: bool) -> Iterator[Write]:
    """The revision's pods and address; with an autoscaler, `replicas` is the minimum."""
    deployment = situation.snapshot.deployment
    orphaned = _orphaned_autoscalers(situation, revision)
    yield from orphaned
    if deployment.spec.autoscaling is None:
        yield from writing.applied(situation.snapshot, workload.desired_deployment(revision, replicas, deployment))
    else:
        yield from _apply_scaled(situation, revision, replicas)
    if not orphaned:
        yield from _autoscaler_writes(situation, revision, replicas, pinned=pinned)
    yield from _service(situation, revision)


def _orphaned_autoscalers(situation: Situation, revision: Revision) -> list[Write]:
    """Deletes autoscalers whose Deployment is gone, so that they do not scale a new one of its name. The next reconcile
    recreates them."""
    if ("Deployment", revision.name) in situation.snapshot.objects:
        return []
    return [each for kind in scaling.ENGINES for each in writing.deleted(situation.snapshot, kind, revision.name)]


def _service(situation: Situation, revision: Revision, suffix: str = "") -> Iterator[Write]:
    """The revision's Service for the gateway. An existing one keeps its cluster IP, or its lack of one."""
    snapshot = situation.snapshot
    there = snapshot.objects.get(("Service", naming.service_name(revision.name, suffix)))
    headless = service.is_headless(there) if there is not None else not snapshot.by_service and snapshot.preset.headless
    manifest = service.desired_service(revision, snapshot.deployment, suffix=suffix, headless=headless)
    yield from writing.applied(snapshot, manifest)


def _autoscaler_writes(situation: Situation, revision: Revision, minimum: int, *, pinned: bool) -> Iterator[Write]:
    """The revision's autoscaler, after deleting one of another kind: the two would fight."""
    snapshot = situation.snapshot
    settings = snapshot.deployment.spec.autoscaling
    wanted = scaling.engine(settings) if settings is not None else None
    for kind in scaling.ENGINES:
        if kind != wanted:
            yield from writing.deleted(situation.snapshot, kind, revision.name)
    if wanted == scaling.HORIZONTAL_POD_AUTOSCALER:
        yield from writing.applied(
            situation.snapshot,
            autoscaler.desired_autoscaler(revision, snapshot.deployment, minimum=minimum, pinned=pinned),
        )
    elif wanted == scaling.SCALED_OBJECT and isinstance(signal := scaling.signal(snapshot, revision), Signal):
        yield from writing.applied(
            situation.snapshot,
            scaledobject.desired_scaled_object(
                revision,
                snapshot.deployment,
                signal,
                prometheus_url=snapshot.config.keda_prometheus_url or snapshot.config.prometheus_url,
                minimum=minimum,
                pinned=pinned,
                down=_taken_down(situation, minimum),
            ),
        )


def _taken_down(situation: Situation, minimum: int) -> bool:
    """Whether a release wants no pods at all; at rest, 0 is only the minimum."""
    return minimum == 0 and situation.active is not None


def _apply_scaled(situation: Situation, revision: Revision, minimum: int) -> Iterator[Write]:
    """A Deployment whose replicas belong to the autoscaler: their current number is kept.

    The number is still sent, since a field that its writer omits falls back to 1. The annotation is the hash of the
    manifest without it, so that a change of replicas causes no write.
    """
    deployment = situation.snapshot.deployment
    observed = situation.snapshot.objects.get(("Deployment", revision.name))
    # A HorizontalPodAutoscaler never scales a Deployment up from 0, nor below its own minimum, which is the same
    # number.
    awake = 0 if scaling.wakes(situation.snapshot, revision) else 1
    replicas = 0 if _taken_down(situation, minimum) else max(revision.replicas, minimum, awake)
    manifest = workload.desired_deployment(revision, replicas, deployment)
    hashed = {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}
    stamped = {**manifest, "metadata": differ.stamped(hashed)["metadata"]}
    if writing.is_needed(situation.snapshot, stamped, observed):
        yield writing.apply(stamped, observed)


def _replaced_pod(situation: Situation) -> Iterator[Write]:
    """Deletes the one pod that spoils its version; the Deployment creates a new one."""
    active = situation.active
    if active is None or active.status.replaced_pod is None:
        return
    for pod in (pod for candidate in situation.candidates for pod in candidate.pods):
        if pod.name == active.status.replaced_pod and not pod.terminating:
            yield Delete(Ref("v1", "Pod", pod.name, situation.snapshot.namespace, _uid(situation, pod)))


def _uid(situation: Situation, pod: Pod) -> str:
    return str(situation.snapshot.objects.get(("Pod", pod.name), {}).get("metadata", {}).get("uid", ""))


def _retired(situation: Situation) -> Iterator[Revision]:
    """Revisions that neither serve nor are being released, but still have a Deployment or a Service."""
    keep = {r.name for r in (situation.stable, baseline.serving(situation), *situation.candidates) if r is not None}
    for revision in situation.snapshot.revisions:
        exists = any(
            (kind, revision.name) in situation.snapshot.objects for kind in ("Deployment", "Service", *scaling.ENGINES)
        )
        if revision.name not in keep and exists:
            yield revision


def _draining_writes(situation: Situation, retired: tuple[Revision, ...], *, unchanged: bool) -> Iterator[Write]:
    """Notes when a revision's last requests will have ended, once the gateway sends it no more."""
    snapshot = situation.snapshot
    if snapshot.route is None or not snapshot.route.programmed or not unchanged:
        return
    for revision in retired:
        in_route = any(name == revision.name for name, _ in snapshot.route.weights)
        if in_route and snapshot.route.weight(revision.name) == 0 and revision.drain_until is None:
            seconds = snapshot.preset.settle_seconds + snapshot.deployment.spec.drain_seconds
            yield from writing.applied(
                situation.snapshot,
                workload.desired_deployment(
                    revision, revision.replicas, snapshot.deployment, drain_until=snapshot.now + seconds
                ),
            )


def _removals(situation: Situation, retired: tuple[Revision, ...], *, unchanged: bool) -> Iterator[Write]:
    """Deletes what is off the route and never had traffic or has drained."""
    observed = situation.snapshot.route
    if observed is not None and not (observed.programmed and unchanged):
        return
    referred = paths.referred(observed.paths) if observed is not None else frozenset()
    for revision in retired:
        if revision.name not in referred:
            for kind in (*scaling.ENGINES, "Deployment", "Service"):
                yield from writing.deleted(situation.snapshot, kind, revision.name)


def _unreferred_services(situation: Situation, *, unchanged: bool) -> Iterator[Write]:
    """Deletes the Services of mirrored, preview and header requests that no route uses any more."""
    observed = situation.snapshot.route
    if observed is not None and not (observed.programmed and unchanged):
        return
    needed = {naming.service_name(revision.name, suffix) for revision, suffix in paths.services(situation)}
    needed |= paths.referred(observed.paths) if observed is not None else frozenset()
    for revision in situation.snapshot.revisions:
        for suffix in common.SUFFIXES:
            name = naming.service_name(revision.name, suffix)
            if name not in needed:
                yield from writing.deleted(situation.snapshot, "Service", name)


def _job_writes(situation: Situation) -> Iterator[Write]:
    """A Job for each variant, and for each version that is validated.

    An existing Job is never written again, since its pod cannot be changed.
    """
    snapshot = situation.snapshot
    made = {variantjob.job_name(snapshot.deployment, each): each for each in snapshot.deployment.spec.variants}
    scored = {scoring.job: scoring for scoring in validation.scorings(situation)}
    for name, variant in made.items():
        if ("Job", name) not in snapshot.objects:
            yield Apply(differ.stamped(variantjob.desired_job(snapshot.deployment, variant, snapshot.config)))
    for scoring in scored.values():
        if (job := validation.wanted_job(snapshot, scoring)) is not None:
            yield Apply(differ.stamped(job))
    for kind, name in snapshot.objects:
        if kind == "Job" and name not in made and name not in scored:
            yield from writing.deleted(situation.snapshot, kind, name)


def _budget_writes(situation: Situation) -> Iterator[Write]:
    """From the model's second pod on: it has no use for a single one. An existing budget stays."""
    snapshot = situation.snapshot
    if situation.stable is None and situation.active is None:
        return
    wanted = budget.desired_budget(snapshot.deployment)
    if _may_have_pods(situation) > 1 or (wanted["kind"], wanted["metadata"]["name"]) in snapshot.objects:
        yield from writing.applied(snapshot, wanted)


def _may_have_pods(situation: Situation) -> int:
    """How many pods the model may have now; 2 stands for more than one."""
    spec = situation.snapshot.deployment.spec
    if spec.replicas > 1 or spec.autoscaling is not None:
        return 2
    wanted = {r.name for r in (situation.stable, *situation.candidates) if r is not None}
    return len(wanted | {r.name for r in situation.snapshot.revisions if r.replicas > 0})


def _look_again(situation: Situation, retired: tuple[Revision, ...], target: weights.Target | None) -> float | None:
    now = situation.snapshot.now
    drains = [*(r.drain_until for r in retired if r.drain_until is not None), *orphans.drains(situation)]
    waits = [max(0.1, until - now) for until in drains if until > now]
    left, observed = address.settle_left(situation), situation.snapshot.route
    if left == 0 and target is not None and target.intermediate:
        waits.append(address.settle_seconds(situation))
    elif left > 0 and (observed is None or observed.programmed):  # otherwise the gateway's answer triggers a reconcile
        waits.append(left)
    return min(waits) if waits else None
