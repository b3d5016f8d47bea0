"""The fuse: ends a version at once, whatever its evidence."""

from collections.abc import Sequence
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import PodRestarts
from sluice_core.kernel.reasons import AnyReason, Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import restarts
from sluice_judge import timestamps

FUSE_SECONDS: Final = 60.0
"""A version that was ready and has had no ready pod for this long, while stable has one, is rolled back; later if its
model may still be loading (see `patience`)."""
FUSE_RESTARTS: Final = 3
"""So is one whose server restarted this often since the release began, and as often again for each restart of stable's:
what ends both, such as a request that neither survives, is no fault of the new version."""


def outage(stable: Revision | None) -> bool:
    """Whether the stable version has no ready pod although it should have.

    An outage of both versions (a lost node, a network, a volume) says nothing about the new one, and a rollback would
    not help: the fuse's clock begins when stable is back. If stable was taken down to make room, there is nothing to
    compare with, and the clock runs. Restarts are compared with stable's in any case.
    """
    return stable is not None and stable.replicas > 0 and stable.ready_endpoints == 0


def unready_since(stable: Revision | None, before: str | None, now: float) -> str | None:
    """Since when there is such an outage; None if there is none. before: the recorded time."""
    if not outage(stable):
        return None
    return timestamps.not_after(before, now) or timestamps.rfc3339(now)


def blown(
    revision: Revision,
    who: str,
    unready_since: str | None,
    now: float,
    *,
    before: Sequence[PodRestarts],
    stable: Revision | None,
    patience: float,
) -> tuple[AnyReason, str] | None:
    """(reason, message) of a version that must be rolled back; with its pods' own messages, if any.

    before: the restarts of both versions' pods when the release began. patience: seconds that it may be unready.
    """
    problem = revision.problem
    why = f": {problem.message}" if problem else ""
    restarted = restarts.since(revision, before)
    of_stable = restarts.since(stable, before) if stable is not None else 0
    if restarted >= FUSE_RESTARTS * (1 + of_stable):
        compared = f", the stable version's {of_stable} times" if of_stable else ""
        return (
            problem.reason if problem else Reason.RESTARTING,
            f"{who}'s server restarted {restarted} times since the release began{compared}{why}",
        )
    if unready_since is not None and now - timestamps.seconds(unready_since) >= patience:
        return (
            problem.reason if problem else Reason.CANDIDATE_DOWN,
            f"{who} has had no ready pod for {patience:.0f} s{why}",
        )
    return None
