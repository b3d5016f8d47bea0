"""The state of the routes, or of the Service that splits requests: whether requests arrive, and why not."""

import math

from sluice_core.api.v1alpha1.routing import TIMEOUT_SECONDS
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Route, Snapshot, UnownedAddress
from sluice_core.render.traffic import route, timeouts
from sluice_core.rollout import steps
from sluice_core.rollout.routing import weights
from sluice_core.situation.situation import Blocked, Situation

NO_ANSWER = "the gateway has not responded to the route yet; if this lasts, check whether its controller is running"


def blocked(snapshot: Snapshot) -> str:
    """Why no route can be programmed at all, with the remedy; empty if one can."""
    problem = hindrance(snapshot)
    return problem.message if problem is not None else ""


def still_routed(route: Route | None) -> bool:
    """Whether requests arrive by the route's previous state, before the gateway has confirmed a change."""
    return route is not None and route.used


def hindrance(snapshot: Snapshot) -> Blocked | None:
    """What prevents all routes of the model from being programmed, with the remedy; None if nothing does."""
    gateway = route.gateway_of(snapshot.deployment, snapshot.config)
    if snapshot.by_service:
        return None
    if not snapshot.gateway_api:
        return Blocked(
            Reason.GATEWAY_API_MISSING,
            "the cluster does not serve gateway.networking.k8s.io/v1; install the Gateway API CRDs and a gateway "
            "(README.md, section Install on a cluster), or set the operator's config.routing to Service "
            "(docs/without-a-gateway.md)",
        )
    if snapshot.refused:
        return _not_allowed(snapshot, snapshot.refused)
    if snapshot.hostname_taken is not None:
        return Blocked(
            Reason.HOSTNAME_TAKEN,
            f"spec.routing.hostnames: {', '.join(snapshot.hostnames)} is already used by "
            f"ModelDeployment {snapshot.hostname_taken}; choose another host name",
        )
    read = snapshot.config.gateway_namespaces
    if not snapshot.gateway_exists and read and gateway.namespace not in read:
        return Blocked(
            Reason.GATEWAY_NOT_FOUND,
            f"Gateway {gateway.namespace}/{gateway.name} cannot be seen: the operator reads those in {', '.join(read)} "
            "(config.watchNamespaces and config.gateway); name one of them in spec.routing.gatewayRef",
        )
    if not snapshot.gateway_exists:
        return Blocked(
            Reason.GATEWAY_NOT_FOUND,
            f"there is no Gateway {gateway.namespace}/{gateway.name}; create it, or set "
            "spec.routing.gatewayRef or the operator's config.gateway",
        )
    return None


def address_allowed(snapshot: Snapshot) -> Fact | None:
    """The part of the model's address that its namespace may not use, and whether it still serves there; None if the
    address is allowed."""
    if not snapshot.unowned:
        return None
    problem = _not_allowed(snapshot, snapshot.refused or snapshot.unowned)
    return Fact(False, problem.reason, problem.message)


def _not_allowed(snapshot: Snapshot, unowned: UnownedAddress) -> Blocked:
    """Reports the part of the address, its consequence, and what a person can do."""
    namespace = snapshot.namespace
    if unowned.hostnames:
        reason, field = Reason.HOSTNAME_NOT_ALLOWED, "spec.routing.hostnames"
        what, own = ", ".join(unowned.hostnames), f"use a name that ends in .{namespace}.{snapshot.config.domain}"
    else:
        assert unowned.gateway is not None
        reason, field = Reason.GATEWAY_NOT_ALLOWED, "spec.routing.gatewayRef"
        what, own = f"Gateway {unowned.gateway.namespace}/{unowned.gateway.name}", "leave the field out"
    stays = "" if snapshot.route is None else "; the routes keep the address that they have"
    becomes = f"the platform does not allow it to namespace {namespace}{stays}"
    if not snapshot.refused:
        becomes = (
            f"namespace {namespace} serves there without being allowed to, and does so only as long as its route exists"
        )
    return Blocked(
        reason,
        f"{field}: {what}: {becomes}; {own}, or ask the platform team for an entry in the operator's "
        "config.allowedAddresses",
    )


