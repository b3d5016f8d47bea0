"""The observer's place on the route, and its objects.

    spec.observer ──> Deployment, Service ──first ready endpoint──> copies on the route
    no spec.observer ──> off the route ──gateway programmed──> Service and Deployment deleted

An observer that goes down later stays on the route: gateways simply drop its copies, and writing the route at each
restart would disturb releases.
"""

from collections.abc import Iterator
from typing import Final

from sluice_core.kernel import commands, naming, writing
from sluice_core.kernel.conditions import Fact
from sluice_core.kernel.plan import Write
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.parsing import endpoints
from sluice_core.render import observer
from sluice_core.render.traffic import service
from sluice_core.situation.situation import Situation

WHOLE_PERCENT: Final = 100
KINDS: Final = ("Service", "Deployment")
"""In the order of their deletion."""


def refused(snapshot: Snapshot) -> str:
    """Why there can be no observer here, with the remedy; empty if there can."""
    if snapshot.by_service:
        return "spec.observer: without a gateway nobody copies requests; remove the field (docs/drift.md)"
    if not snapshot.preset.request_mirror:
        return (
            f"spec.observer: the gateway ({snapshot.preset.name}) does not copy requests; remove the field, or use another "
            "gateway (docs/drift.md)"
        )
    return ""


def percent_copied(situation: Situation, *, mirrored: bool) -> int | None:
    """The route's percentage; None: the observer gets no copies. mirrored: whether a candidate gets some now."""
    snapshot = situation.snapshot
    settings, name = snapshot.deployment.spec.observer, naming.observer_name(snapshot.name)
    if settings is None or refused(snapshot) or ("Service", name) not in snapshot.objects:
        return None
    if mirrored and not snapshot.preset.mirrors_several:
        return None  # requested in the middle of a release by copies: it waits for its end
    is_copied = snapshot.route is not None and snapshot.route.paths.observer is not None
    if not is_copied and not _ready(snapshot):
        return None
    return settings.percent if snapshot.preset.mirror_percent else WHOLE_PERCENT


def writes(situation: Situation) -> Iterator[Write]:
    """Its Deployment and its Service, once a version serves."""
    snapshot, stable = situation.snapshot, situation.stable
    settings = snapshot.deployment.spec.observer
    if settings is None or stable is None or refused(snapshot):
        return
    yield from writing.applied(
        snapshot,
        observer.desired_observer(
            snapshot.deployment,
            settings,
            snapshot.config,
            percent=WHOLE_PERCENT if snapshot.preset.mirror_percent else settings.percent,
            asks=(_address(snapshot, stable), stable.name) if settings.predictions else None,
        ),
    )
    there = snapshot.objects.get(("Service", naming.observer_name(snapshot.name)))
    headless = service.is_headless(there) if there is not None else snapshot.preset.headless
    yield from writing.applied(snapshot, service.desired_observer_service(snapshot.deployment, headless=headless))


def _address(snapshot: Snapshot, stable: Revision) -> str:
    """The observer's address: a headless Service leads to its pods, and so to their port."""
    there = snapshot.objects.get(("Service", stable.name))
    headless = service.is_headless(there) if there is not None else snapshot.preset.headless
    return f"http://{stable.name}.{snapshot.namespace}.svc:{stable.port if headless else naming.SERVICE_PORT}"


def removals(situation: Situation, *, unchanged: bool) -> Iterator[Write]:
    """Deletes the rest of an observer once no route leads to it. unchanged: whether the routes need no write."""
    snapshot = situation.snapshot
    if snapshot.deployment.spec.observer is not None and not refused(snapshot):
        return
    route = snapshot.route
    if route is not None and not (route.programmed and unchanged and route.paths.observer is None):
        return
    for kind in KINDS:
        yield from writing.deleted(snapshot, kind, naming.observer_name(snapshot.name))


def fact(situation: Situation) -> Fact | None:
    """The state of its condition; None if no observer is requested."""
    snapshot = situation.snapshot
    settings = snapshot.deployment.spec.observer
    if settings is None:
        return None
    why = refused(snapshot)
    if why:
        return Fact(False, Reason.OBSERVER_NOT_SUPPORTED, why)
    name = naming.observer_name(snapshot.name)
    if not _ready(snapshot):
        return Fact(
            False,
            Reason.OBSERVER_NOT_READY,
            f"no pod of {name} is ready, so nothing is counted; requests are not disturbed. See whether the ConfigMap "
            f"{settings.reference.name} is there and has a reference: "
            + commands.kubectl("logs", f"deployment/{name}", namespace=snapshot.namespace),
        )
    if snapshot.route is None or snapshot.route.paths.observer is None:
        return Fact(False, Reason.OBSERVER_NOT_READY, f"{name} is not on the route yet")
    return Fact(
        True, Reason.OBSERVING, f"{name} counts {settings.percent} % of the requests by {settings.reference.name}"
    )


def _ready(snapshot: Snapshot) -> bool:
    return bool(endpoints.ready(snapshot.objects.values(), naming.observer_name(snapshot.name)))
