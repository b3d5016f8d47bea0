"""The objects that must exist for a situation, as writes against those that do.

The life of a revision's Deployment and Service after it lost its traffic:

    weight 0 written ──> gateway programmed ──> drain-until noted on the Deployment ──> time is up: off the route
        ──> gateway programmed ──> Deployment and Service deleted
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluice.api.config import Routing
from sluice.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice.core import differ, naming, scaling, variants
from sluice.core.desired import (
    autoscaler,
    budget,
    common,
    route,
    scaledobject,
    service,
    sharedservice,
    variantjob,
    workload,
)
from sluice.core.plan import Apply, Delete, Event, Ref, Write
from sluice.core.rollout import paths, validation, weights
from sluice.core.rollout.capacity import Capacity
from sluice.core.situation import Situation
from sluice.core.snapshot import Object, Paths, Pod, Revision, Route

API_VERSIONS: Final = {
    "Deployment": "apps/v1",
    "Service": "v1",
    "Job": "batch/v1",
    "ControllerRevision": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "ScaledObject": "keda.sh/v1alpha1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
}
MAIN_ADDRESS: Final = {Routing.GATEWAY: "HTTPRoute", Routing.SERVICE: "Service"}
"""Kind of the object that carries the weights; it has the model's name."""
SETTLE_SECONDS: Final = 2.0
ANNOTATION_SETTLE_UNTIL: Final = "sluice.dev/settle-until"
"""Epoch seconds until which a route in an intermediate state is left as it is."""
ANNOTATION_SETTLING: Final = "sluice.dev/settling"
"""The weights of that state, permille in the order of the backends."""
ANNOTATION_REPAIRED: Final = "sluice.dev/repaired"
"""Since when the gateway has not split requests as the route says; a route that gets it is written once more."""
_REMEDIES: Final = dict.fromkeys(("HTTPRoute", "GRPCRoute"), "To change weights use kubectl sluice, or spec.rollout")


@dataclass(frozen=True, slots=True)
class Children:
    """What the children still need."""

    writes: tuple[Write, ...]
    events: tuple[Event, ...]
    look_again_after: float | None
    """Seconds until a drain or a settling route must be looked at; None at rest."""
    shares: Mapping[str, int]
    """Permille by revision, as the route has them after the writes."""


def desired(situation: Situation, needs: Capacity, *, created: bool) -> Children:
    """Writes for workloads, services, route, budget and history, in this order, deletions last."""
    retired = tuple(_retired(situation))
    target = _route_target(situation, retired)
    route_writes = tuple(_route_writes(situation, target))
    running_writes = tuple(_running_writes(situation, needs))
    writes = (
        *running_writes,
        *_replaced_pod(situation),
        *_draining_writes(situation, retired, unchanged=not route_writes),
        *_budget_writes(situation),
        *route_writes,
        *_removals(situation, retired, unchanged=not route_writes),
        *_unreferred_services(situation, unchanged=not route_writes),
        *_job_writes(situation),
        *(() if created else _history_deletions(situation)),
    )
    return Children(
        writes=writes,
        events=tuple(_drift_events(situation, (*running_writes, *route_writes))),
        look_again_after=_look_again(situation, retired, target),
        shares=weights.added(target.weights) if target is not None else _observed_shares(situation),
    )


def revision_writes(situation: Situation, revision: Revision) -> Iterator[Write]:
    """The ControllerRevision that pins a new revision; it is never written twice."""
    if ("ControllerRevision", revision.name) not in situation.snapshot.objects:
        yield Apply(workload.desired_controller_revision(revision, situation.snapshot.deployment))


def _running_writes(situation: Situation, needs: Capacity) -> Iterator[Write]:
    if situation.stable is not None:
        yield from _serve(situation, situation.stable, needs.stable_replicas, pinned=needs.ramps)
    for candidate in situation.candidates:
        if candidate != situation.stable:
            yield from _serve(situation, candidate, needs.replicas_of(candidate.name), pinned=needs.ramps)
    for revision, suffix in paths.services(situation):
        yield from _apply_if_needed(
            situation, service.desired_service(revision, situation.snapshot.deployment, suffix=suffix)
        )