def programmed(situation: Situation, *, splits: bool = True) -> Fact:
    """Whether the gateway has programmed the routes; with `splits` also whether requests are seen to split accordingly."""
    snapshot, active = situation.snapshot, situation.active
    problem = hindrance(snapshot)
    if problem is not None:
        return Fact(False, problem.reason, problem.message)
    if snapshot.route is None and situation.stable is None and (snapshot.by_service or not snapshot.gateway_message):
        return Fact(
            None, Reason.NOTHING_TO_ROUTE, "no version serves; the first one that does gets the model's address"
        )
    if snapshot.by_service:
        return _shared_by_service(situation)
    if snapshot.route is None or not snapshot.route.answered:
        return Fact(False, Reason.WAITING_FOR_GATEWAY, snapshot.gateway_message or NO_ANSWER)
    if not snapshot.route.programmed:
        return Fact(False, Reason.ROUTE_NOT_ACCEPTED, snapshot.route.message)
    if _changes(situation, snapshot.route):
        return Fact(False, Reason.WAITING_FOR_GATEWAY, NO_ANSWER)
    if splits and active is not None and active.status.reason == Reason.SPLIT_MISMATCH:
        return Fact(False, Reason.SPLIT_MISMATCH, active.status.message)
    unkept = _unkept_limit(snapshot)
    return Fact(True, Reason.LIMIT_NOT_KEPT if unkept else Reason.PROGRAMMED, unkept)


def _unkept_limit(snapshot: Snapshot) -> str:
    """Timeouts that the gateway does not support, with a remedy; empty if it supports all."""
    routing, preset = snapshot.deployment.spec.routing, snapshot.preset
    if not preset.keeps_timeouts:
        if routing.timeouts is None and routing.timeout_seconds == TIMEOUT_SECONDS:
            return ""
        return (
            f"spec.routing.timeouts: gateway {preset.name} ignores the limits of a route, so that only the model server or "
            "the client ends an answer; remove the field, or use another gateway (docs/gateways.md)"
        )
    longest = timeouts.longest_answer_seconds(routing, [revision.timeouts for revision in snapshot.revisions])
    if math.isfinite(longest) or preset.idle_limit:
        return ""
    return (
        f"an answer has no limit, and gateway {preset.name} does not end one in which nothing moves any more; set "
        "spec.routing.timeouts.request to more than the longest answer, or an idle limit in the gateway's own settings "
        "(docs/gateways.md), which cannot be seen from here"
    )


def _changes(situation: Situation, route: Route) -> bool:
    """Whether a release is between two writes of one transition: it is reported once, and not between all of them."""
    active, candidate = situation.active, situation.candidate
    if active is None or candidate is None or active.status.reason != Reason.ROUTE_CHANGING:
        return False
    return weights.is_on_its_way(route, candidate.name, active.status.permille)


def _shared_by_service(situation: Situation) -> Fact:
    """How close the pods come to the desired shares."""
    route_, candidate = situation.snapshot.route, situation.candidate
    if route_ is None:
        return Fact(False, Reason.WAITING_FOR_SERVICE, "the model's Service is being written")
    if not route_.programmed:
        return Fact(False, Reason.WAITING_FOR_SERVICE, route_.message)
    wanted = route_.weight(candidate.name) if candidate is not None else 0
    if candidate is None or situation.stable is None or not 0 < wanted < steps.WHOLE:
        return Fact(
            True, Reason.APPROXIMATE, "one version gets all requests; in a release, shares are ratios of ready pods"
        )
    ready, everybody = candidate.ready_endpoints, candidate.ready_endpoints + situation.stable.ready_endpoints
    share = steps.percent(round(steps.WHOLE * ready / max(1, everybody)))
    return Fact(
        True,
        Reason.APPROXIMATE,
        f"{candidate.name} has {ready} of {everybody} ready pods, and so about {share} of the connections; the "
        f"target is {steps.percent(wanted)}",
    )


def url(snapshot: Snapshot) -> str:
    return f"http://{snapshot.hostnames[0]}"
