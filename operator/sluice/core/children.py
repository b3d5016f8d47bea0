"""The objects that must exist for a situation, as writes against those that do.

The life of a revision's Deployment and Service after it lost its traffic:

    weight 0 written ──> gateway programmed ──> drain-until noted on the Deployment ──> time is up: off the route
        ──> gateway programmed ──> Deployment and Service deleted
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluice.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice.core import differ
from sluice.core.desired import budget, route, service, workload
from sluice.core.plan import Apply, Delete, Event, Ref, Write
from sluice.core.rollout import capacity, weights
from sluice.core.situation import Situation
from sluice.core.snapshot import Object, Revision

API_VERSIONS: Final = {"Deployment": "apps/v1", "Service": "v1", "ControllerRevision": "apps/v1"}
SETTLE_SECONDS: Final = 2.0
ANNOTATION_SETTLE_UNTIL: Final = "sluice.dev/settle-until"
"""Epoch seconds until which a route in an intermediate state is left as it is."""


@dataclass(frozen=True, slots=True)
class Children:
    """What the children still need."""

    writes: tuple[Write, ...]
    events: tuple[Event, ...]
    look_again_after: float | None
    """Seconds until a drain or a settling route must be looked at; None at rest."""
    shares: Mapping[str, int]
    """Permille by revision, as the route has them after the writes."""


def desired(situation: Situation, *, created: bool) -> Children:
    """Writes for workloads, services, route, budget and history, in this order, deletions last."""
    retired = tuple(_retired(situation))
    target = _route_target(situation, retired)
    route_writes = tuple(_route_writes(situation, target))
    writes = (
        *_running_writes(situation),
        *_draining_writes(situation, retired, unchanged=not route_writes),
        *_budget_writes(situation),
        *route_writes,
        *_removals(situation, retired, unchanged=not route_writes),
        *(() if created else _history_deletions(situation)),
    )
    return Children(
        writes=writes,
        events=tuple(_drift_events(situation, route_writes)),
        look_again_after=_look_again(situation, retired, target),
        shares=dict(target.weights) if target is not None else _observed_shares(situation),
    )


def revision_writes(situation: Situation, revision: Revision) -> Iterator[Write]:
    """The ControllerRevision that pins a new revision; it is never written twice."""
    if ("ControllerRevision", revision.name) not in situation.snapshot.objects:
        yield Apply(workload.desired_controller_revision(revision, situation.snapshot.deployment))


def _running_writes(situation: Situation) -> Iterator[Write]:
    deployment = situation.snapshot.deployment
    candidate = situation.candidate
    if situation.stable is not None:
        yield from _serve(situation, situation.stable, deployment.spec.replicas)
    if candidate is not None and situation.active is not None and candidate != situation.stable:
        yield from _serve(situation, candidate, capacity.candidate_replicas(situation.active, deployment.spec.replicas))


def _serve(situation: Situation, revision: Revision, replicas: int) -> Iterator[Write]:
    deployment = situation.snapshot.deployment
    yield from _apply_if_needed(situation, workload.desired_deployment(revision, replicas, deployment))
    yield from _apply_if_needed(situation, service.desired_service(revision, deployment))


def _retired(situation: Situation) -> Iterator[Revision]:
    """Revisions that neither serve nor are being released, but still have a Deployment or a Service."""
    keep = {r.name for r in (situation.stable, situation.candidate) if r is not None}
    for revision in situation.snapshot.revisions:
        exists = any((kind, revision.name) in situation.snapshot.objects for kind in ("Deployment", "Service"))
        if revision.name not in keep and exists:
            yield revision


def _route_target(situation: Situation, retired: tuple[Revision, ...]) -> weights.Target | None:
    """Weights to write; None while there is nothing to send requests to, or no way to."""
    snapshot = situation.snapshot
    if situation.stable is None or not snapshot.gateway_api:
        return None
    if snapshot.hostname_taken is not None and snapshot.route is None:
        return None
    shares = weights.wanted_shares(stable=situation.stable, candidate=situation.candidate, rollout=situation.active)
    drained = {r.name for r in retired if r.drain_until is not None and snapshot.now >= r.drain_until}
    unknown = (
        {name for name, _ in snapshot.route.weights} - {r.name for r in snapshot.revisions} if snapshot.route else set()
    )
    if snapshot.route is not None and _settle_left(situation) > 0:
        return weights.Target(snapshot.route.weights, intermediate=True)
    return weights.target(route=snapshot.route, shares=shares, leaving=frozenset(drained | unknown))


def _observed_shares(situation: Situation) -> Mapping[str, int]:
    route_ = situation.snapshot.route
    return dict(route_.weights) if route_ is not None else {}


def _route_writes(situation: Situation, target: weights.Target | None) -> Iterator[Write]:
    if target is None:
        return
    snapshot = situation.snapshot
    manifest = route.desired_route(snapshot.deployment, snapshot.config, target.weights)
    manifest["spec"] |= _kept_address(situation)
    if target.intermediate:
        until = _settle_until(situation) if _settle_left(situation) > 0 else None
        until = until or snapshot.now + SETTLE_SECONDS
        manifest["metadata"]["annotations"] = {ANNOTATION_SETTLE_UNTIL: f"{until:.0f}"}
    yield from _apply_if_needed(situation, manifest)


def _kept_address(situation: Situation) -> Mapping[str, Any]:
    """What stays of the route's address because the one that is asked for cannot be had: stable serves on, weights move."""
    snapshot = situation.snapshot
    spec = snapshot.objects.get(("HTTPRoute", snapshot.name), {}).get("spec", {})
    kept = {"parentRefs": not snapshot.gateway_exists, "hostnames": snapshot.hostname_taken is not None}
    return {part: spec[part] for part, stays in kept.items() if stays and part in spec}


