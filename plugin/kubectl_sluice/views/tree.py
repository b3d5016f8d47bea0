"""The objects of one model, as a tree with the state of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.views import live
from sluice_core.api.v1alpha1.common import ConditionStatus
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.snapshot import Object, Pod, Revision, Snapshot
from sluice_core.parsing import endpoints
from sluice_core.rollout import steps
from sluice_core.situation import following
from sluice_core.situation.situation import Situation
from sluice_core.views import words

HIDDEN: Final = frozenset({"EndpointSlice", "Pod", "ModelRollout", "ControllerRevision"})
"""Kinds placed elsewhere in the tree, or covered by the Service."""


@dataclass(frozen=True, slots=True)
class Node:
    """One object, or a revision that stands for several."""

    kind: str
    name: str
    state: str
    """The state in a few words; empty where it merely exists."""
    healthy: bool
    children: tuple["Node", ...] = ()


def tree(situation: Situation) -> Node:
    """The tree of a ModelDeployment: its revisions with their running objects, its routes, its releases."""
    snapshot = situation.snapshot
    revisions = [_revision(revision, situation) for revision in reversed(snapshot.revisions)]
    shared = [o for o in snapshot.objects.values() if _is_shared(o, snapshot)]
    rollouts = [
        Node(
            rollout.kind,
            rollout.metadata.name,
            str(rollout.status.outcome or rollout.status.verdict or "not judged yet")
            + (f": {rollout.status.reason}" if rollout.status.reason else ""),
            healthy=True,
        )
        for rollout in reversed(snapshot.rollouts)
    ]
    return Node(
        "ModelDeployment",
        f"{snapshot.namespace}/{snapshot.name}",
        snapshot.deployment.spec.model_uri,
        healthy=True,
        children=(*_registry(snapshot), *revisions, *_objects(shared, snapshot), *rollouts),
    )


def _is_shared(raw: Object, snapshot: Snapshot) -> bool:
    """Whether it belongs to all revisions, and not to the registry."""
    return naming.LABEL_REVISION not in rawobjects.labels(raw) and raw is not _resolver(snapshot)


def _resolver(snapshot: Snapshot) -> Object | None:
    """The namespace's resolver, if this model keeps it."""
    return snapshot.objects.get(("Deployment", naming.resolver_name(snapshot.name)))


def _registry(snapshot: Snapshot) -> Iterator[Node]:
    """The registry's last answer, as far as the status has it, and the resolver that asks."""
    resolver = _resolver(snapshot)
    children = tuple(_objects([resolver], snapshot)) if resolver is not None else ()
    said = following.condition(snapshot.deployment)
    for uri in following.uris(snapshot.deployment):
        state = said.message.removeprefix(uri).lstrip(" :") if said is not None else "not asked yet"
        yield Node("Registry", uri, state, said is None or said.status is not ConditionStatus.FALSE, children)


def _revision(revision: Revision, situation: Situation) -> Node:
    snapshot = situation.snapshot
    own = [o for o in snapshot.objects.values() if rawobjects.labels(o).get(naming.LABEL_REVISION) == revision.name]
    pods = tuple(_pod(pod) for pod in revision.pods)
    children = [
        _running(node, revision, pods) if node.kind == "Deployment" else node for node in _objects(own, snapshot)
    ]
    weight = snapshot.route.weight(revision.name) if snapshot.route is not None else 0
    parts = [
        _role(revision, situation),
        steps.percent(weight) if weight else "",
        revision.uri,
        f"by {revision.runtime}",
    ]
    return Node("Revision", revision.name, ", ".join(part for part in parts if part), True, tuple(children))


def _running(node: Node, revision: Revision, pods: tuple[Node, ...]) -> Node:
    """A Deployment by its pods, where they are visible; its own status takes longer."""
    if not pods:
        return node
    count, wanted = live.counted(revision.pods), revision.replicas
    state = f"{count.ready} of {words.plural(wanted, 'pod')} ready"
    return Node(node.kind, node.name, state, count.ready >= wanted, pods)


def _role(revision: Revision, situation: Situation) -> str:
    if revision == situation.stable:
        return "stable"
    if situation.active is not None and revision.name == situation.active.spec.baseline_revision:
        return "baseline"
    return "candidate" if revision in situation.candidates else "kept"


def _pod(pod: Pod) -> Node:
    if pod.problem is not None:
        return Node("Pod", pod.name or "(none)", f"{pod.problem.reason}: {pod.problem.message}", healthy=False)
    state = "ends" if pod.terminating else "ready" if pod.ready else "not ready"
    restarts = f", {words.plural(pod.restarts, 'restart')}" if pod.restarts else ""
    return Node("Pod", pod.name, f"{state}{restarts}", healthy=pod.ready or pod.terminating)


def _objects(objects: Iterable[Object], snapshot: Snapshot) -> list[Node]:
    shown = (o for o in objects if o.get("kind") not in HIDDEN)
    return [_object(o, snapshot) for o in sorted(shown, key=lambda o: (str(o.get("kind")), rawobjects.name(o)))]


def _object(raw: Object, snapshot: Snapshot) -> Node:
    kind, name = str(raw.get("kind")), rawobjects.name(raw)
    spec, status = raw.get("spec", {}), raw.get("status", {})
    healthy, state = True, ""
    match kind:
        case "Deployment":
            wanted, ready = int(spec.get("replicas", 1)), int(status.get("readyReplicas", 0))
            healthy, state = ready >= wanted, f"{ready} of {words.plural(wanted, 'pod')} ready"
        case "Service":
            behind = len(endpoints.ready(snapshot.objects.values(), name))
            state = words.plural(behind, "ready endpoint")
        case "HorizontalPodAutoscaler":
            state = f"{spec.get('minReplicas', 1)} to {spec.get('maxReplicas')} pods"
        case "ScaledObject":
            state = f"{spec.get('minReplicaCount', 0)} to {spec.get('maxReplicaCount')} pods"
        case "PodDisruptionBudget":
            state = f"{status.get('disruptionsAllowed', 0)} of {status.get('currentHealthy', 0)} pods may be evicted"
        case "HTTPRoute" | "GRPCRoute":
            hosts = ", ".join(spec.get("hostnames") or ())
            healthy = snapshot.route is not None and snapshot.route.programmed
            state = (
                f"{hosts}: programmed" if healthy else f"{hosts}: {snapshot.route.message if snapshot.route else ''}"
            )
    return Node(kind, name, state, healthy)
