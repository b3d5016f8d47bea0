"""distribution: a version's answers, by counters of bins: `predictions_total{bin="spam"}`.

    spam ham eggs a b c d …     bins of at least ignoreBelow, 16 at most: each one's share, up and down
     │   │    │   └────┴─ the others together: whether they become more than ignoreBelow, and more than stable's

The stable version's counters determine these bins at the first look, for the whole release. While the versions have no
bin in common, bins were renamed, or count something else: nothing is compared then.
"""

import functools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from sluice_judge.kind import Bins, Counting, Kind, Recorded, Sampling, Tests, Traits, Words, own_feed, unseen
from sluice_judge.model import Answers, Trial
from sluice_judge.objectives import Role, Rules, Term
from sluice_judge.samples import columns, scraped, selectors, series
from sluice_judge.samples.columns import CANDIDATE, STABLE, Amounts
from sluice_judge.schema import promql
from sluice_judge.schema.model import fraction
from sluice_judge.schema.objectives import Distribution, Objective
from sluice_judge.stats import evidence

MOST_BINS: Final = 16
"""Bins judged separately, over all such objectives: 700 characters of the state each."""
MOST_SERIES: Final = 2048
"""Most series of one objective: bins times pods."""
FEW_ANSWERS: Final = 200
"""Answers of the stable version needed before its bins are chosen."""
RATIOS: Final = (1.1, 1.4, 1.9, 2.8, 4.2, 6.5)
"""The grid of "more often", as multiples of the tolerated ratio: a share of 5 % or more cannot grow to 50 times itself."""
POINTS: Final = 8
"""Grid points of the other accusations."""
RARE: Final = "rare bins"
"""The name for people of the bins that are judged together."""
LONGEST_NAME: Final = 40
"""Bins with longer names are rare ones, so that the state stays small."""
_ARMS: Final = (STABLE, CANDIDATE)
_OTHERS: Final = "!"
"""Prefix of the boundary that stands for all bins but the listed ones."""


def of(objective: Objective) -> Kind | None:
    """A feed of its own, whose columns are the bins. A boundary is a bin, or all but some."""
    limits = objective.distribution
    if limits is None:
        return None
    return Kind(
        objective,
        AnswerSeries(own_feed(objective.name), limits=limits),
        InBins(),
        ShareTests(limits),
        BinWords(),
        Recorded.BINS,
        Traits(judged_on_copies=True),  # a version that answers a copy counts the answer
        bins=AnswerBins(limits.bins, limits.label),
    )


@dataclass(frozen=True, slots=True)
class AnswerSeries(Sampling):
    """Counters by bin."""

    limits: Distribution = field(kw_only=True)

    @property
    def refused(self) -> str:
        """What is wrong; the API server refuses it, too, but not what it has stored before."""
        if not 0 < fraction(self.limits.relative_tolerance) < evidence.LARGEST_HIGHER_TOLERANCE:
            return "distribution.relativeTolerance: must be more than 0% and below 50%"
        try:
            promql.parsed(self.limits.bins)
        except promql.InvalidSelector as error:
            return f"distribution.bins: {error}"
        return ""

    def hidden(self, trial: Trial) -> str:
        return self.refused

    def questions(self, trial: Trial) -> Mapping[str, str]:
        return {
            self._key(arm): selectors.filled_by_user(trial, self.limits.bins, side)
            for arm, side in columns.sides(trial).items()
        }

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        """The samples of both arms. If they have no bin in common, the columns without samples: these wait."""
        tracks = [
            series.Track((arm, found.labels[self.limits.label].replace(columns.POD, " at ")), target, found.points)
            for arm in columns.sides(trial)
            for found in scraped.series_of(answers, self._key(arm))
            if found.labels.get(self.limits.label) and found.labels.get("pod") not in gone
            for target in (scraped.target(found.labels),)
        ]
        if _apart(tracks):
            return series.Samples(tuple(series.Track(track.column, track.target, ()) for track in tracks), {})
        return series.samples_of(tracks, ())

    def most_series(self, trial: Trial) -> float:
        return MOST_SERIES

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        if self.refused:
            return self.refused
        asked = self.questions(trial)
        if shown is None:
            return f"more than {MOST_SERIES} series match {asked[self._key(CANDIDATE)]}; count fewer bins"
        bins = {arm: {track.column[1] for track in shown.tracks if track.column[0] == arm} for arm in _ARMS}
        if shown.tracks and not shown.times:
            return (
                f"no bin of {trial.candidate.revision} ({_listed(bins[CANDIDATE])}) is one of {trial.stable.revision} "
                f"({_listed(bins[STABLE])}), so nothing is compared; give the bins their old names, or promote by hand"
            )
        if shown.times and not bins[STABLE]:
            return (
                f"{trial.stable.revision} does not count bins ({asked[self._key(STABLE)]} has no series with the label "
                f"{self.limits.label}), so nothing can be compared; set required: false for this release, or promote by hand"
            )
        return unseen(trial, shown, asked[self._key(CANDIDATE)]) or self._uncounted(trial, shown)

    def _uncounted(self, trial: Trial, shown: series.Samples) -> str:
        """That some of the candidate's pods do not count; empty if unknown, because one target counts for both."""
        targets = {arm: {track.target for track in shown.tracks if track.column[0] == arm} for arm in _ARMS}
        counting, ready = len(targets[CANDIDATE]), trial.candidate.pods or 0
        if targets[CANDIDATE] & targets[STABLE] or not trial.exposure.permille or counting >= ready:
            return ""
        return f"only {counting} of {ready} ready pods of {trial.candidate.revision} count bins"

    def _key(self, arm: str) -> str:
        return f"{self.feed}/{arm}"


