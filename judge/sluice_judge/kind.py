"""What the judge has to know of an objective, whatever it judges. Each kind is a file in `kinds`.

questions ──> samples ──> requests and events of an arm ──> the tests of `rules` ──> words
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Self

from sluice_judge import columns, gatewayseries, series
from sluice_judge.columns import Amounts
from sluice_judge.model import Answers, Trial
from sluice_judge.objectives import Rules
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


@dataclass(frozen=True, slots=True)
class WatchBounds:
    """The shares of events between which a watch holds the stable version, whatever that has shown."""

    of: str
    """What the events are: a watch that has counted others begins anew."""
    negligible: float | None = None
    maximum: float | None = None


def own_feed(objective: str) -> str:
    """The feed of an objective that asks for series of its own."""
    return f"query/{objective}"


def unseen(trial: Trial, shown: series.Samples, selector: str) -> str:
    """Why a feed of its own shows nothing, and what to do; empty if it does."""
    if shown.newest is None:
        return f"no samples: {selector}; check that Prometheus scrapes it and that the labels are right"
    age = trial.asked - shown.newest
    interval = series.interval(shown, trial.scrape_interval_seconds)
    if age > series.STALE_INTERVALS * interval + series.VISIBLE_SECONDS:
        return f"the last sample of {selector} is {age:.0f} s old; check that its target is still scraped"
    return ""


@dataclass(frozen=True, slots=True)
class Kind:
    """An objective as the judge sees it. A kind overrides what is different with it.

    By itself it stands for an objective that this version does not know: nothing is counted, and nothing proven.
    """

    objective: Objective

    needs_boundary: ClassVar[bool] = False
    """Whether nothing can be counted before `boundaries` has chosen one."""
    mixes: ClassVar[bool] = False
    """Whether `mixture` may tell something."""
    counts_bins: ClassVar[bool] = False
    """Whether its boundaries are bins, each of which may move by itself: then people are shown the one that moved most."""
    counts_users: ClassVar[bool] = False
    """Whether it may count users, each once, so that it can decide an A/B test."""

    @classmethod
    def of(cls, objective: Objective) -> Self | None:
        """The objective as this kind sees it; None where it is of another."""
        return cls(objective)

    @property
    def name(self) -> str:
        """The objective's."""
        return self.objective.name

    @property
    def more_is_better(self) -> bool:
        """Whether events are wanted, such as purchases."""
        return False

    @property
    def refused(self) -> str:
        """What is wrong with it, with the field, so that nothing is ever asked; or empty."""
        return ""

    @property
    def is_counted_by_gateway(self) -> bool:
        """Whether its events are in the gateway's counters; the others name pods themselves."""
        return self.feed in gatewayseries.FEEDS

    @property
    def counts_refusals(self) -> bool:
        """Whether requests that a server refuses are its events."""
        return False

    @property
    def counts_broken_answers(self) -> bool:
        """Whether answers that break off are its events, where the gateway tells them."""
        return False

    @property
    def judged_on_copies(self) -> bool:
        """Whether mirrored requests can be judged on it.

        Nobody gives feedback on an answer that nobody saw, and a copy may be refused where its original was not.
        """
        return False

    @property
    def compares_pods(self) -> bool:
        """Whether it says how fast two versions' pods answer, which also depends on how many and how new they are."""
        return False

    def depends_on_caches(self, trial: Trial) -> bool:
        """Whether its events depend on what each pod's prefix cache holds, and so on how many requests a pod gets."""
        return False

    # ---- which samples it needs

    @property
    def feed(self) -> str:
        """The feed that it counts in: the gateway's requests, which are asked for anyway, or one of its own."""
        return gatewayseries.REQUESTS

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

    def too_many(self, trial: Trial, shown: series.Samples) -> bool:
        """Whether it shows more series than the state can remember: then nothing of them is used."""
        return False

    def own_series(self, trial: Trial) -> tuple[OwnSeries, ...]:
        """What tells the stable version's pods apart, so that it can be seen how each swings by itself; empty: nothing."""
        return ()

    def own_boundary(self, boundary: str | None, known: Collection[str]) -> str | None:
        """Which of the columns of its own counters stands for a boundary."""
        return boundary

    # ---- what they count

    def of_own(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        """Requests and events of one pod by its own counters. boundary: of these, see `own_boundary`."""
        return amounts.get(columns.TOTAL, 0.0), amounts.get(columns.EVENTS, 0.0)

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        """Requests and events of one arm; an event may be of a request that an earlier scrape counted. boundary: the
        one whose excess is an event, where a kind has boundaries."""
        return 0.0, 0.0

    def counts(self, candidate: Amounts, stable: Amounts, boundary: str | None) -> evidence.Counts:
        """The counts of both arms."""
        return evidence.Counts(
            *self.requests_and_events(candidate, boundary), *self.requests_and_events(stable, boundary)
        )

    def mixture(self, amounts: Amounts) -> Mapping[str, float]:
        """Requests of one arm by what the versions may get in unlike shares, such as long prompts; empty: nothing is known of
        it, or each is compared with its like anyway."""
        return {}

    def pooled(self, amounts: Amounts) -> Amounts:
        """One arm's columns as they are recorded: without what is only counted to compare fairly."""
        return amounts

    def boundaries(self, samples: series.Samples, *, sharing: int) -> tuple[str, tuple[str, ...]] | None:
        """The boundary that is judged and those that the roll-back looks at; None while they cannot be told.

        sharing: how many objectives have boundaries, so that the state stays small.
        """
        return None

    def bin(self, boundary: str | None) -> str | None:
        """What people read for a boundary that is a bin; None for any other."""
        return None

    # ---- after a promotion

    @property
    def watched(self) -> WatchBounds | None:
        """What a watch over the stable version needs; None where it cannot count whole minutes of it."""
        return None

    def watched_boundary(self, amounts: Amounts) -> str | None:
        """The boundary that it looks at, of those that a minute has."""
        return None

    @property
    def watched_bins(self) -> tuple[str, str] | None:
        """Counters by bins that a watch holds against what they have shown: their selector, and the label of the bin; None
        where it has none."""
        return None

    # ---- which tests accuse and prove

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        """Its tests. boundaries: those that the roll-back looks at."""
        return Rules(())

    def initial_dispersion(self, settings: InitialDispersion) -> int:
        """Percent of Poisson, where the stable version has too little history."""
        return settings.failures

    # ---- words and records

    @property
    def unit(self) -> str:
        """What is counted, of which some are events."""
        return "requests"

    @property
    def recorded(self) -> Recorded:
        """How recorded lines write its events."""
        return Recorded.FAILURES

    def columns_of(self, requests: float, events: float) -> dict[str, float]:
        """The way back of `requests_and_events`, for kinds that are not recorded as buckets."""
        return {columns.TOTAL: requests, columns.EVENTS: events}

    def events(self, boundary: str | None) -> str:
        """What is counted: `failures`."""
        return self.recorded.value

    def event(self, boundary: str | None) -> str:
        """What one of the counted requests did: `failed`."""
        return "failed"

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        """What keeps it from being seen, and what to do; or empty. shown: None where they are `too_many`."""
        return self.hidden(trial)
