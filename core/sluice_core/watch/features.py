"""The counts by bins of many models in one whole minute, feature by feature, in as few questions as possible.

    digits  sluice_observed_total{namespace=~"shop",model=~"digits"} ─┐
    wine    sluice_observed_total{namespace=~"cave",model=~"wine"}  ──┴─> sum by (namespace, model, feature, bin) (increase(
            sluice_observed_total{namespace=~"shop|cave",model=~"digits|wine"}[75s])) and on (namespace, model) (count … <= 4096)

The reference is queried in the same way, from the observer's gauge: the counting program itself exposes it, so no right
to read ConfigMaps is needed, and both are from the same time. It is queried again when the bins change, and four times
an hour.

The namespace of a series is set by Prometheus, not by its exposer. Tenants name features and bins freely in their own
namespaces: Prometheus itself leaves out a model with more series than an observer can have, and one whose answer is
still refused is not queried for an hour. If tenants define more questions than a minute has room for, the namespaces
take turns: what is not queried in a minute is not counted, and does not count as blind.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from sluice_core.watch.binsources import FEATURES, BinSource
from sluice_core.watch.minutes import MINUTE, Place, Unseen, unreadable
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.model import Answer, Answered, Failed, Question
from sluice_judge.samples import joined
from sluice_judge.samples.joined import Joined

MOST: Final = 48
"""Most models in one question about features: an answer has up to 1,152 numbers of each, and for ten features with
twelve bins 22 KB.
"""
MOST_OF_ANSWERS: Final = 120
"""The same for answers; a model has one or two."""
MOST_OWN: Final = 12
"""Most questions in a minute about counters that objectives name."""
MOST_SERIES: Final = 4096
"""Most series of one model: as many as two pods of its observer can have."""
MOST_FEATURES: Final = 64
MOST_BINS: Final = 32
"""Most bins of a feature."""
LONGEST_NAME: Final = 200
"""The longest name of a feature or a bin: the observer reads no longer ones."""
REFERENCE_SECONDS: Final = 900
"""The time after which the reference is queried again."""
Rows: TypeAlias = Mapping[str, Mapping[str, float]]
"""Rows by feature and bin."""
Item = TypeVar("Item")
Asked: TypeAlias = tuple[Place, str]
"""A model, and which of its counters."""


@dataclass(frozen=True, slots=True)
class FeatureMinute:
    """The counts of one model."""

    rows: Rows
    reference: Rows | None
    """None: it was not queried."""


@dataclass(frozen=True, slots=True)
class TooMany(Unseen):
    """Nothing could be seen, since there are too many series."""


@dataclass(frozen=True, slots=True)
class FeatureInquest:
    """All questions about one minute, and the models that each is for."""

    questions: tuple[Joined, ...]
    sources: Mapping[Asked, BinSource]
    counts: Mapping[Asked, Question]
    references: Mapping[Asked, Question]
    """Only for those that need one."""

    def read(self, answers: Mapping[Question, Answer]) -> dict[Asked, FeatureMinute | Unseen]:
        """The counts. answers: to every part of the questions."""
        return {asked: self._of(asked, answers) for asked in self.counts}

    def _of(self, asked: Asked, answers: Mapping[Question, Answer]) -> FeatureMinute | Unseen:
        rows = _rows(self.sources[asked], self.counts[asked], answers)
        if isinstance(rows, Unseen) or asked not in self.references:
            return rows if isinstance(rows, Unseen) else FeatureMinute(rows, None)
        reference = _rows(self.sources[asked], self.references[asked], answers)
        return reference if isinstance(reference, Unseen) else FeatureMinute(rows, reference)


def inquest(versions: Iterable[WatchedVersion], watches: Mapping[Place, Watch], end: float) -> FeatureInquest:
    """The questions about these models. end: the minute's, seconds since the epoch."""
    known = {version.place: version for version in sorted(versions, key=lambda each: each.place)}
    sources = {
        (place, source.name): source
        for place, version in known.items()  # neighbours share a namespace
        for source in version.bins
        if not source.problem
    }
    drifts = {asked: watches.get(asked[0], Watch("")).drift_of(asked[1]) for asked in sources}
    counts = {
        asked: _question(source, source.counters, known[asked[0]])
        for asked, source in sources.items()
        if end > drifts[asked].refused_until
    }
    references = {
        asked: _question(sources[asked], sources[asked].reference, known[asked[0]], newest=True)
        for asked in counts
        if sources[asked].reference and (not drifts[asked].reference or end - drifts[asked].read >= REFERENCE_SECONDS)
    }
    own = in_turn([asked for asked in counts if not sources[asked].reference], counts, round(end / MINUTE))
    left_out = {asked for asked in counts if not sources[asked].reference}.difference(*(each[1] for each in own))
    questions = [each for each, _ in own]
    for most, of_features in ((MOST, True), (MOST_OF_ANSWERS, False)):
        observed = [
            each[asked]
            for each in (counts, references)
            for asked in each
            if sources[asked].reference and (asked[1] == FEATURES) is of_features
        ]
        questions += joined.joined(observed, most=most)
    asked_now = {asked: question for asked, question in counts.items() if asked not in left_out}
    return FeatureInquest(tuple(questions), sources, asked_now, references)


