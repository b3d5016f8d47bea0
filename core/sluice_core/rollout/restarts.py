"""Restarts of a model server in a release: a rollback meets pods that may have run, and restarted, for a year.

release begins ──> restarts so far of its pods and of stable's are noted ──> more than these count
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import PodRestarts
from sluice_core.kernel.snapshot import Revision

NOTED_PODS: Final = 64
"""How many pods are recorded, those with most restarts first, so that the status stays small."""


def before(revisions: Iterable[Revision]) -> list[PodRestarts]:
    """The restarts before a release begins, which do not count."""
    restarted = [pod for revision in revisions for pod in revision.pods if pod.restarts > 0]
    restarted.sort(key=lambda pod: (-pod.restarts, pod.name))
    return [PodRestarts(pod=pod.name, restarts=pod.restarts) for pod in restarted[:NOTED_PODS]]


def since(revision: Revision, noted: Sequence[PodRestarts]) -> int:
    """The most restarts of any pod of a revision since `noted` was written.

    Unrecorded pods had at most as many restarts as the last one recorded.
    """
    known = {entry.pod: entry.restarts for entry in noted}
    others = noted[-1].restarts if len(noted) >= NOTED_PODS else 0
    return max((0, *(pod.restarts - known.get(pod.name, others) for pod in revision.pods)))