def _serve(situation: Situation, revision: Revision, replicas: int, *, pinned: bool) -> Iterator[Write]:
    """The revision's pods and address; with an autoscaler, `replicas` is the fewest that it may have."""
    deployment = situation.snapshot.deployment
    if deployment.spec.autoscaling is None:
        yield from _apply_if_needed(situation, workload.desired_deployment(revision, replicas, deployment))
    else:
        yield from _apply_scaled(situation, revision, replicas)
    yield from _autoscaler_writes(situation, revision, replicas, pinned=pinned)
    yield from _apply_if_needed(situation, service.desired_service(revision, deployment))


def _autoscaler_writes(situation: Situation, revision: Revision, minimum: int, *, pinned: bool) -> Iterator[Write]:
    """The revision's autoscaler, and first the end of one of another kind: two would fight."""
    snapshot = situation.snapshot
    settings = snapshot.deployment.spec.autoscaling
    wanted = scaling.engine(settings) if settings is not None else None
    for kind in scaling.ENGINES:
        if kind != wanted:
            yield from _delete(situation, kind, revision.name)
    if wanted == scaling.HORIZONTAL_POD_AUTOSCALER:
        yield from _apply_if_needed(
            situation, autoscaler.desired_autoscaler(revision, snapshot.deployment, minimum=minimum, pinned=pinned)
        )
    elif wanted == scaling.SCALED_OBJECT and isinstance(signal := scaling.signal(snapshot, revision), scaling.Signal):
        yield from _apply_if_needed(
            situation,
            scaledobject.desired_scaled_object(
                revision,
                snapshot.deployment,
                signal,
                prometheus_url=snapshot.config.prometheus_url,
                minimum=minimum,
                pinned=pinned,
                down=_taken_down(situation, minimum),
            ),
        )


def _taken_down(situation: Situation, minimum: int) -> bool:
    """Whether a release wants no pods at all; at rest none is only the fewest there may be."""
    return minimum == 0 and situation.active is not None


def _apply_scaled(situation: Situation, revision: Revision, minimum: int) -> Iterator[Write]:
    """A Deployment whose replicas are the autoscaler's: whatever it has is what is wanted.

    The number is sent all the same, since a field that its writer leaves out falls back to 1. The annotation is the hash
    of the manifest without it, so that a change of replicas is no reason to write.
    """
    deployment = situation.snapshot.deployment
    observed = situation.snapshot.objects.get(("Deployment", revision.name))
    # A HorizontalPodAutoscaler never takes a Deployment up from 0, nor below its own least, which is the same number.
    awake = 0 if scaling.wakes(situation.snapshot, revision) else 1
    replicas = 0 if _taken_down(situation, minimum) else max(revision.replicas, minimum, awake)
    manifest = workload.desired_deployment(revision, replicas, deployment)
    hashed = {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}
    stamped = {**manifest, "metadata": differ.stamped(hashed)["metadata"]}
    if differ.needs_apply(stamped, observed):
        yield Apply(stamped)


def _replaced_pod(situation: Situation) -> Iterator[Write]:
    """Deletes the one pod that spoils its version; the Deployment makes a new one."""
    active, candidate = situation.active, situation.candidate
    if active is None or candidate is None or active.status.replaced_pod is None:
        return
    for pod in candidate.pods:
        if pod.name == active.status.replaced_pod and not pod.terminating:
            yield Delete(Ref("v1", "Pod", pod.name, situation.snapshot.namespace, _uid(situation, pod)))


def _uid(situation: Situation, pod: Pod) -> str:
    return str(situation.snapshot.objects.get(("Pod", pod.name), {}).get("metadata", {}).get("uid", ""))


def _retired(situation: Situation) -> Iterator[Revision]:
    """Revisions that neither serve nor are being released, but still have a Deployment or a Service."""
    keep = {r.name for r in (situation.stable, *situation.candidates) if r is not None}
    for revision in situation.snapshot.revisions:
        exists = any(
            (kind, revision.name) in situation.snapshot.objects for kind in ("Deployment", "Service", *scaling.ENGINES)
        )
        if revision.name not in keep and exists:
            yield revision


def _route_target(situation: Situation, retired: tuple[Revision, ...]) -> weights.Target | None:
    """Weights to write; None while there is nothing to send requests to, or no way to."""
    snapshot = situation.snapshot
    if situation.stable is None or not (snapshot.gateway_api or snapshot.by_service):
        return None
    if snapshot.hostname_taken is not None and snapshot.route is None:
        return None
    drained = {r.name for r in retired if r.drain_until is not None and snapshot.now >= r.drain_until}
    unknown = (
        {name for name, _ in snapshot.route.weights} - {r.name for r in snapshot.revisions} if snapshot.route else set()
    )
    if snapshot.route is not None and _settle_left(situation) > 0:
        return weights.Target(_settling(situation, snapshot.route), intermediate=True)
    return weights.target(
        route=snapshot.route,
        shares=paths.shares(situation),
        leaving=frozenset(drained | unknown),
        positional=snapshot.preset.positional,
        swaps_at_once=snapshot.by_service,
    )


