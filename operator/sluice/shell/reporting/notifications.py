"""Notices in flight: a lane for each endpoint, in order, tried again with growing pauses. No decision waits for one.

submit(notices) ──> lane of the endpoint (bounded) ──> work queue ──> Notifier ──> Delivered, Refused, NoAddress: next
                                                           ▲                  └──> TryAgain: after a pause, or given up
"""

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, assert_never

from sluice.shell.order.workqueue import Done, Result, Retry, Why, WorkQueue
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core.decide.notify import Delivered, Delivery, NoAddress, SinkRefused, TryAgain
from sluice_core.kernel.plan import Endpoint, Notice
from sluice_core.ports import Notifier

LOG: Final = logging.getLogger(__name__)

LANE_LIMIT: Final = 200
"""The most notices waiting for one endpoint; beyond them, the namespace that has most loses its oldest."""
PATIENCE_SECONDS: Final = 900.0
"""A notice that could not be delivered for this long is dropped."""
LONGEST_PAUSE_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 2.0
"""Notices left when the process ends are tried once more, within this time."""
REMEMBERED: Final = 4096
"""How many submitted notices are remembered."""
WORKERS: Final = 4


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice in its lane."""

    notice: Notice
    give_up: float
    """When to stop trying."""


class Notifications:
    """Sends notices in the background."""

    def __init__(self, notifier: Notifier, telemetry: Telemetry, *, monotonic: Callable[[], float]) -> None:
        self._notifier = notifier
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._lanes: dict[Endpoint, deque[Waiting]] = {}
        self._submitted: OrderedDict[tuple[Endpoint, str], None] = OrderedDict()
        self._queue: WorkQueue[Endpoint] = WorkQueue(self._next, monotonic=monotonic, workers=WORKERS)

    def submit(self, notices: Iterable[Notice]) -> None:
        """Accepts notices and returns at once; a notice is sent only once."""
        for notice in notices:
            if not self._is_known(notice):
                self._put(Waiting(notice, self._monotonic() + PATIENCE_SECONDS))

    async def run(self) -> None:
        """Sends until cancelled; then tries what is left once more, within `DRAIN_SECONDS`."""
        try:
            await self._queue.run()
        finally:
            await self._drain()

    def _is_known(self, notice: Notice) -> bool:
        key = (notice.endpoint, notice.id)
        known = key in self._submitted
        self._submitted[key] = None
        self._submitted.move_to_end(key)
        if len(self._submitted) > REMEMBERED:
            self._submitted.popitem(last=False)
        return known

    def _put(self, waiting: Waiting) -> None:
        endpoint = waiting.notice.endpoint
        if endpoint not in self._lanes:  # otherwise it is in the queue, perhaps in a pause that must not be cut short
            self._lanes[endpoint] = deque()
            self._queue.add(endpoint)
        lane = self._lanes[endpoint]
        if len(lane) >= LANE_LIMIT:
            most = Counter(each.notice.namespace for each in (*lane, waiting)).most_common(1)[0][0]
            oldest = next(each for each in lane if each.notice.namespace == most)
            lane.remove(oldest)
            self._end(oldest.notice, "dropped", f"more than {LANE_LIMIT} notices are waiting for this endpoint")
        lane.append(waiting)

    async def _next(self, endpoint: Endpoint, _: Why) -> Result:
        """Tries the first notice of a lane once, so that their order is kept."""
        lane = self._lanes[endpoint]
        first = lane[0]
        delivery = await self._send(first.notice)
        if lane[0] is not first:  # the lane was full, and a newer notice has pushed it out
            return Done(0.0)
        left = first.give_up - self._monotonic()
        if isinstance(delivery, TryAgain) and left > 0:
            LOG.info("not delivered yet: %s", delivery.why, extra=_fields(first.notice))
            pause = delivery.after_seconds
            return Done(min(pause, left)) if pause else Retry(LONGEST_PAUSE_SECONDS)
        lane.popleft()
        self._end(first.notice, *_outcome(delivery))
        if lane:
            return Done(0.0)
        del self._lanes[endpoint]
        return Done()

    async def _send(self, notice: Notice) -> Delivery:
        try:
            return await self._notifier.send(notice)
        except Exception as error:  # noqa: BLE001  a defect must not stop the lane; its text might contain the URL
            return SinkRefused(f"unexpected {type(error).__name__}")

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*map(self._flush, self._lanes.values()))
        for lane in self._lanes.values():
            for waiting in lane:
                self._end(waiting.notice, "lost", "the operator ends")

    async def _flush(self, lane: deque[Waiting]) -> None:
        while lane:
            delivery = await self._send(lane[0].notice)
            if isinstance(delivery, TryAgain):
                return
            self._end(lane.popleft().notice, *_outcome(delivery))

    def _end(self, notice: Notice, outcome: str, why: str) -> None:
        self._telemetry.notifications.labels(notice.endpoint.notification, outcome).inc()
        if outcome == "delivered":
            LOG.info("notified", extra=_fields(notice))
        else:
            LOG.warning("a notice was not delivered (%s): %s", outcome, why, extra=_fields(notice))


def _outcome(delivery: Delivery) -> tuple[str, str]:
    """The metric's label, and the reason."""
    match delivery:
        case Delivered():
            return "delivered", ""
        case TryAgain(why):
            return "expired", why
        case SinkRefused(why):
            return "refused", why
        case NoAddress(why):
            return "no_address", why
        case unknown:
            assert_never(unknown)


def _fields(notice: Notice) -> dict[str, str]:
    return {
        "notification": notice.endpoint.notification,
        "reason": notice.reason,
        "model": f"{notice.namespace}/{notice.model}",
    }
