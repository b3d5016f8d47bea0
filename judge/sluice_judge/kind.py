"""What the judge has to know of an objective, whatever it judges: a few values, which a file in `kinds` puts together.

sampling ──> samples ──> counting ──> requests and events of an arm ──> tests ──> words
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from sluice_judge.model import Answers, Trial
from sluice_judge.objectives import Rules
from sluice_judge.samples import columns, gatewayseries, series
from sluice_judge.samples.columns import Amounts
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Objective
from sluice_judge.stats import evidence


class Recorded(StrEnum):
    """What stands beside the requests where counters are written down."""

    FAILURES = "failures"
    SUCCESSES = "successes"
    BUCKETS = "buckets"
    BINS = "bins"


@dataclass(frozen=True, slots=True)
class OwnSeries:
    """Counters that the stable version's pods keep themselves."""

    key: str
    """Names the question."""
    selector: str
    what: str
    """The column of each pod; empty: an `le` in this unit."""
    unit_millis: float = 1.0


def own_feed(objective: str) -> str:
    """The feed of an objective that asks for series of its own."""
    return f"query/{objective}"


def unseen(trial: Trial, shown: series.Samples, selector: str) -> str:
    """Why a feed of its own shows nothing, and what to do; empty if it does."""
    if shown.newest is None:
        return f"no samples: {selector}; check that Prometheus scrapes it and that the labels are right"
    age = trial.asked - shown.newest
    interval = series.interval(shown, trial.gateway.scrape_interval_seconds)
    if age > series.STALE_INTERVALS * interval + series.VISIBLE_SECONDS:
        return f"the last sample of {selector} is {age:.0f} s old; check that its target is still scraped"
    return ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which samples an objective needs. By itself: the gateway's requests, which are asked for anyway."""

    feed: str = gatewayseries.REQUESTS
    """The feed that it counts in: the gateway's requests, or one of its own."""

    @property
    def refused(self) -> str:
        """What is wrong with the objective, with the field, so that nothing is ever asked; or empty."""
        return ""

    def hidden(self, trial: Trial) -> str:
        """Why nobody has the samples, and what to do; empty: they are asked for."""
        if gatewayseries.counted_on_the_way(trial):
            return ""
        return "there is no gateway to count requests; judge the model server's own counters with source Query"

    def questions(self, trial: Trial) -> Mapping[str, str]:
        """Selectors by the key of the question, beside those of the gateway's requests."""
        return {}

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        """What the answers to its questions show. gone: pods that were replaced, and count no more."""
        return series.Samples((), {})

    def most_series(self, trial: Trial) -> float:
        """How many series the state can remember."""
        return math.inf

    def too_many(self, trial: Trial, shown: series.Samples) -> bool:
        """Whether it shows more: then nothing of them is used."""
        return len(shown.tracks) > self.most_series(trial)

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        """What keeps it from being seen, and what to do; or empty. shown: None where they are too many."""
        return self.hidden(trial)


@dataclass(frozen=True, slots=True)
class Counting:
    """How the columns of its feed become requests and events. By itself: nothing is counted."""

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        """Requests and events of one arm; an event may be of a request that an earlier scrape counted. boundary: the
        one whose excess is an event, where a kind has boundaries."""
        return 0.0, 0.0

    def counts(self, candidate: Amounts, stable: Amounts, boundary: str | None) -> evidence.Counts:
        """The counts of both arms."""
        return evidence.Counts(
            *self.requests_and_events(candidate, boundary), *self.requests_and_events(stable, boundary)
        )

    def columns_of(self, requests: float, events: float) -> dict[str, float]:
        """The inverse of `requests_and_events`, for kinds that are not recorded as buckets."""
        return {columns.TOTAL: requests, columns.EVENTS: events}


@dataclass(frozen=True, slots=True)
class Tests:
    """Which tests accuse and prove. By itself: none."""

    needs_boundary: ClassVar[bool] = False
    """Whether nothing can be counted before `boundaries` has chosen one."""

    def boundaries(self, samples: series.Samples, *, sharing: int) -> tuple[str, tuple[str, ...]] | None:
        """The boundary that is judged and those that the roll-back looks at; None while they cannot be told.

        sharing: how many objectives have boundaries, so that the state stays small.
        """
        return None

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        """The tests. boundaries: those that the roll-back looks at."""
        return Rules(())

    def initial_dispersion(self, settings: InitialDispersion) -> int:
        """Percent of Poisson, where the stable version has too little history."""
        return settings.failures


