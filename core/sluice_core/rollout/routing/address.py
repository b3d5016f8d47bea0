"""The address by which users reach the model: the routes, or the shared Service, with their weights."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import rawobjects, writing
from sluice_core.kernel.plan import Write
from sluice_core.kernel.snapshot import Object, Paths, Revision, Route, Snapshot
from sluice_core.parsing import addresses, endpoints
from sluice_core.render.traffic import route, sharedservice, timeouts
from sluice_core.rollout import baseline
from sluice_core.rollout.capacity import pods
from sluice_core.rollout.routing import paths, weights
from sluice_core.rollout.steps import WHOLE
from sluice_core.situation.situation import Situation
from sluice_judge import timestamps

MAIN_ROUTE: Final = "HTTPRoute"
"""Kind of the route whose status shows the state of its weights; it has the model's name. A Service takes effect at
once.
"""
SETTLE_SECONDS: Final = 2.0
ANNOTATION_SETTLE_UNTIL: Final = "sluice.dev/settle-until"
"""Epoch seconds until which a route in an intermediate state stays unchanged; never longer than settling lasts."""
ANNOTATION_SETTLING: Final = "sluice.dev/settling"
"""The weights of that state, permille in the order of the backends."""
SECONDS: Final = re.compile("[0-9]{1,15}")
PERMILLE: Final = re.compile("[0-9]{1,4}")
ANNOTATION_REPAIRED: Final = "sluice.dev/repaired"
"""Since when the gateway has not split requests as the route says; setting it writes the route once more."""


def target(situation: Situation, retired: tuple[Revision, ...]) -> weights.Target | None:
    """Weights to write; None while no version can get requests, or no route can exist."""
    snapshot = situation.snapshot
    if situation.stable is None or not (snapshot.gateway_api or snapshot.by_service):
        return None
    if snapshot.route is None and (snapshot.hostname_taken is not None or snapshot.refused):
        return None
    drained = {r.name for r in retired if r.drain_until is not None and snapshot.now >= r.drain_until}
    # Objects deleted by hand leave nothing to drain.
    beside = baseline.serving(situation)
    there = {r.name for r in (situation.stable, beside, *situation.candidates, *retired) if r is not None}
    unknown = {name for name, _ in snapshot.route.weights} - there if snapshot.route else set()
    leaving = frozenset(drained | unknown)
    held, shares = _held(situation), paths.shares(situation)
    if snapshot.by_service:
        held |= _crowded_out(situation, shares)
        return weights.at_once(route=snapshot.route, shares=shares, leaving=leaving, held=held)
    if snapshot.route is not None and settle_left(situation) > 0:
        settling = _settling(situation, snapshot.route)
        had, wanted = weights.added(snapshot.route.weights), weights.added(settling)
        if weights.upheld(had, wanted, held) == wanted:
            return weights.Target(settling, intermediate=True)
    return weights.target(
        route=snapshot.route,
        shares=shares,
        leaving=leaving,
        positional=snapshot.preset.positional,
        held=held,
        missing=frozenset(name for name in leaving if ("Service", name) not in snapshot.objects),
    )


def _held(situation: Situation) -> frozenset[str]:
    """Revisions on the route, or about to be, that must get no more requests than they have."""
    snapshot, stable = situation.snapshot, situation.stable
    names = {*paths.shares(situation), *(name for name, _ in (snapshot.route.weights if snapshot.route else ()))}
    unrecorded = {name for name in names if stable is not None and name != stable.name} if situation.refused else set()
    return frozenset(unrecorded | _empty(situation, names))


def _empty(situation: Situation, names: Set[str]) -> Set[str]:
    """Revisions without a ready endpoint.

    Not if there is no room for two: the new one must go before the old one gets its pods. In such a release the old one
    is down on purpose and gets nothing: a version from an earlier release may still answer.
    """
    latest, apart = situation.latest, set[str]()
    if latest is not None and latest.spec.capacity is CapacityMode.RECREATE:
        starting = situation.stable if situation.active is None else None
        apart = {each.name for each in (starting, *situation.candidates) if each is not None}
    return {name for name in names - apart if not _answers(situation.snapshot, name)}


def _crowded_out(situation: Situation, shares: Mapping[str, int]) -> Set[str]:
    """Revisions with which a Service cannot share requests yet: the pods of a third version would get some as well."""
    taking = {name for name, permille in shares.items() if permille}
    if len(taking) < 2 or not pods.crowded(situation):
        return frozenset()
    return taking - {name for name, permille in observed_shares(situation).items() if permille}


def _answers(snapshot: Snapshot, name: str) -> bool:
    """Whether a revision has ready endpoints. One without a ControllerRevision may have some, but no Service to share."""
    revision = snapshot.revision(name)
    if revision is not None:
        return revision.ready_endpoints > 0
    return not snapshot.by_service and bool(endpoints.ready(snapshot.objects.values(), name))


def observed_shares(situation: Situation) -> Mapping[str, int]:
    route_ = situation.snapshot.route
    return weights.added(route_.weights) if route_ is not None else {}


def writes(situation: Situation, target: weights.Target | None) -> Iterator[Write]:
    """All routes, or the shared Service, in one plan; undesired routes are deleted."""
    if target is None:
        return
    snapshot = situation.snapshot
    wanted = _addresses(situation, paths.wanted(situation, target.weights))
    for manifest in wanted:
        manifest["metadata"].setdefault("annotations", {}).update(_route_annotations(situation, manifest, target))
        yield from writing.applied(situation.snapshot, manifest)
    kept = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    for kind, name in snapshot.objects:
        is_address = kind in ("HTTPRoute", "GRPCRoute") or (kind, name) == ("Service", snapshot.name)
        if is_address and (kind, name) not in kept:
            yield from writing.deleted(situation.snapshot, kind, name)


def _addresses(situation: Situation, wanted: Paths) -> tuple[dict[str, Any], ...]:
    """The objects by which users reach the model."""
    snapshot = situation.snapshot
    if snapshot.by_service:
        return (sharedservice.desired_shared_service(snapshot.deployment, wanted, snapshot.revisions),)
    named = [revision for revision in snapshot.revisions if revision.name in wanted.revisions]
    return route.desired_routes(
        _addressed(situation),
        snapshot.config,
        wanted,
        grpc=frozenset(r.name for r in snapshot.revisions if r.grpc_port is not None and snapshot.grpc_api),
        limits=timeouts.longest(r.timeouts for r in named),
        exposed=[r.exposed for r in named],
        test=situation.active.spec.ab_test if situation.active is not None else None,
    )


def _main_route(situation: Situation) -> tuple[str, str]:
    return MAIN_ROUTE, situation.snapshot.name


def _route_annotations(situation: Situation, manifest: Object, target: weights.Target) -> dict[str, str]:
    snapshot, active = situation.snapshot, situation.active
    annotations = {}
    if target.intermediate and (manifest["kind"], manifest["metadata"]["name"]) == _main_route(situation):
        until = _settle_until(situation) if settle_left(situation) > 0 else None
        until = until or snapshot.now + settle_seconds(situation)
        annotations[ANNOTATION_SETTLE_UNTIL] = f"{until:.0f}"
        annotations[ANNOTATION_SETTLING] = ",".join(str(permille) for _, permille in target.weights)
    if active is not None and active.status.split_mismatch_since is not None:
        annotations[ANNOTATION_REPAIRED] = active.status.split_mismatch_since
    return annotations


def _addressed(situation: Situation) -> ModelDeployment:
    """The model with its route's address if the requested one is not available: stable continues to serve, weights
    move, and previews of a candidate are at that address."""
    snapshot = situation.snapshot
    deployment, main = snapshot.deployment, snapshot.objects.get(_main_route(situation))
    kept: dict[str, Any] = {}
    if main is not None and (snapshot.hostname_taken is not None or snapshot.refused.hostnames):
        kept["hostnames"] = list(main["spec"].get("hostnames") or ())
    if main is not None and (not snapshot.gateway_exists or snapshot.refused.gateway is not None):
        kept["gateway_ref"] = next(addresses.gateways_of(main), deployment.spec.routing.gateway_ref)
    if not kept:
        return deployment
    routing = deployment.spec.routing.model_copy(update=kept)
    return deployment.model_copy(update={"spec": deployment.spec.model_copy(update={"routing": routing})})


def _settle_until(situation: Situation) -> float | None:
    """When the intermediate state ends. A time further away than settling lasts is not ours, or the clock was set back:
    the state then begins anew."""
    observed, now = situation.snapshot.objects.get(_main_route(situation), {}), situation.snapshot.now
    value = rawobjects.annotations(observed).get(ANNOTATION_SETTLE_UNTIL)
    if value is None or not SECONDS.fullmatch(value):
        return None
    longest = settle_seconds(situation)
    return float(value) if float(value) <= now + longest + timestamps.ROUNDED_SECONDS else now + longest


def _settling(situation: Situation, observed: Route) -> weights.Weights:
    """The weights of the intermediate state, whatever others have changed meanwhile."""
    annotations = rawobjects.annotations(situation.snapshot.objects[_main_route(situation)])
    noted = annotations.get(ANNOTATION_SETTLING, "").split(",")
    if len(noted) != len(observed.weights) or not all(map(PERMILLE.fullmatch, noted)):
        return observed.weights
    weights_ = tuple((name, int(permille)) for (name, _), permille in zip(observed.weights, noted, strict=True))
    return weights_ if sum(permille for _, permille in weights_) == WHOLE else observed.weights


def settle_seconds(situation: Situation) -> float:
    """The minimum duration of an intermediate state: until the gateway surely has it."""
    return max(SETTLE_SECONDS, situation.snapshot.preset.settle_seconds)


def settle_left(situation: Situation) -> float:
    """Seconds that an intermediate state must still last, counted once the gateway has accepted it.

    A rollback does not wait for that: the gateway may have adopted the state without reporting it.
    """
    until, observed = _settle_until(situation), situation.snapshot.route
    if until is None or observed is None:
        return 0.0
    if not observed.programmed:
        return 0.0 if _overtaken(situation, observed) else settle_seconds(situation)
    return max(0.0, until - situation.snapshot.now)


def _overtaken(situation: Situation, observed: Route) -> bool:
    """Whether a version has more than a trace in the intermediate state, and more than it should have now."""
    wanted, stable = paths.shares(situation), situation.stable
    return any(
        permille > wanted.get(name, 0) + weights.TRACE
        for name, permille in weights.added(_settling(situation, observed)).items()
        if stable is not None and name != stable.name
    )