def _observed_shares(situation: Situation) -> Mapping[str, int]:
    route_ = situation.snapshot.route
    return weights.added(route_.weights) if route_ is not None else {}


def _route_writes(situation: Situation, target: weights.Target | None) -> Iterator[Write]:
    """All routes, or the shared Service, in one plan; what is not wanted any more goes."""
    if target is None:
        return
    snapshot = situation.snapshot
    wanted = _addresses(situation, paths.wanted(situation, target.weights))
    for manifest in wanted:
        manifest["spec"] |= _kept_address(situation, manifest)
        manifest["metadata"].setdefault("annotations", {}).update(_route_annotations(situation, manifest, target))
        yield from _apply_if_needed(situation, manifest)
    kept = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    for kind, name in snapshot.objects:
        is_address = kind in ("HTTPRoute", "GRPCRoute") or (kind, name) == ("Service", snapshot.name)
        if is_address and (kind, name) not in kept:
            yield from _delete(situation, kind, name)


def _addresses(situation: Situation, wanted: Paths) -> tuple[dict[str, Any], ...]:
    """What users reach the model by."""
    snapshot = situation.snapshot
    if snapshot.by_service:
        return (sharedservice.desired_shared_service(snapshot.deployment, wanted, snapshot.revisions),)
    return route.desired_routes(
        snapshot.deployment,
        snapshot.config,
        wanted,
        grpc=frozenset(r.name for r in snapshot.revisions if r.grpc_port is not None and snapshot.grpc_api),
        test=situation.active.spec.ab_test if situation.active is not None else None,
    )


def _main_address(situation: Situation) -> tuple[str, str]:
    """(kind, name) of the object that carries the weights."""
    return MAIN_ADDRESS[situation.snapshot.config.routing], situation.snapshot.name


def _route_annotations(situation: Situation, manifest: Object, target: weights.Target) -> dict[str, str]:
    snapshot, active = situation.snapshot, situation.active
    annotations = {}
    if target.intermediate and (manifest["kind"], manifest["metadata"]["name"]) == _main_address(situation):
        until = _settle_until(situation) if _settle_left(situation) > 0 else None
        until = until or snapshot.now + _settle_seconds(situation)
        annotations[ANNOTATION_SETTLE_UNTIL] = f"{until:.0f}"
        annotations[ANNOTATION_SETTLING] = ",".join(str(permille) for _, permille in target.weights)
    if active is not None and active.status.split_mismatch_since is not None:
        annotations[ANNOTATION_REPAIRED] = active.status.split_mismatch_since
    return annotations


def _kept_address(situation: Situation, manifest: Object) -> Mapping[str, Any]:
    """What stays of a route's address because the one that is asked for cannot be had: stable serves on, weights move."""
    snapshot = situation.snapshot
    spec = snapshot.objects.get((manifest["kind"], manifest["metadata"]["name"]), {}).get("spec", {})
    kept = {"parentRefs": not snapshot.gateway_exists, "hostnames": snapshot.hostname_taken is not None}
    return {part: spec[part] for part, stays in kept.items() if stays and part in spec}


def _settle_until(situation: Situation) -> float | None:
    observed = situation.snapshot.objects.get(_main_address(situation), {})
    value = observed.get("metadata", {}).get("annotations", {}).get(ANNOTATION_SETTLE_UNTIL)
    return float(value) if value is not None and value.isdigit() else None


def _settling(situation: Situation, observed: Route) -> weights.Weights:
    """The weights of the intermediate state, whatever somebody else has made of them meanwhile."""
    annotations = situation.snapshot.objects[_main_address(situation)]["metadata"]["annotations"]
    noted = annotations.get(ANNOTATION_SETTLING, "").split(",")
    if len(noted) != len(observed.weights) or not all(permille.isdigit() for permille in noted):
        return observed.weights
    return tuple((name, int(permille)) for (name, _), permille in zip(observed.weights, noted, strict=True))


def _settle_seconds(situation: Situation) -> float:
    """How long an intermediate state lasts at least: until the gateway surely has it."""
    return max(SETTLE_SECONDS, situation.snapshot.preset.settle_seconds)


