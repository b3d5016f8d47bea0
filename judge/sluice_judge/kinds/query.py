"""failureRatio, source Query: any pair of raw counters, such as the feedback on answers, or users' purchases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluice_judge import objectives
from sluice_judge.kind import (
    Counting,
    Kind,
    OwnPods,
    OwnSeries,
    Recorded,
    Sampling,
    Tests,
    Traits,
    Words,
    own_feed,
    unseen,
)
from sluice_judge.model import Answers, Arm, Trial
from sluice_judge.objectives import Rules
from sluice_judge.samples import columns, scraped, selectors, series
from sluice_judge.samples.columns import CANDIDATE, EVENTS, TOTAL, Amounts
from sluice_judge.schema import promql
from sluice_judge.schema.objectives import FailureRatio, Goal, Objective, Source

MOST_SERIES: Final = 512
"""Most series of all such objectives together: the state remembers their targets."""


def of(objective: Objective) -> Kind | None:
    """Failures, or successes with goal Higher."""
    ratio = objective.failure_ratio
    if ratio is None or ratio.source is not Source.QUERY:
        return None
    sampling, more_is_better = QueriedCounters(own_feed(objective.name), ratio=ratio), ratio.goal is Goal.HIGHER
    return Kind(
        objective,
        sampling,
        TotalAndEvents(),
        FailureTests(ratio),
        Words("succeeded" if more_is_better else "failed"),
        Recorded.SUCCESSES if more_is_better else Recorded.FAILURES,
        Traits(more_is_better=more_is_better, counts_users=True),
        QueriedPods(sampling),
    )


@dataclass(frozen=True, slots=True)
class QueriedCounters(Sampling):
    """A feed of its own, by pod if the series carry the label `pod`."""

    ratio: FailureRatio = field(kw_only=True)

    @property
    def refused(self) -> str:
        """What is wrong; the API server refuses it, too, but not what it has stored before."""
        if self.ratio.goal is Goal.HIGHER and not objectives.higher_is_judged(self.ratio):
            return "failureRatio.relativeTolerance: goal Higher needs one of more than 0% and below 50%"
        for name, text in self._written().items():
            try:
                promql.parsed(text)
            except promql.InvalidSelector as error:
                return f"failureRatio.{name}: {error}"
        return ""

    def hidden(self, trial: Trial) -> str:
        return self.refused

    def questions(self, trial: Trial) -> Mapping[str, str]:
        return {self.key(arm, column): selector for (arm, column), selector in self.selectors(trial).items()}

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        """Total and events of both arms."""
        arms = columns.sides(trial)
        tracks = [
            series.Track((side, columns.of_pod(column, pod)), scraped.target(found.labels), found.points)
            for side, column in self.selectors(trial)
            for found in scraped.series_of(answers, self.key(side, column))
            if (pod := _pod(found.labels, arms[side])) not in gone
        ]
        return series.samples_of(tracks, ())

    def most_series(self, trial: Trial) -> float:
        return MOST_SERIES // max(1, sum(_queried(objective) for objective in trial.policy.objectives))

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        if self.refused:
            return self.refused
        selector = self.selectors(trial)[CANDIDATE, TOTAL]
        if shown is None:
            most = self.most_series(trial)
            return f"more than {most} series match {selector} and similar selectors; narrow total and failures"
        return unseen(trial, shown, selector)

    def selectors(self, trial: Trial) -> dict[tuple[str, str], str]:
        """By arm and column."""
        written = dict(zip((TOTAL, EVENTS), self._written().values(), strict=True))
        return {
            (arm, column): selectors.filled_by_user(trial, selector, side)
            for arm, side in columns.sides(trial).items()
            for column, selector in written.items()
        }

    def key(self, arm: str, column: str) -> str:
        """The question's key."""
        return f"{self.feed}/{arm}/{column}"

    def _written(self) -> dict[str, str]:
        """The selectors by field: that of all requests first, then that of the counted events."""
        ratio = self.ratio
        events = ("successes", ratio.successes) if ratio.goal is Goal.HIGHER else ("failures", ratio.failures)
        return {field: text or "" for field, text in (("total", ratio.total), events)}


@dataclass(frozen=True, slots=True)
class TotalAndEvents(Counting):
    """Sums over the pods that counted them."""

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        return columns.summed(amounts, TOTAL), columns.summed(amounts, EVENTS)


@dataclass(frozen=True, slots=True)
class FailureTests(Tests):
    """Tests of a share."""

    ratio: FailureRatio

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        return objectives.failure_rules(self.ratio)  # pyright: ignore[reportArgumentType]  # frozen, so it has a hash


@dataclass(frozen=True, slots=True)
class QueriedPods(OwnPods):
    """The counters themselves, if the pods count."""

    sampling: QueriedCounters

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        if self.sampling.hidden(trial):
            return ()
        return tuple(
            OwnSeries(self.sampling.key(arm, column), selector, column)
            for (arm, column), selector in self.sampling.selectors(trial).items()
            if arm == columns.STABLE
        )


def _queried(objective: Objective) -> bool:
    return objective.failure_ratio is not None and objective.failure_ratio.source is Source.QUERY


def _pod(labels: Mapping[str, str], arm: Arm) -> str:
    """The pod of this arm that counted; empty if another program did, such as a service that collects feedback."""
    pod = labels.get("pod", "")
    return pod if pod.startswith(f"{arm.revision}-") else ""
