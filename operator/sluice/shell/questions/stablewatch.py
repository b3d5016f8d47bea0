"""The watch over stable versions: one schedule for all models, and nothing at all where no policy has a watch.

reconcile ──note──> what is watched of the model (a few values)
                    │
whole minute + 20 s ├──> questions for many models each, one after the other, one a second at most ──> Prometheus
                    └──> counts ──> the watch of each model (`core/watch`) ──> has it something to say? ──wake──> a reconcile writes it

Only the replica that writes watches: what it does not know, or another replica has written since, it reads from the
status, which is an hour old at most. A minute missed through a restart or a slow Prometheus does not count.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from sluice.shell.cache.keys import Key
from sluice.shell.questions.halving import HalvingAsker
from sluice_core.ports import Clock, Metrics
from sluice_core.watch import features, minutes, moving, progress, report, state
from sluice_core.watch.minutes import Place
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.stats.baseline import MINUTE

LOG: Final = logging.getLogger(__name__)

Seen = TypeVar("Seen")
"""The counts of a minute."""

LATE_SECONDS: Final = 20.0
"""How long after the end of a minute: by then its samples are scraped, and visible to every question."""


class Watching:
    """Watched versions and their counts; not for use by several threads."""

    def __init__(self, metrics: Metrics, *, wake: Callable[[Key], None], clock: Clock) -> None:
        """wake: has the model reconciled, which writes the results of its watch."""
        self._asker = HalvingAsker(metrics, clock)
        self._wake = wake
        self._clock = clock
        self._versions: dict[Place, WatchedVersion] = {}
        self._watches: dict[Place, Watch] = {}
        self._wanted = asyncio.Event()
        """Set while anything is watched."""

    def note(self, key: Key, version: WatchedVersion | None) -> Watch | None:
        """Sets what is watched of a model from now on; what is known of it, if anything is."""
        place = key.namespace, key.name
        if version is None:
            if self._versions.pop(place, None) is not None:
                self._watches.pop(place, None)
            return None
        self._versions[place] = version
        self._wanted.set()
        known = self._watches[place] = state.resumed(self._watches.get(place), version, self._clock.now())
        return known

    def count(self) -> int:
        """How many models are watched."""
        return len(self._versions)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if not self._versions:
                self._wanted.clear()
                await self._wanted.wait()
            end = next_end(self._clock.now())
            await asyncio.sleep(max(0.0, end + LATE_SECONDS - self._clock.now()))
            if self._clock.now() < end:  # it was set back meanwhile
                continue
            try:
                await self.look(end)
            except Exception:  # a defect must not end the watch over all others
                LOG.exception("unexpected error in the watch over stable versions")

    async def look(self, end: float) -> None:
        """Counts the minute that ends at `end`, seconds since the epoch."""
        self._asker.begin()
        versions = [each for each in self._versions.values() if not each.resting]
        silent = {place for place, watch in self._watches.items() if watch.silent}
        asked = minutes.inquest(versions, silent)
        for place, minute in asked.read(await self._asker.answers(asked.questions, end)).items():
            self._see(place, progress.after, minute, end - MINUTE)
            await asyncio.sleep(0)
        observed = features.inquest(versions, self._watches, end)
        counted = observed.read(await self._asker.answers(observed.questions, end))
        for (place, name), rows in counted.items():
            self._see(place, partial(moving.after, observed.sources[place, name]), rows, end - MINUTE)
            await asyncio.sleep(0)

    def _see(
        self,
        place: Place,
        after: Callable[[Watch, WatchedVersion, Seen, float], Watch],
        seen: Seen,
        begin: float,
    ) -> None:
        """Ignores a model that is no longer watched, or serves another version by now."""
        version, watch = self._versions.get(place), self._watches.get(place)
        if version is None or watch is None:
            return
        known = self._watches[place] = after(watch, version, seen, begin)
        if report.wants_reconcile(version, watch, known):
            self._wake(Key(*place))


def next_end(now: float) -> float:
    """The end of the first minute to look at: the last one if it has just ended."""
    return MINUTE * ((now - LATE_SECONDS) // MINUTE + 1)
