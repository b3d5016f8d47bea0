"""What is usual for the stable version, and whether there is an incident.

    share     events of the last hours over their requests, the older ones forgotten
    alarm     S = max(0, S e^(-t/120 s) + (x ln 3 - 2 u n) / phi)       a CUSUM: three times the usual share, or the usual

While nearly everything fails, both versions fail alike, and while the stable version fails, every candidate is better
than it: either would prove "as good as stable" in a few scrapes. So scrapes of an incident prove nothing (`EProcess`
with `largest` 0), and some after it, until the alarm has ebbed away. They may accuse. An incident's effect on the share
is limited to three times the usual, so that a minute of outage does not hide the usual share for an hour, while a
lasting change becomes usual. phi is that of the stable version alone, with the swings of its pods (`swings.Own.alone`):
evidence allows for these anyway, and leaving out the scrapes in which they speak for the candidate would count only the
others.

Everything here is known before the scrape that it is used for, so evidence that bets on it stays evidence.
"""

import dataclasses
import math
from typing import Final

MULTIPLE: Final = 3.0
"""An incident: more than this many times the usual share."""
ALARM: Final = 4.0
"""Nats from which on there is an incident: noise reaches this in one of some hundred scrapes."""
LARGEST_ALARM: Final = 8.0
ALARM_SECONDS: Final = 120.0
"""The time in which an alarm falls to 1/e of itself, whatever is seen."""
FORGET_SECONDS: Final = 3600.0
"""The time in which the usual share forgets all but 1/e."""
INCIDENT_FORGET_SECONDS: Final = 900.0
"""The same in an incident: a share that stays ten times as bad is usual after a quarter of an hour."""


@dataclasses.dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for one objective on the stable version."""

    requests: float = 0.0
    events: float = 0.0
    alarm: float = 0.0
    """S, nats."""
    time: float | None = None
    """The time of the last scrape; None before the first."""

    @property
    def share(self) -> float:
        """Expected share of events, 0..1; 0 only while nothing is known."""
        return (self.events + 0.5) / (self.requests + 1) if self.requests > 0 else 0.0

    def incident(self, time: float) -> bool:
        """Whether there is an incident at a time after the last scrape: alarms ebb even while stable is not used."""
        seconds = 0.0 if self.time is None else max(0.0, time - self.time)
        return self.alarm * math.exp(-seconds / ALARM_SECONDS) >= ALARM

    def observe(self, requests: float, events: float, *, time: float, dispersion: float) -> "Usual":
        """What is usual once a scrape at this time has counted them, events <= requests; itself without a request."""
        if requests <= 0:
            return self
        if self.requests <= 0:
            return Usual(requests, events, 0.0, time)
        seconds = 0.0 if self.time is None else max(0.0, time - self.time)
        expected = self.share * requests
        gain = (events * math.log(MULTIPLE) - (MULTIPLE - 1) * expected) / dispersion
        alarm = min(LARGEST_ALARM, max(0.0, self.alarm * math.exp(-seconds / ALARM_SECONDS) + gain))
        counted, forget = events, FORGET_SECONDS
        if alarm >= ALARM:
            counted, forget = min(events, MULTIPLE * expected), INCIDENT_FORGET_SECONDS
        kept = math.exp(-seconds / forget)
        return Usual(
            round(kept * self.requests + requests, 6), round(kept * self.events + counted, 6), round(alarm, 6), time
        )
