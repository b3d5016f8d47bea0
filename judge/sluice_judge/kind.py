"""The judge's view of any objective: a few values, which a file in `kinds` puts together.

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
    """The counts beside the requests in recorded lines."""

    FAILURES = "failures"
    SUCCESSES = "successes"
    BUCKETS = "buckets"
    BINS = "bins"


@dataclass(frozen=True, slots=True)
class OwnSeries:
    """Counters kept by the stable version's pods."""

    key: str
    """Name of the question."""
    selector: str
    what: str
    """The column of each pod; empty: an `le` in this unit."""
    unit_millis: float = 1.0


def own_feed(objective: str) -> str:
    """The feed of an objective with its own series."""
    return f"query/{objective}"


def unseen(trial: Trial, shown: series.Samples, selector: str) -> str:
    """Why its own feed shows nothing, and what to do; empty if it does."""
    if shown.newest is None:
        return f"no samples: {selector}; check that Prometheus scrapes it and that the labels are right"
    age = trial.asked - shown.newest
    interval = series.interval(shown, trial.gateway.scrape_interval_seconds)
    if age > series.STALE_INTERVALS * interval + series.VISIBLE_SECONDS:
        return f"the last sample of {selector} is {age:.0f} s old; check that its target is still scraped"
    return ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The samples that an objective needs. By default: the gateway's requests, which are queried anyway."""

    feed: str = gatewayseries.REQUESTS
    """Its feed: the gateway's requests, or one of its own."""

    @property
    def refused(self) -> str:
        """What is wrong with the objective, with the field, so that nothing is ever queried; or empty."""
        return ""

    def hidden(self, trial: Trial) -> str:
        """Why there are no samples, and what to do; empty: they are queried."""
        if gatewayseries.counted_on_the_way(trial):
            return ""
        return "there is no gateway to count requests; judge the model server's own counters with source Query"

    def questions(self, trial: Trial) -> Mapping[str, str]:
        """Selectors by the key of the question, in addition to the gateway's requests."""
        return {}

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        """The samples in the answers to its questions. gone: replaced pods, which no longer count."""
        return series.Samples((), {})

    def unmapped(self, trial: Trial) -> bool:
        """Whether a ServingRuntime lacks what not every server has: then it is not judged, and no step waits for it."""
        return False

    def by_computed(self, trial: Trial) -> bool:
        """Whether requests are compared with those of which as many tokens were computed, whatever caches hold."""
        return False

    def most_series(self, trial: Trial) -> float:
        """Most series that the state can hold."""
        return math.inf

    def too_many(self, trial: Trial, shown: series.Samples) -> bool:
        """Whether there are more series: then none of them is used."""
        return len(shown.tracks) > self.most_series(trial)

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        """What prevents it from being seen, and what to do; or empty. shown: None if there are too many series."""
        return self.hidden(trial)


@dataclass(frozen=True, slots=True)
class Counting:
    """How the columns of its feed become requests and events. By default: nothing is counted."""

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        """Requests and events of one arm; an event may belong to a request that an earlier scrape counted. boundary:
        the one that an event exceeds, if a kind has boundaries."""
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
    """The tests that accuse and prove. By default: none."""

    needs_boundary: ClassVar[bool] = False
    """Whether nothing can be counted before `boundaries` has chosen one."""

    def boundaries(self, samples: series.Samples, *, sharing: int) -> tuple[str, tuple[str, ...]] | None:
        """The boundary that is judged and those of the rollback tests; None while they are unknown.

        sharing: how many objectives have boundaries, so that the state stays small.
        """
        return None

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        """The tests. boundaries: those of the rollback tests."""
        return Rules(())

    def initial_dispersion(self, settings: InitialDispersion) -> int:
        """Percent of Poisson, if the stable version has too little history."""
        return settings.failures