def _settle_left(situation: Situation) -> float:
    """Seconds that an intermediate state must still last; counts only once the gateway has accepted it.

    A way back waits for no acceptance: the gateway may have taken the state over and never say so.
    """
    until, observed = _settle_until(situation), situation.snapshot.route
    if until is None or observed is None:
        return 0.0
    if not observed.programmed:
        return 0.0 if _overtaken(situation, observed) else _settle_seconds(situation)
    return max(0.0, until - situation.snapshot.now)


def _overtaken(situation: Situation, observed: Route) -> bool:
    """Whether a version has more in the intermediate state than it is to have now, and not only a trace."""
    wanted, stable = paths.shares(situation), situation.stable
    return any(
        permille > wanted.get(name, 0) + weights.TRACE
        for name, permille in weights.added(_settling(situation, observed)).items()
        if stable is not None and name != stable.name
    )


def _draining_writes(situation: Situation, retired: tuple[Revision, ...], *, unchanged: bool) -> Iterator[Write]:
    """Notes when a revision's last requests have ended, once the gateway sends it no more."""
    snapshot = situation.snapshot
    if snapshot.route is None or not snapshot.route.programmed or not unchanged:
        return
    for revision in retired:
        in_route = any(name == revision.name for name, _ in snapshot.route.weights)
        if in_route and snapshot.route.weight(revision.name) == 0 and revision.drain_until is None:
            seconds = snapshot.preset.settle_seconds + snapshot.deployment.spec.drain_seconds
            yield from _apply_if_needed(
                situation,
                workload.desired_deployment(
                    revision, revision.replicas, snapshot.deployment, drain_until=snapshot.now + seconds
                ),
            )


def _removals(situation: Situation, retired: tuple[Revision, ...], *, unchanged: bool) -> Iterator[Write]:
    """Deletes what is off the route: never had traffic, or is drained."""
    observed = situation.snapshot.route
    if observed is not None and not (observed.programmed and unchanged):
        return
    referred = paths.referred(observed.paths) if observed is not None else frozenset()
    for revision in retired:
        if revision.name not in referred:
            for kind in (*scaling.ENGINES, "Deployment", "Service"):
                yield from _delete(situation, kind, revision.name)


def _unreferred_services(situation: Situation, *, unchanged: bool) -> Iterator[Write]:
    """Deletes the Services of mirrored, preview and header requests that no route leads to any more."""
    observed = situation.snapshot.route
    if observed is not None and not (observed.programmed and unchanged):
        return
    needed = {naming.service_name(revision.name, suffix) for revision, suffix in paths.services(situation)}
    needed |= paths.referred(observed.paths) if observed is not None else frozenset()
    for revision in situation.snapshot.revisions:
        for suffix in common.SUFFIXES:
            name = naming.service_name(revision.name, suffix)
            if name not in needed:
                yield from _delete(situation, "Service", name)


def _job_writes(situation: Situation) -> Iterator[Write]:
    """One for each variant, and for each version that is validated.

    A Job that exists is never written again, since its pod cannot be changed.
    """
    snapshot = situation.snapshot
    made = {variants.job_name(snapshot.deployment, each): each for each in snapshot.deployment.spec.variants}
    scored = {scoring.job: scoring for scoring in validation.scorings(situation)}
    for name, variant in made.items():
        if ("Job", name) not in snapshot.objects:
            yield Apply(differ.stamped(variantjob.desired_job(snapshot.deployment, variant, snapshot.config)))
    for scoring in scored.values():
        if (job := validation.wanted_job(snapshot, scoring)) is not None:
            yield Apply(differ.stamped(job))
    for kind, name in snapshot.objects:
        if kind == "Job" and name not in made and name not in scored:
            yield from _delete(situation, kind, name)


def _budget_writes(situation: Situation) -> Iterator[Write]:
    if situation.stable is not None or situation.active is not None:
        yield from _apply_if_needed(situation, budget.desired_budget(situation.snapshot.deployment))