def in_turn(own: Sequence[Asked], counts: Mapping[Asked, Question], number: int) -> list[tuple[Joined, list[Asked]]]:
    """The questions about these that fit into a minute, with the models that each is for: equally many of each
    namespace, and if there are more, in turn. number: the minute's."""
    askers: defaultdict[Question, list[Asked]] = defaultdict(list)
    for asked in own:
        askers[counts[asked]].append(asked)
    every = [
        (whole, [asked for part in whole.parts for asked in askers[part]])
        for whole in joined.joined(askers, most=MOST_OF_ANSWERS)
    ]
    if len(every) <= MOST_OWN:
        return every
    by_namespace: defaultdict[str, list[tuple[Joined, list[Asked]]]] = defaultdict(list)
    for each in every:
        (namespace, _), _ = each[1][0]
        by_namespace[namespace].append(each)
    namespaces = _turned(sorted(by_namespace), MOST_OWN, number)
    share = MOST_OWN // len(namespaces)
    return [each for namespace in namespaces for each in _turned(by_namespace[namespace], share, number)]


def _turned(items: Sequence[Item], most: int, number: int) -> list[Item]:
    """At most `most` of them; others the next time."""
    if len(items) <= most:
        return list(items)
    begin = number * most % len(items)
    return [items[(begin + each) % len(items)] for each in range(most)]


def ordered(bins: Mapping[str, float]) -> dict[str, float]:
    """In rising order of the numbers in their names (`<18`, `18 to 65`, `>=65`); names in parentheses come last."""
    return dict(sorted(bins.items(), key=lambda each: (*_place(each[0]), each[0])))


def _place(name: str) -> tuple[int, float]:
    if name.startswith("("):
        return 2, float(name == "(missing)")
    if name.startswith("<"):
        return 0, -math.inf
    if name.startswith(">="):
        return 0, math.inf
    low, to, _ = name.partition(" to ")
    try:
        return (0, float(low)) if to else (1, 0.0)
    except ValueError:
        return 1, 0.0


def _question(source: BinSource, selector: str, version: WatchedVersion, *, newest: bool = False) -> Question:
    plain = Question("", selector, MINUTE + version.scrape_interval_seconds, preset=source.joins)
    return replace(plain, summed_by=source.labels, newest=newest, most_series=MOST_SERIES)


def _rows(source: BinSource, question: Question, answers: Mapping[Question, Answer]) -> Rows | Unseen:
    answer = answers[question]
    if isinstance(answer, Failed):
        return TooMany(answer.message) if answer.refused else Unseen(answer.message)
    if answer.unreadable:
        return Unseen(unreadable(question))
    rows: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for feature, name, value in _values(source, question, answer):
        rows[feature][name] += value
    if not rows:
        return Unseen(f"no series {question.selector}, or more than {MOST_SERIES}: {source.remedy}")
    if len(rows) > MOST_FEATURES or any(len(bins) > MOST_BINS for bins in rows.values()):
        return Unseen(f"{question.selector} has more than {MOST_FEATURES} features, or {MOST_BINS} bins of one")
    return rows


def _values(source: BinSource, question: Question, answer: Answered) -> Iterator[tuple[str, str, float]]:
    """This version's values: a dot in its name matches any character in the question. Counters are scaled to the
    minute.
    """
    namespace, owner = source.labels[:2]
    scale = 1.0 if question.newest else MINUTE / question.window_seconds
    title = "" if len(source.labels) > 3 else source.title
    for one in answer.series:
        of = one.labels.get
        feature, name = title or of("feature", ""), of(source.bin, "")
        is_named = 0 < len(feature) <= LONGEST_NAME and 0 < len(name) <= LONGEST_NAME
        if is_named and source.owns(of(namespace, ""), of(owner, "")):
            yield feature, name, max(0.0, one.points[-1][1]) * scale