@dataclass(frozen=True, slots=True)
class Words:
    """The words for people."""

    verb: str = "failed"
    unit: str = "requests"
    """What is counted, including the events."""

    def event(self, boundary: str | None) -> str:
        """What one of the counted requests did: `failed`."""
        return self.verb


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties that some code treats differently."""

    more_is_better: bool = False
    """Events are good, such as purchases."""
    counts_users: bool = False
    """Whether it may count users, each once, so that it can decide an A/B test."""
    counts_refusals: bool = False
    """Whether requests that a server refuses are its events."""
    counts_broken_answers: bool = False
    """Whether answers that break off are its events, if the gateway reports them."""
    judged_on_copies: bool = False
    """Whether it can judge mirrored requests.

    No one gives feedback on an unseen answer, and a copy may be refused where its original was not.
    """
    compares_pods: bool = False
    """Whether it compares the latency of two versions' pods, which also depends on their number and age."""
    depends_on_caches: bool = False
    """Whether its events depend on each pod's prefix cache, and so on the number of requests that a pod gets."""

    shows_each_boundary: bool = False
    """Whether people are shown the boundary that speaks most against the candidate, instead of the judged one."""

    @property
    def by_baseline(self) -> bool:
        """Whether a baseline, while there is one, takes the stable version's place: its pods are like the candidate's."""
        return self.compares_pods or self.depends_on_caches


@dataclass(frozen=True, slots=True)
class OwnPods:
    """What distinguishes the stable version's pods, to see how each swings by itself. By default: nothing."""

    def series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        """The counters by pod; empty: there are none."""
        return ()

    def boundary(self, boundary: str | None, known: Collection[str]) -> str | None:
        """The column of the pods' own counters that corresponds to a boundary."""
        return boundary

    def counted(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        """Requests and events of one pod by its own counters. boundary: one of these."""
        return amounts.get(columns.TOTAL, 0.0), amounts.get(columns.EVENTS, 0.0)


@dataclass(frozen=True, slots=True)
class WatchBounds:
    """The bounds for the share of events in a watch of the stable version, whatever its past."""

    of: str
    """What the events are: a watch that has counted others begins anew."""
    negligible: float | None = None
    maximum: float | None = None

    def boundary(self, amounts: Amounts) -> str | None:
        """The watched boundary among those of a minute."""
        return None


@dataclass(frozen=True, slots=True)
class Bins(ABC):
    """Boundaries that are bins, each of which may move by itself: people see the one that moved most."""

    selector: str
    label: str
    """The label with the bin of a series."""

    @abstractmethod
    def named(self, boundary: str | None) -> str | None:
        """The name of a boundary for people."""


class Mixture(ABC):
    """What the versions may get in different shares, such as long prompts."""

    @abstractmethod
    def of(self, amounts: Amounts) -> Mapping[str, float]:
        """Requests of one arm by their kind; empty: unknown, or each kind is compared with its like."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An objective for the judge.

    The default is an objective that this version does not know: nothing is counted, and nothing proven.
    """

    objective: Objective
    sampling: Sampling = Sampling()
    counting: Counting = Counting()
    tests: Tests = Tests()
    words: Words = Words()
    recorded: Recorded = Recorded.FAILURES
    """The form of its events in recorded lines."""
    traits: Traits = Traits()
    own: OwnPods = OwnPods()
    watch: WatchBounds | None = None
    """The needs of a watch over the stable version; None if its whole minutes cannot be counted."""
    bins: Bins | None = None
    mixture: Mixture | None = None

    @property
    def name(self) -> str:
        """The objective's name."""
        return self.objective.name

    @property
    def feed(self) -> str:
        """See `Sampling.feed`."""
        return self.sampling.feed

    @property
    def is_counted_by_gateway(self) -> bool:
        """Whether its events are in the gateway's counters; others name pods themselves."""
        return self.feed in gatewayseries.FEEDS

    def events(self, boundary: str | None) -> str:
        """What is counted: `failures`."""
        by_boundary = self.recorded in (Recorded.BUCKETS, Recorded.BINS)
        return self.words.event(boundary) if by_boundary else self.recorded.value