def _history_deletions(situation: Situation) -> Iterator[Write]:
    """Keeps the newest rollouts, whatever defines the stable version, and the revisions that they speak of."""
    snapshot = situation.snapshot
    ended = [r for r in snapshot.rollouts if r.status.outcome is not None]
    kept = set(_names(ended[-snapshot.config.history_limit :])) | set(_names(snapshot.rollouts[-1:]))
    kept |= set(_names([r for r in ended if r.status.outcome is Outcome.PROMOTED][-1:]))
    kept |= set(_names([r for r in snapshot.rollouts if r.status.outcome is None]))
    for rollout in snapshot.rollouts:
        if rollout.metadata.name not in kept:
            yield Delete(
                Ref(
                    "sluice.dev/v1alpha1",
                    ModelRollout.kind,
                    rollout.metadata.name,
                    snapshot.namespace,
                    rollout.metadata.uid,
                )
            )
    used = {
        end.revision
        for r in snapshot.rollouts
        if r.metadata.name in kept
        for end in (r.spec.source, r.spec.target, *(arm.end for arm in (r.spec.ab_test.arms if r.spec.ab_test else ())))
        if end is not None
    }
    running = {name for kind, name in snapshot.objects if kind in ("Deployment", "Service")}
    for revision in snapshot.revisions:
        if revision.name not in used | running and revision != situation.stable:
            yield from _delete(situation, "ControllerRevision", revision.name)


def _names(rollouts: list[ModelRollout] | tuple[ModelRollout, ...]) -> Iterator[str]:
    return (rollout.metadata.name for rollout in rollouts)


def _delete(situation: Situation, kind: str, name: str) -> Iterator[Write]:
    observed = situation.snapshot.objects.get((kind, name))
    if observed is not None and observed["metadata"].get("deletionTimestamp") is None:
        yield Delete(
            Ref(API_VERSIONS[kind], kind, name, situation.snapshot.namespace, observed["metadata"].get("uid", ""))
        )


def _apply_if_needed(situation: Situation, manifest: Mapping[str, Any]) -> Iterator[Write]:
    stamped = differ.stamped(manifest)
    observed = situation.snapshot.objects.get((manifest["kind"], manifest["metadata"]["name"]))
    if observed is None or differ.needs_apply(stamped, observed):
        yield Apply(stamped)


def _drift_events(situation: Situation, writes: tuple[Write, ...]) -> Iterator[Event]:
    """Says so when somebody else changed or deleted an object of ours, and it is put back."""
    for write in writes:
        if not isinstance(write, Apply):
            continue
        kind, name = write.manifest["kind"], write.manifest["metadata"]["name"]
        observed = situation.snapshot.objects.get((kind, name))
        remedy = _REMEDIES.get(kind, "To change it change the ModelDeployment")
        if observed is None and kind in ("Deployment", "Service") and name in _was_there(situation):
            message = f"{kind} {name} was deleted by somebody else; made again. {remedy}"
            yield Event("DriftCorrected", message, warning=True)
        elif observed is not None and _changed_by_others(situation, write.manifest, observed):
            message = f"{kind} {name} was changed by somebody else; put back. {remedy}"
            yield Event("DriftCorrected", message, warning=True)


def _was_there(situation: Situation) -> frozenset[str]:
    """Revisions that have once had ready pods since they serve, or are being released."""
    stable, active = situation.stable, situation.active
    known = [] if active is None else [(arm.revision, arm.ready_time) for arm in active.status.arms]
    if active is not None and situation.candidate is not None:
        known.append((situation.candidate.name, active.status.ready_time))
    served = [] if stable is None else [stable.name]
    return frozenset([*served, *(name for name, ready_time in known if ready_time is not None)])


def _changed_by_others(situation: Situation, manifest: Mapping[str, Any], observed: Object) -> bool:
    """We applied this very manifest, and yet the object says something else."""
    if situation.snapshot.deployment.spec.autoscaling is not None and manifest["kind"] == "Deployment":
        # The number of an autoscaled one is not in the hash: where it differs, it may be we who want another.
        manifest = {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key != "replicas"}}
    applied = observed["metadata"].get("annotations", {}).get(differ.ANNOTATION_APPLIED)
    same = applied == manifest["metadata"]["annotations"][differ.ANNOTATION_APPLIED]
    return bool(same and differ.needs_apply(manifest, observed))


def _look_again(situation: Situation, retired: tuple[Revision, ...], target: weights.Target | None) -> float | None:
    now = situation.snapshot.now
    waits = [max(0.1, r.drain_until - now) for r in retired if r.drain_until is not None and r.drain_until > now]
    left = _settle_left(situation)
    if left > 0:
        waits.append(left)
    elif target is not None and target.intermediate:
        waits.append(_settle_seconds(situation))
    return min(waits) if waits else None
