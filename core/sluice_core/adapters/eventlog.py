"""Kubernetes events without a flood: no event repeats one that this operator or another one sent a moment ago."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from sluice_core.kernel import news
from sluice_core.kernel.plan import Event, Ref
from sluice_core.kernel.snapshot import Object
from sluice_judge import hashing, timestamps

REPORTER: Final = "sluice.dev/operator"
OURS: Final = f"reportingComponent={REPORTER}"
"""Field selector of the events that operators have made."""

REPEAT_SECONDS: Final = 600.0
"""The same reason and message about an object is sent once in this time."""
BURST: Final = 25
"""Most events about one object within `REPEAT_SECONDS`."""
REMEMBERED: Final = 4096
MESSAGE_LIMIT: Final = 1024
REASON_LIMIT: Final = 128
KNOWN_LIMIT: Final = 16_384
"""Most events of other operators that are remembered: some 3 MiB."""


class EventLog:
    """Decides which events are sent, and writes their manifests."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._recent: OrderedDict[str, deque[float]] = OrderedDict()
        self.known: frozenset[str] = frozenset()
        """`namespace/name` of events that existed before this operator sent any."""

    def manifest(self, about: Ref, event: Event, now: float) -> dict[str, Any] | None:
        """The Event object; None if it exists, repeats another one or exceeds the limit."""
        said = self._said.get((_subject(about), event.reason, event.message), float("-inf"))
        if now - said < REPEAT_SECONDS or self._is_flooded(_subject(about), now):
            return None
        written = self._written(about, event)
        return None if _place(written) in self.known else written

    def sent(self, about: Ref, event: Event, now: float) -> None:
        """Remembers an event that the API server has."""
        key = (_subject(about), event.reason, event.message)
        self._said[key] = now
        self._said.move_to_end(key)
        times = self._recent.setdefault(_subject(about), deque(maxlen=BURST))
        times.append(now)
        self._recent.move_to_end(_subject(about))
        for memory in (self._said, self._recent):
            if len(memory) > REMEMBERED:
                memory.popitem(last=False)

    def _is_flooded(self, subject: str, now: float) -> bool:
        times = self._recent.get(subject)
        return times is not None and len(times) == BURST and now - times[0] < REPEAT_SECONDS

    def _written(self, about: Ref, event: Event) -> dict[str, Any]:
        """Under a deterministic name, so that the API server stores the same event once."""
        namespace, time = about.namespace or "default", timestamps.rfc3339(event.time)
        involved = {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            "namespace": about.namespace,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{hashing.stable_hash(event.id, 16)}", "namespace": namespace},
            "involvedObject": {**involved, "uid": about.uid},
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason[:REASON_LIMIT],
            "message": event.message[:MESSAGE_LIMIT],
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "source": {"component": "sluice"},
            "reportingComponent": REPORTER,
            "reportingInstance": self._identity[: MESSAGE_LIMIT // 8],
        }


def recent(events: Iterable[Object], now: float) -> Iterator[str]:
    """`namespace/name` of events of the last minutes; older ones count no more."""
    for each in events:
        happened = each.get("firstTimestamp")
        if happened and news.is_recent(timestamps.seconds(happened), now):
            yield _place(each)


def _place(event: Object) -> str:
    return f"{event['metadata']['namespace']}/{event['metadata']['name']}"


def _subject(about: Ref) -> str:
    return about.uid or f"{about.kind}/{about.namespace}/{about.name}"
