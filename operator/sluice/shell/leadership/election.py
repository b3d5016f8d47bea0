"""Leader election by Lease: two replicas watch, one writes.

    holder   renews every `retry` ──── may write until `renew_within` after the last renewal was *sent* ───> silent
    others   look every `retry` ────── take over `duration` after they saw the last renewal, by their own clock ───>

A renewal is one request: a replacement of the very version that the holder wrote last. Only a holder that is no longer
sure of it reads first. With slow requests the next renewal begins when the last one has been answered, so a holder
keeps the lease without a gap up to half of `renew_within` a request.

Both sides count on their own monotonic clock, so clocks that differ do no harm. `duration - renew_within` is the time
in which the last write of a holder that lost its connection must have ended.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sluice_core import errors
from sluice_core.kernel.snapshot import Object
from sluice_core.ports import Clock

LOG: Final = logging.getLogger(__name__)
DEFAULT_DURATION_SECONDS: Final = 15.0


class Leases(Protocol):
    """Reads and writes Leases."""

    async def read_lease(self, namespace: str, name: str, *, seconds: float) -> Object | None:
        """The Lease, or None where there is none. seconds: how long to wait for the answer."""

    async def write_lease(self, lease: Object, *, seconds: float) -> Object:
        """Creates or replaces it; `Conflict` when another client was faster."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds."""

    duration: float = DEFAULT_DURATION_SECONDS

    @property
    def renew_within(self) -> float:
        return self.duration * 2 / 3

    @property
    def retry(self) -> float:
        return min(2.0, self.duration / 5)

    @property
    def request(self) -> float:
        """Longest wait for one answer: a request that hangs leaves time for one that does not."""
        return self.duration * 2 / 5


@dataclass(slots=True)
class Observed:
    """The Lease as it was seen last."""

    lease: dict[str, Any] = field(default_factory=dict)
    changed_at: float = float("-inf")
    """Monotonic moment at which it was first seen like this."""


class Elector:
    """Holds the Lease, or waits for it."""

    def __init__(
        self, leases: Leases, *, namespace: str, name: str, identity: str, timing: Timing, clock: Clock
    ) -> None:
        self.problem: str | None = "has not asked for the lease yet"
        """Why the Lease cannot be used; None while all is well."""
        self.tried = asyncio.Event()
        """Set once the first attempt is over, however it ended."""
        self._leases = leases
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._seen = Observed()
        self._sure = False
        """Whether the last known version is, as far as is known, still current and ours."""
        self._valid_until = float("-inf")
        self._claim_made = ("", 0)
        self._gains = 0
        self.term = 0
        """Grows each time after another replica may have led; 0 before the first time."""

    @property
    def is_leader(self) -> bool:
        """Whether a write may be started now."""
        return self.seconds_left > 0

    @property
    def seconds_left(self) -> float:
        """How long writes may still be started without another renewal."""
        return self._valid_until - self._clock.monotonic()

    async def run(self, on_gain: Callable[[], None]) -> None:
        """Tries to become and to stay leader until cancelled. on_gain: also called at the end of a silence."""
        led, gains = False, self._gains
        while True:
            began = self._clock.monotonic()
            await self.attempt()
            self.tried.set()
            if self._gains != gains:
                LOG.info("is the leader now", extra={"identity": self._identity})
                on_gain()
            elif led and not self.is_leader:
                LOG.warning("is no longer the leader: writes have stopped", extra={"identity": self._identity})
            led, gains = self.is_leader, self._gains
            due = began + self._timing.retry * (0.9 + 0.2 * random.random())  # noqa: S311 - when, not what
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))

    async def attempt(self) -> None:
        """One try to take or to renew the Lease."""
        sure, self._sure = self._sure, False
        try:
            if not (sure and await self._renewed()):
                await self._look()
        except errors.Conflict:
            self._report(None)
        except errors.ApiError as error:
            self._report(f"lease {self._namespace}/{self._name}: {error}")

    async def _renewed(self) -> bool:
        """Renews with one write; False where the Lease is not the one that we wrote last."""
        try:
            await self._claim()
        except (errors.Conflict, errors.Missing):
            return False
        return True

    async def _look(self) -> None:
        lease = await self._leases.read_lease(self._namespace, self._name, seconds=self._timing.request)
        self._observe(dict(lease or {}), self._clock.monotonic())
        if self._is_ours() or self._is_free():
            await self._claim()
        else:
            self._valid_until = float("-inf")
            self._report(None)

    async def _claim(self) -> None:
        sent_at = self._clock.monotonic()
        stored = dict(await self._leases.write_lease(self._claimed(), seconds=self._timing.request))
        self._observe(stored, self._clock.monotonic())
        claim_made = str(stored["metadata"].get("uid", "")), int(stored["spec"]["leaseTransitions"])
        if claim_made != self._claim_made:
            self.term += 1
        if claim_made != self._claim_made or not self.is_leader:
            self._gains += 1
        self._claim_made, self._sure = claim_made, True
        self._valid_until = sent_at + self._timing.renew_within
        self._report(None)

    async def release(self) -> None:
        """Gives the Lease back, so that a successor need not wait for it to expire."""
        held = self.is_leader
        self._valid_until, self._sure = float("-inf"), False
        if not held:
            return
        lease = {
            **self._seen.lease,
            "spec": {**self._seen.lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1},
        }
        try:
            await self._leases.write_lease(lease, seconds=self._timing.request)
        except errors.ApiError as error:
            LOG.warning("could not release the lease; the next leader has to wait for it to expire: %s", error)

    def _observe(self, lease: dict[str, Any], now: float) -> None:
        if lease.get("metadata", {}).get("resourceVersion") != self._seen.lease.get("metadata", {}).get(
            "resourceVersion"
        ):
            self._seen = Observed(lease, now)
        elif not lease:
            self._seen = Observed()

    def _is_ours(self) -> bool:
        return bool(self._spec().get("holderIdentity") == self._identity)

    def _is_free(self) -> bool:
        holder, spec = self._spec().get("holderIdentity"), self._spec()
        expires = self._seen.changed_at + float(spec.get("leaseDurationSeconds") or self._timing.duration)
        return not holder or self._clock.monotonic() > expires

    def _spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self._seen.lease.get("spec") or {}
        return spec

    def _claimed(self) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec, ours = self._spec(), self._is_ours()
        metadata = self._seen.lease.get("metadata") or {"namespace": self._namespace, "name": self._name}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(1, round(self._timing.duration)),
                "acquireTime": spec.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if ours else 1),
            },
        }

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            LOG.warning(
                "cannot use the lease; check that the Role allows get, create and update of leases: %s", problem
            )
        self.problem = problem
