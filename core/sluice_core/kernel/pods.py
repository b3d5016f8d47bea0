"""Pods of a revision, and what keeps them from serving."""

from dataclasses import dataclass

from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.kernel.reasons import AnyReason


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps pods from serving, in words for a person."""

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
    """Since when the model server's container runs, in seconds since the epoch; None while it does not."""
    load_seconds: float | None = None
    """Seconds from when it was scheduled to when it was ready; None while it is not ready, or that is not known."""
    ready_since: float | None = None
    """When it became ready last, in seconds since the epoch; None while it is not ready, or that is not known."""
    verification: VerificationStatus | None = None
    """Who signed its model; None where nobody asked, or it has not said it yet."""