@dataclass(frozen=True, slots=True)
class Words:
    """What people read."""

    verb: str = "failed"
    unit: str = "requests"
    """What is counted, of which some are events."""

    def event(self, boundary: str | None) -> str:
        """What one of the counted requests did: `failed`."""
        return self.verb


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets an objective apart, for whoever treats some differently."""

    more_is_better: bool = False
    """Events are wanted, such as purchases."""
    counts_users: bool = False
    """It may count users, each once, so that it can decide an A/B test."""
    counts_refusals: bool = False
    """Requests that a server refuses are its events."""
    counts_broken_answers: bool = False
    """Answers that break off are its events, where the gateway tells them."""
    judged_on_copies: bool = False
    """Mirrored requests can be judged on it.

    Nobody gives feedback on an answer that nobody saw, and a copy may be refused where its original was not.
    """
    compares_pods: bool = False
    """It says how fast two versions' pods answer, which also depends on how many and how new they are."""
    depends_on_caches: bool = False
    """Its events depend on what each pod's prefix cache holds, and so on how many requests a pod gets."""


@dataclass(frozen=True, slots=True)
class OwnPods:
    """What tells the stable version's pods apart, so that it can be seen how each swings by itself. By itself: nothing."""

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        """The counters by pod; empty: nobody has some."""
        return ()

    def boundary(self, boundary: str | None, known: Collection[str]) -> str | None:
        """Which of the columns of its own counters stands for a boundary."""
        return boundary

    def counted(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        """Requests and events of one pod by its own counters. boundary: of these."""
        return amounts.get(columns.TOTAL, 0.0), amounts.get(columns.EVENTS, 0.0)


@dataclass(frozen=True, slots=True)
class WatchBounds:
    """The shares of events between which a watch holds the stable version, whatever that has shown."""

    of: str
    """What the events are: a watch that has counted others begins anew."""
    negligible: float | None = None
    maximum: float | None = None

    def boundary(self, amounts: Amounts) -> str | None:
        """The boundary that it looks at, of those that a minute has."""
        return None


@dataclass(frozen=True, slots=True)
class Bins(ABC):
    """Boundaries that are bins, each of which may move by itself: people are shown the one that moved most."""

    selector: str
    label: str
    """What names the bin of a series."""

    @abstractmethod
    def named(self, boundary: str | None) -> str | None:
        """What people read for a boundary."""


class Mixture(ABC):
    """What the versions may get in unlike shares, such as long prompts."""

    @abstractmethod
    def of(self, amounts: Amounts) -> Mapping[str, float]:
        """Requests of one arm by what they are like; empty: nothing is known of it, or each is compared with its like."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An objective as the judge sees it.

    By itself it stands for an objective that this version does not know: nothing is counted, and nothing proven.
    """

    objective: Objective
    sampling: Sampling = Sampling()
    counting: Counting = Counting()
    tests: Tests = Tests()
    words: Words = Words()
    recorded: Recorded = Recorded.FAILURES
    """How recorded lines write its events."""
    traits: Traits = Traits()
    own: OwnPods = OwnPods()
    watch: WatchBounds | None = None
    """What a watch over the stable version needs; None where it cannot count whole minutes of it."""
    bins: Bins | None = None
    mixture: Mixture | None = None

    @property
    def name(self) -> str:
        """The objective's."""
        return self.objective.name

    @property
    def feed(self) -> str:
        """See `Sampling.feed`."""
        return self.sampling.feed

    @property
    def is_counted_by_gateway(self) -> bool:
        """Whether its events are in the gateway's counters; the others name pods themselves."""
        return self.feed in gatewayseries.FEEDS

    def events(self, boundary: str | None) -> str:
        """What is counted: `failures`."""
        by_boundary = self.recorded in (Recorded.BUCKETS, Recorded.BINS)
        return self.words.event(boundary) if by_boundary else self.recorded.value
