"""Pods of a revision, and their problems."""

from dataclasses import dataclass

from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.kernel.reasons import AnyReason


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why pods do not serve, in words for a person."""

    reason: AnyReason
    message: str
    """What is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a revision."""

    name: str
    ready: bool
    restarts: int
    """Restarts of the model server's container."""
    terminating: bool
    problem: Problem | None = None
    server_since: float | None = None
    """Since when the model server's container has been running, in seconds since the epoch; None while it is not."""
    load_seconds: float | None = None
    """Seconds from scheduling to readiness; None while it is not ready, or if unknown."""
    ready_since: float | None = None
    """When it last became ready, in seconds since the epoch; None while it is not ready, or if unknown."""
    verification: VerificationStatus | None = None
    """The signer of its model; None if no signature is required, or it has not reported it yet."""