@dataclass(frozen=True, slots=True)
class InBins(Counting):
    """Answers, and those in a bin, or in all but some."""

    def requests_and_events(self, amounts: Amounts, boundary: str | None) -> tuple[float, float]:
        answers = sum(amounts.values())
        if boundary is None or not boundary.startswith(_OTHERS):
            return answers, amounts.get(boundary or "", 0.0)
        return answers, max(0.0, answers - sum(amounts.get(name, 0.0) for name in _left_out(boundary)))


@dataclass(frozen=True, slots=True)
class ShareTests(Tests):
    """Tests of the share of each bin."""

    limits: Distribution

    needs_boundary: ClassVar[bool] = True

    def boundaries(self, samples: series.Samples, *, sharing: int) -> tuple[str, tuple[str, ...]] | None:
        """The bins of the stable version that are not negligible, the largest first, and all others together. The
        smallest of them takes longest to prove, so it is the judged one."""
        totals: defaultdict[str, float] = defaultdict(float)
        for track in samples.tracks:
            if track.points and track.column[0] == STABLE:
                totals[track.column[1]] += track.points[-1][1]
        every = sum(totals.values())
        if every < FEW_ANSWERS:
            return None
        known = (name for name in totals if len(name) <= LONGEST_NAME and not name.startswith(_OTHERS))
        ranked = sorted(known, key=lambda name: (-totals[name], name))
        if not ranked:
            return None
        negligible = fraction(self.limits.ignore_below) * every
        watched = [name for name in ranked if totals[name] >= negligible] or ranked
        watched = watched[: max(1, MOST_BINS // sharing)]
        return watched[-1], (*watched, _OTHERS + json.dumps(watched))

    def rules(self, boundaries: tuple[str, ...]) -> Rules:
        return distribution_rules(self.limits, boundaries)  # pyright: ignore[reportArgumentType]  # frozen


@dataclass(frozen=True, slots=True)
class AnswerBins(Bins):
    """The rare ones share one name."""

    def named(self, boundary: str | None) -> str | None:
        return _named(boundary)


@dataclass(frozen=True, slots=True)
class BinWords(Words):
    """Which bin an answer is in."""

    def event(self, boundary: str | None) -> str:
        name = _named(boundary)
        return "in rare bins" if name == RARE else f"in bin {name or '?'}"


def _named(boundary: str | None) -> str | None:
    return RARE if boundary is not None and boundary.startswith(_OTHERS) else boundary


@functools.lru_cache(maxsize=256)
def distribution_rules(limits: Distribution, boundaries: tuple[str, ...]) -> Rules:
    """Tests of shares. boundaries: the separate bins, and the others together."""
    tolerance, negligible = fraction(limits.relative_tolerance), fraction(limits.ignore_below)
    more = evidence.RelativeTest(1 + tolerance, tuple(ratio * (1 + tolerance) for ratio in RATIOS))
    fewer = evidence.relative_down(1 - tolerance, points=POINTS)
    terms: list[Term] = []
    for name in boundaries:
        if name.startswith(_OTHERS):
            unknown = evidence.joint(1 + tolerance, negligible, points=POINTS)
            terms.append(Term("more/rare", Role.ROLLBACK, unknown, name, rare=True))
            continue
        terms += (
            Term(f"more/={name}", Role.ROLLBACK, more, name),
            Term(f"fewer/={name}", Role.ROLLBACK, fewer, name),
            Term(f"notMore/={name}", Role.ADVANCE, evidence.relative_close(1 + 2 * tolerance), name),
            Term(f"notFewer/={name}", Role.ADVANCE, evidence.higher_close(tolerance), name),
        )
    return Rules(tuple(terms), advance_ratio=1 + 2 * tolerance, bakes=False, every=True)


@functools.lru_cache(maxsize=256)
def _left_out(boundary: str) -> tuple[str, ...]:
    """The bins that a boundary excludes."""
    return tuple(json.loads(boundary.removeprefix(_OTHERS)))


def _apart(tracks: Sequence[series.Track]) -> bool:
    """Whether both arms have counted, but have no bin in common."""
    seen: dict[str, set[str]] = {STABLE: set(), CANDIDATE: set()}
    for track in tracks:
        if track.points and track.points[-1][1] > 0:
            seen[track.column[0]].add(track.column[1])
    return bool(seen[STABLE] and seen[CANDIDATE]) and not seen[STABLE] & seen[CANDIDATE]


def _listed(names: set[str]) -> str:
    few = sorted(names)[:4]
    return ", ".join(few) + (", …" if len(names) > len(few) else "")
