"""What the observers of many models counted in one whole minute, feature by feature, in as few questions as possible.

    digits  sluice_observed_total{namespace=~"shop",model=~"digits"} ─┐
    wine    sluice_observed_total{namespace=~"cave",model=~"wine"}  ──┴─> sum by (namespace, model, feature, bin) (increase(
            sluice_observed_total{namespace=~"shop|cave",model=~"digits|wine"}[75s])) and on (namespace, model) (count … <= 4096)

The reference is asked for in the same way, by the gauge that the observer shows of it: whoever counts says by what, so no right
to read ConfigMaps is needed, and both are of one moment. It is asked for anew when the bins are others, and four times an hour.

Which namespace a series is of, Prometheus says and not who exposes it. A tenant names features and bins as he likes, in his own
namespace: who has more series than an observer can have is left out by Prometheus itself, and whose answer is refused
nevertheless is not asked for in the next hour.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sluice.core.judge import joined
from sluice.core.judge.joined import Joined
from sluice.core.judge.model import Answer, Answered, Failed, Question
from sluice.core.watch.minutes import MINUTE, Place, Unseen
from sluice.core.watch.model import Drift, Watch
from sluice.core.watch.subject import WatchedVersion

MOST: Final = 40
"""Models in one question: an answer has up to 1,152 numbers of each, and of ten features with twelve bins 22 KB."""
MOST_SERIES: Final = 4096
"""Of one model: as many as two pods of its observer have at most."""
MOST_FEATURES: Final = 64
MOST_BINS: Final = 32
"""Of a feature."""
LONGEST_NAME: Final = 200
"""Of a feature or a bin: the observer reads no longer ones."""
REFERENCE_SECONDS: Final = 900
"""After which the reference is asked for again."""
COUNTED: Final = "sluice_observed_total"
REFERENCE: Final = "sluice_observer_reference_rows"
_LABELS: Final = ("model", "feature", "bin")

Rows: TypeAlias = Mapping[str, Mapping[str, float]]
"""By feature and bin."""


@dataclass(frozen=True, slots=True)
class FeatureMinute:
    """What was counted of one model."""

    rows: Rows
    reference: Rows | None
    """None: it was not asked for."""


@dataclass(frozen=True, slots=True)
class TooMany(Unseen):
    """Nothing could be seen, as there is too much of it."""


@dataclass(frozen=True, slots=True)
class FeatureInquest:
    """All questions about one minute, and who asks what."""

    questions: tuple[Joined, ...]
    counts: Mapping[Place, Question]
    references: Mapping[Place, Question]
    """Only of those that need one."""

    def read(self, answers: Mapping[Question, Answer]) -> dict[Place, FeatureMinute | Unseen]:
        """What was counted of each model. answers: to every part of the questions."""
        return {place: self._of(place, answers) for place in self.counts}

    def _of(self, place: Place, answers: Mapping[Question, Answer]) -> FeatureMinute | Unseen:
        rows = _rows(place, self.counts[place], answers)
        if isinstance(rows, Unseen) or place not in self.references:
            return rows if isinstance(rows, Unseen) else FeatureMinute(rows, None)
        reference = _rows(place, self.references[place], answers)
        return reference if isinstance(reference, Unseen) else FeatureMinute(rows, reference)


def inquest(versions: Iterable[WatchedVersion], watches: Mapping[Place, Watch], end: float) -> FeatureInquest:
    """What to ask about these models. end: of the minute, seconds since the epoch."""
    asked = [
        (version, drift)
        for version in sorted(versions, key=lambda each: each.place)  # neighbours share a namespace
        if version.drift is not None and version.drift.namespace_label
        for drift in (watches[version.place].drift if version.place in watches else Drift(),)
        if end > drift.refused_until
    ]
    counts = {version.place: _question(version, COUNTED) for version, _ in asked}
    references = {
        version.place: _question(version, REFERENCE, newest=True)
        for version, drift in asked
        if not drift.reference or end - drift.read >= REFERENCE_SECONDS
    }
    return FeatureInquest(joined.joined([*counts.values(), *references.values()], most=MOST), counts, references)


def ordered(bins: Mapping[str, float]) -> dict[str, float]:
    """Numbers rise, as do their names (`<18`, `18 to 65`, `>=65`); what is in parentheses comes last."""
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


def _question(version: WatchedVersion, metric: str, *, newest: bool = False) -> Question:
    label = version.drift.namespace_label if version.drift is not None else ""
    selector = f'{metric}{{{label}=~"{version.namespace}",model=~"{version.model}"}}'
    plain = Question("", selector, MINUTE + version.scrape_interval_seconds, preset=True)
    return replace(plain, summed_by=(label, *_LABELS), newest=newest, most_series=MOST_SERIES)


def _rows(place: Place, question: Question, answers: Mapping[Question, Answer]) -> Rows | Unseen:
    answer = answers[question]
    if isinstance(answer, Failed):
        return TooMany(answer.message) if answer.refused else Unseen(answer.message)
    rows: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for feature, name, value in _values(place, question, answer):
        rows[feature][name] = max(0.0, value)
    if not rows:
        return Unseen(
            f"no series {question.selector}, or more than {MOST_SERIES}: see whether the observer runs, and Prometheus scrapes it"
        )
    if len(rows) > MOST_FEATURES or any(len(bins) > MOST_BINS for bins in rows.values()):
        return Unseen(f"{question.selector} has more than {MOST_FEATURES} features, or {MOST_BINS} bins of one")
    return rows


def _values(place: Place, question: Question, answer: Answered) -> Iterator[tuple[str, str, float]]:
    """Of this model alone: a dot in its name stands for any character in the question. Counters are scaled to the minute."""
    namespace = (question.summed_by or ("",))[0]
    scale = 1.0 if question.newest else MINUTE / question.window_seconds
    for one in answer.series:
        feature, name = one.labels.get("feature", ""), one.labels.get("bin", "")
        if (one.labels.get(namespace), one.labels.get("model")) != place or not feature or not name:
            continue
        if len(feature) <= LONGEST_NAME and len(name) <= LONGEST_NAME:
            yield feature, name, one.points[-1][1] * scale
