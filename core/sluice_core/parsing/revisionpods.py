"""The pods of a revision."""

from collections.abc import Iterable

from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.pods import Pod
from sluice_core.kernel.rawobjects import Object
from sluice_core.parsing import podproblems, verifications


def observed_pods(owned: Iterable[Object], revision: str, now: float) -> tuple[Pod, ...]:
    """A revision's pods, oldest first; ended ones count only while there is no other."""
    pods = sorted(
        (
            pod
            for pod in rawobjects.of_kind(owned, "Pod")
            if rawobjects.labels(pod).get(naming.LABEL_REVISION) == revision
        ),
        key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", rawobjects.name(pod)),
    )
    alive = [pod for pod in pods if not rawobjects.is_over(pod)]
    return tuple(_observed_pod(pod, now) for pod in alive or pods)


def _observed_pod(pod: Object, now: float) -> Pod:
    terminating = rawobjects.is_going(pod)
    return Pod(
        name=rawobjects.name(pod),
        ready=podproblems.condition(pod, "Ready").get("status") == "True",
        restarts=int(podproblems.server_status(pod).get("restartCount", 0)),
        terminating=terminating,
        problem=None if terminating else podproblems.problem(pod, now),
        server_since=podproblems.server_since(pod),
        load_seconds=podproblems.load_seconds(pod),
        ready_since=podproblems.ready_since(pod),
        verification=verifications.verification(pod),
    )
