"""Objects of leaving versions that no ControllerRevision pins any more, because a person deleted it.

off the route at weight 0 ──> drain-until noted on the Deployment ──> expired: all its objects deleted
"""

from collections.abc import Iterator, Mapping

from sluice_core.kernel import differ, naming, rawobjects, writing
from sluice_core.kernel.plan import Write
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.parsing import worlds
from sluice_core.render import workload
from sluice_core.rollout.routing import paths
from sluice_core.situation import scaling
from sluice_core.situation.situation import Situation

KINDS = (*scaling.ENGINES, "Deployment", "Service")
"""In the order of their deletion."""


def writes(situation: Situation, *, unchanged: bool) -> Iterator[Write]:
    """Notes their drains, and deletes what has drained. unchanged: whether the routes need no write."""
    route = situation.snapshot.route
    if route is not None and not (route.programmed and unchanged):
        return
    referred = paths.referred(route.paths) if route is not None else frozenset()
    for name, objects in _orphans(situation).items():
        if referred.isdisjoint(rawobjects.name(each) for each in objects.values()):
            yield from _leaves(situation, name, objects)


def drains(situation: Situation) -> Iterator[float]:
    """When the noted drains end, in seconds since the epoch."""
    for objects in _orphans(situation).values():
        for object_ in rawobjects.of_kind(objects.values(), "Deployment"):
            if (until := _drain_until(situation, object_)) is not None:
                yield until


def _leaves(situation: Situation, name: str, objects: Mapping[tuple[str, str], Object]) -> Iterator[Write]:
    snapshot = situation.snapshot
    deployment = objects.get(("Deployment", name))
    until = _drain_until(situation, deployment) if deployment is not None else snapshot.now
    if deployment is not None and until is None:
        yield writing.apply(differ.stamped(_draining(situation, name, deployment)), deployment)
    elif until is not None and snapshot.now >= until:
        for kind in KINDS:
            for object_ in rawobjects.of_kind(objects.values(), kind):
                yield from writing.deleted(snapshot, kind, rawobjects.name(object_))


def _draining(situation: Situation, name: str, deployment: Object) -> Object:
    """The unchanged Deployment, with the time at which it has drained: no pod is replaced."""
    spec, snapshot = deployment["spec"], situation.snapshot
    pinned = Revision(
        name,
        input_hash="",
        number=0,
        uri="",
        model_version=None,
        template=spec["template"],
        port=0,
        runtime="",
        runtime_hash="",
    )
    until = snapshot.now + _drain_seconds(situation)
    return workload.desired_deployment(pinned, spec.get("replicas"), snapshot.deployment, drain_until=until)


def _orphans(situation: Situation) -> Mapping[str, Mapping[tuple[str, str], Object]]:
    """Objects by revision; empty while the stable version itself may be the unpinned one: it serves."""
    snapshot, active = situation.snapshot, situation.active
    if situation.stable is None:
        return {}
    known = {name for kind, name in snapshot.objects if kind == "ControllerRevision"}  # including unreadable ones
    if active is not None:
        known |= {end.revision for end in active.spec.ends}
    found: dict[str, dict[tuple[str, str], Object]] = {}
    for (kind, name), object_ in snapshot.objects.items():
        revision = rawobjects.labels(object_).get(naming.LABEL_REVISION)
        if kind in KINDS and revision is not None and revision not in known:
            found.setdefault(revision, {})[kind, name] = object_
    return found


def _drain_until(situation: Situation, deployment: Object) -> float | None:
    return worlds.drain_until(deployment, situation.snapshot.now + _drain_seconds(situation))


def _drain_seconds(situation: Situation) -> int | float:
    return situation.snapshot.preset.settle_seconds + situation.snapshot.deployment.spec.drain_seconds
