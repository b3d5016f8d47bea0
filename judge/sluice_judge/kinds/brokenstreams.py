"""failureRatio, events BrokenStreams: streams that the model server broke, among all that ended, by its own counters.

The gateway counts a 200 when a stream begins, and sees no error event inside it. A stream that the client ends is not
broken: it counts among those that ended.
"""

from dataclasses import dataclass

from sluice_judge.kind import Kind, Traits, Words, unseen
from sluice_judge.kinds.query import FailureTests, QueriedCounters, QueriedPods, TotalAndEvents
from sluice_judge.kinds.servertimes import MOST_SERIES, feed_of, servers
from sluice_judge.model import Trial
from sluice_judge.samples import series
from sluice_judge.samples.columns import EVENTS, TOTAL
from sluice_judge.schema.objectives import Events, Objective, Source


def of(objective: Objective) -> Kind | None:
    """Counts like a Query, by pod, with the ServingRuntime's query."""
    ratio = objective.failure_ratio
    if ratio is None or ratio.source is not Source.SERVER or ratio.events is not Events.BROKEN_STREAMS:
        return None
    sampling = ServerStreams(feed_of("streams"), ratio=ratio)
    return Kind(
        objective,
        sampling,
        TotalAndEvents(),
        FailureTests(ratio),
        Words("broken", "streams"),
        traits=Traits(judged_on_copies=True),
        own=QueriedPods(sampling),
    )


@dataclass(frozen=True, slots=True)
class ServerStreams(QueriedCounters):
    """The counters of both versions' servers."""

    @property
    def refused(self) -> str:
        return ""

    def hidden(self, trial: Trial) -> str:
        lacking = next((own for own in servers(trial).values() if not (own.streams and own.broken_streams)), None)
        if lacking is None:
            return ""
        return (
            f"{lacking.where} does not say how its server counts streams, and those that it broke; name the series in "
            "spec.metrics.streams and brokenStreams, or remove the objective"
        )

    def most_series(self, trial: Trial) -> float:
        return MOST_SERIES

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        hidden = self.hidden(trial)
        if hidden:
            return hidden
        selector = trial.servers.candidate_own.streams
        if shown is None:
            return f"more than {MOST_SERIES} series match {selector} and similar selectors; narrow them"
        return unseen(trial, shown, selector)

    def selectors(self, trial: Trial) -> dict[tuple[str, str], str]:
        written = {arm: {TOTAL: own.streams, EVENTS: own.broken_streams} for arm, own in servers(trial).items()}
        return {(arm, column): text for arm, each in written.items() for column, text in each.items()}