def _settle_until(situation: Situation) -> float | None:
    observed = situation.snapshot.objects.get(("HTTPRoute", situation.snapshot.name), {})
    value = observed.get("metadata", {}).get("annotations", {}).get(ANNOTATION_SETTLE_UNTIL)
    return float(value) if value is not None and value.isdigit() else None


def _settle_left(situation: Situation) -> float:
    """Seconds that an intermediate state must still last; counts only once the gateway has accepted it."""
    until, observed = _settle_until(situation), situation.snapshot.route
    if until is None or observed is None:
        return 0.0
    if not observed.programmed:
        return SETTLE_SECONDS
    return max(0.0, until - situation.snapshot.now)


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
    for revision in retired:
        if observed is None or all(name != revision.name for name, _ in observed.weights):
            for kind in ("Deployment", "Service"):
                yield from _delete(situation, kind, revision.name)


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
        for end in (r.spec.source, r.spec.target)
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


def _drift_events(situation: Situation, route_writes: tuple[Write, ...]) -> Iterator[Event]:
    """Says so when somebody else changed our route, and it is put back."""
    for write in route_writes:
        observed = situation.snapshot.objects.get(("HTTPRoute", situation.snapshot.name))
        if isinstance(write, Apply) and observed is not None and _changed_by_others(write.manifest, observed):
            yield Event(
                "DriftCorrected",
                f"HTTPRoute {situation.snapshot.name} was changed by somebody else; put back. "
                "To change weights use kubectl sluice, or spec.rollout",
                warning=True,
            )


def _changed_by_others(manifest: Mapping[str, Any], observed: Object) -> bool:
    """We applied this very manifest, and yet the object says something else."""
    applied = observed["metadata"].get("annotations", {}).get(differ.ANNOTATION_APPLIED)
    return bool(applied == manifest["metadata"]["annotations"][differ.ANNOTATION_APPLIED])


def _look_again(situation: Situation, retired: tuple[Revision, ...], target: weights.Target | None) -> float | None:
    now = situation.snapshot.now
    waits = [max(0.1, r.drain_until - now) for r in retired if r.drain_until is not None and r.drain_until > now]
    left = _settle_left(situation)
    if left > 0:
        waits.append(left)
    elif target is not None and target.intermediate:
        waits.append(SETTLE_SECONDS)
    return min(waits) if waits else None
