"""failureRatio, source Query: any pair of raw counters, such as the feedback on answers, or what users bought."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from sluice_judge import columns, objectives, scraped, selectors, series
from sluice_judge.columns import CANDIDATE, EVENTS, TOTAL, Amounts
from sluice_judge.kind import Kind, OwnSeries, Recorded, own_feed, unseen
from sluice_judge.model import Answers, Arm, Trial
from sluice_judge.objectives import Rules
from sluice_judge.schema import promql
from sluice_judge.schema.objectives import FailureRatio, Goal, Objective, Source

MOST_SERIES: Final = 512
"""Series of all such objectives together: the state remembers their targets."""


@dataclass(frozen=True, slots=True)
class QueriedCounters(Kind):
    """Counts in a feed of its own, by pod where the series carry the label `pod`."""

    counts_users: ClassVar[bool] = True

    ratio: FailureRatio

    @classmethod
    def of(cls, objective: Objective) -> Self | None:
        ratio = objective.failure_ratio
        return cls(objective, ratio) if ratio is not None and ratio.source is Source.QUERY else None

    @property
    def more_is_better(self) -> bool:
        return self.ratio.goal is Goal.HIGHER

    @property
    def feed(self) -> str:
        return own_feed(self.name)

    @property
    def refused(self) -> str:
        """The API server refuses it as well, but not what it has stored before."""
        if self.more_is_better and not objectives.higher_is_judged(self.ratio):
            return "failureRatio.relativeTolerance: goal Higher needs one of more than 0% and below 50%"
        for field, text in self._written().items():
            try:
                promql.parsed(text)
            except promql.InvalidSelector as error:
                return f"failureRatio.{field}: {error}"
        return ""

    def hidden(self, trial: Trial) -> str:
        return self.refused

    def questions(self, trial: Trial) -> Mapping[str, str]:
        return {self._key(arm, column): selector for (arm, column), selector in self._selectors(trial).items()}

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        """Total and events of both arms."""
        arms = columns.sides(trial)
        tracks = [
            series.Track((side, columns.of_pod(column, pod)), scraped.target(found.labels), found.points)
            for side, column in self._selectors(trial)
            for found in scraped.series_of(answers, self._key(side, column))
            if (pod := _pod(found.labels, arms[side])) not in gone
        ]
        return series.samples_of(tracks, ())

    def too_many(self, trial: Trial, shown: series.Samples) -> bool:
        return len(shown.tracks) > _most_series(trial)

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        return columns.summed(amounts, TOTAL), columns.summed(amounts, EVENTS)

    def own_series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        """Its own, where the pods count."""
        if self.refused:
            return ()
        return tuple(
            OwnSeries(self._key(arm, column), selector, column)
            for (arm, column), selector in self._selectors(trial).items()
            if arm == columns.STABLE
        )

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        return objectives.failure_rules(self.ratio)  # pyright: ignore[reportArgumentType]  # frozen, so it has a hash

    @property
    def recorded(self) -> Recorded:
        return Recorded.SUCCESSES if self.more_is_better else Recorded.FAILURES

    def event(self, boundary: str | None) -> str:
        return "succeeded" if self.more_is_better else "failed"

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        if self.refused:
            return self.refused
        selector = self._selectors(trial)[CANDIDATE, TOTAL]
        if shown is None:
            most = _most_series(trial)
            return f"more than {most} series match {selector} and similar selectors; narrow total and failures"
        return unseen(trial, shown, selector)

    def _selectors(self, trial: Trial) -> dict[tuple[str, str], str]:
        written = dict(zip((TOTAL, EVENTS), self._written().values(), strict=True))
        return {
            (arm, column): selectors.filled_by_user(trial, selector, side)
            for arm, side in columns.sides(trial).items()
            for column, selector in written.items()
        }

    def _written(self) -> dict[str, str]:
        """The selectors by field: first that of all requests, then that of the counted events."""
        ratio = self.ratio
        events = ("successes", ratio.successes) if self.more_is_better else ("failures", ratio.failures)
        return {field: text or "" for field, text in (("total", ratio.total), events)}

    def _key(self, arm: str, column: str) -> str:
        return f"{self.feed}/{arm}/{column}"


KIND: Final = QueriedCounters


def _most_series(trial: Trial) -> int:
    """How many series the selectors of one objective may match."""
    return MOST_SERIES // max(1, sum(QueriedCounters.of(objective) is not None for objective in trial.objectives))


def _pod(labels: Mapping[str, str], arm: Arm) -> str:
    """The pod of this arm that counted; empty where somebody else did, such as a service that collects feedback."""
    pod = labels.get("pod", "")
    return pod if pod.startswith(f"{arm.revision}-") else ""
