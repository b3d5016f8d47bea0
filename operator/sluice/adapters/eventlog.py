"""Kubernetes events without a flood: what was said a moment ago is not said again."""

from collections import OrderedDict, deque
from typing import Any, Final

from sluice.core.kernel import timestamps
from sluice.core.kernel.plan import Event, Ref

REPEAT_SECONDS: Final = 600.0
"""The same reason and message about an object is said once in this time."""
BURST: Final = 25
"""Most events about one object within `REPEAT_SECONDS`."""
REMEMBERED: Final = 4096
MESSAGE_LIMIT: Final = 1024
REASON_LIMIT: Final = 128


class EventLog:
    """Decides which events are sent, and writes their manifests."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._recent: OrderedDict[str, deque[float]] = OrderedDict()

    def manifest(self, about: Ref, event: Event, now: float) -> dict[str, Any] | None:
        """The Event object, or None when it would be a repetition or one too many."""
        subject = about.uid or f"{about.kind}/{about.namespace}/{about.name}"
        key = (subject, event.reason, event.message)
        if now - self._said.get(key, float("-inf")) < REPEAT_SECONDS or self._is_flooded(subject, now):
            return None
        self._said[key] = now
        self._said.move_to_end(key)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        return self._written(about, event, timestamps.rfc3339(now))

    def _is_flooded(self, subject: str, now: float) -> bool:
        times = self._recent.setdefault(subject, deque(maxlen=BURST))
        self._recent.move_to_end(subject)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        if len(times) == BURST and now - times[0] < REPEAT_SECONDS:
            return True
        times.append(now)
        return False

    def _written(self, about: Ref, event: Event, time: str) -> dict[str, Any]:
        namespace = about.namespace or "default"
        involved = {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            "namespace": about.namespace,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{about.name}.", "namespace": namespace},
            "involvedObject": {**involved, "uid": about.uid},
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason[:REASON_LIMIT],
            "message": event.message[:MESSAGE_LIMIT],
            "firstTimestamp": time,
            "lastTimestamp": time,
            "count": 1,
            "source": {"component": "sluice"},
            "reportingComponent": "sluice.dev/operator",
            "reportingInstance": self._identity[: MESSAGE_LIMIT // 8],
        }
