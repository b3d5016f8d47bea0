"""failureRatio, events BrokenStreams: streams that the model server broke, among all that ended, by its own counters.

The gateway counts a 200 when a stream begins, and sees no error event inside it. A stream that the client ends is not
broken: it counts among those that ended.
"""

from dataclasses import dataclass
from typing import Final, Self

from sluice_judge import series
from sluice_judge.columns import EVENTS, TOTAL
from sluice_judge.kind import OwnSeries, unseen
from sluice_judge.kinds.query import QueriedCounters
from sluice_judge.kinds.servertimes import MOST_SERIES, feed_of, servers
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Events, Objective, Source


@dataclass(frozen=True, slots=True)
class BrokenStreams(QueriedCounters):
    """As the counters of a Query, by pod, where the ServingRuntime has written the query."""

    @classmethod
    def of(cls, objective: Objective) -> Self | None:
        ratio = objective.failure_ratio
        of_it = ratio is not None and ratio.source is Source.SERVER and ratio.events is Events.BROKEN_STREAMS
        return cls(objective, ratio) if of_it and ratio is not None else None

    @property
    def judged_on_copies(self) -> bool:
        return True

    @property
    def feed(self) -> str:
        return feed_of("streams")

    @property
    def refused(self) -> str:
        return ""

    @property
    def unit(self) -> str:
        return "streams"

    def event(self, boundary: str | None) -> str:
        return "broken"

    def hidden(self, trial: Trial) -> str:
        lacking = next((own for own in servers(trial).values() if not (own.streams and own.broken_streams)), None)
        if lacking is None:
            return ""
        return (
            f"{lacking.where} does not say how its server counts streams, and those that it broke; name the series in "
            "spec.metrics.streams and brokenStreams, or remove the objective"
        )

    def own_series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        return () if self.hidden(trial) else QueriedCounters.own_series(self, trial)

    def too_many(self, trial: Trial, shown: series.Samples) -> bool:
        return len(shown.tracks) > MOST_SERIES

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        hidden = self.hidden(trial)
        if hidden:
            return hidden
        selector = trial.candidate_own.streams
        if shown is None:
            return f"more than {MOST_SERIES} series match {selector} and similar selectors; narrow them"
        return unseen(trial, shown, selector)

    def _selectors(self, trial: Trial) -> dict[tuple[str, str], str]:
        written = {arm: {TOTAL: own.streams, EVENTS: own.broken_streams} for arm, own in servers(trial).items()}
        return {(arm, column): text for arm, each in written.items() for column, text in each.items()}


KIND: Final = BrokenStreams
