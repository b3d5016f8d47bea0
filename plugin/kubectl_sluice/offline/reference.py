"""An observer's reference: the bins of each feature, and how many rows of a data set are in each.

sampled columns ──feature_of──> Reference ──configmap──> ConfigMap, key `reference.json` ──> the observer's pod

    {"version": 1, "rows": 50000, "features": [
       {"name": "age", "input": "x", "index": 0, "edges": [18, 65], "bins": {"<18": 812, …, "(not a number)": 0, "(missing)": 3}},
       {"name": "land", "values": ["de", "fr"], "bins": {"de": 40210, "fr": 9000, "(other)": 790, "(missing)": 0}}],
     "answers": […]}

Bins are in order: n edges make n + 1 bins, each value makes one. The remaining ones are for other values and for
missing ones. `input` and `index` locate the feature in a tensor; without them it is an input of its own.
"""

import bisect
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sluice_judge.stats import bins

VERSION: Final = 1
KEY: Final = "reference.json"
"""The ConfigMap's key."""
ANNOTATION_DATA: Final = "sluice.dev/reference-data"
"""The ConfigMap's annotation that tells people its source."""
MOST_BYTES: Final = 200 << 10
"""The document's size limit: `kubectl apply` keeps the applied object in an annotation, which has 256 KiB at most."""
MOST_FEATURES: Final = 64
"""The most features and answers together: each has up to 18 series."""
MOST_BINS: Final = 16
FEWEST_ROWS: Final = 200
"""The fewest rows with a value for a feature to have bins."""
RAREST_PERCENT: Final = 1.0
FEWEST_OF_A_VALUE: Final = 20
"""A value with fewer rows than this, or than RAREST_PERCENT, is not written anywhere: it may be a person's name."""
LONGEST_VALUE: Final = 40
"""The most characters of a value with a bin of its own: the judge reads no longer names."""
MISSING: Final = "(missing)"
OTHER: Final = "(other)"
NOT_A_NUMBER: Final = "(not a number)"
_MARKS: Final = ("(", "!", "=")
"""Reserved beginnings of a bin's name: a value that begins like this gets a sign in front."""

Value: TypeAlias = float | str | None


class UnreadableReference(ValueError):
    """The document is not a reference; the message says where."""


@dataclass(frozen=True, slots=True)
class SampledColumn:
    """Values of some rows, None for a missing one. input, index: the place in a tensor of requests; empty: found by its
    name."""

    name: str
    values: Sequence[Value]
    input: str = ""
    index: int | None = None


@dataclass(frozen=True, slots=True)
class BinnedFeature:
    """One feature, by numbers (edges) or by values; one of both is empty."""

    name: str
    counts: Mapping[str, int]
    """The rows of each bin, in order."""
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    input: str = ""
    index: int | None = None

    def to_wire(self) -> dict[str, Any]:
        how = {"edges": list(self.edges)} if self.edges else {"values": list(self.values)}
        where = {"input": self.input} if self.input else {}
        place = {} if self.index is None else {"index": self.index}
        return {"name": self.name, **where, **place, **how, "bins": dict(self.counts)}


@dataclass(frozen=True, slots=True)
class Reference:
    """All features. rows: the number of counted rows."""

    rows: int
    features: tuple[BinnedFeature, ...]
    answers: tuple[BinnedFeature, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        answers = {"answers": [each.to_wire() for each in self.answers]} if self.answers else {}
        return {
            "version": VERSION,
            "rows": self.rows,
            "features": [each.to_wire() for each in self.features],
            **answers,
        }


def feature_of(column: SampledColumn, most_bins: int) -> BinnedFeature | str:
    """The feature with its bins; or why it has none."""
    there = [value for value in column.values if not _is_missing(value)]
    if len(there) < FEWEST_ROWS:
        return f"only {len(there)} of {len(column.values)} rows have a value; {FEWEST_ROWS} are needed"
    if any(isinstance(value, str) for value in there):
        return _by_value(column, [str(value) for value in there], most_bins)
    return _by_number(column, [float(value) for value in there if value is not None], most_bins)


def _is_missing(value: Value) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _by_number(column: SampledColumn, there: Sequence[float], most_bins: int) -> BinnedFeature | str:
    edges = bins.quantile_edges(sorted(value for value in there if math.isfinite(value)), most_bins)
    if not edges:
        return "all rows have the same value, so no bin could ever change"
    names = bins.number_bins(edges)
    counted = Counter(bisect.bisect_right(edges, value) for value in there)
    counts = {name: counted[place] for place, name in enumerate(names)}
    rest = {NOT_A_NUMBER: 0, MISSING: len(column.values) - len(there)}
    return BinnedFeature(column.name, {**counts, **rest}, edges=edges, input=column.input, index=column.index)


def _by_value(column: SampledColumn, there: Sequence[str], most_bins: int) -> BinnedFeature | str:
    fewest = max(FEWEST_OF_A_VALUE, len(there) * RAREST_PERCENT / 100)
    counted = Counter(there)
    frequent = [value for value, count in counted.items() if count >= fewest and len(value) < LONGEST_VALUE]
    kept = sorted(frequent, key=lambda value: (-counted[value], value))[: most_bins - 1]
    if not kept:
        return f"no value of up to {LONGEST_VALUE - 1} characters is in {RAREST_PERCENT:g} % of the rows: free text or an identifier"
    counts = {_bin_of(value): counted[value] for value in kept}
    rest = {OTHER: len(there) - sum(counts.values()), MISSING: len(column.values) - len(there)}
    return BinnedFeature(column.name, {**counts, **rest}, values=tuple(kept), input=column.input, index=column.index)


def _bin_of(value: str) -> str:
    return f"={value}" if value.startswith(_MARKS) else value


def dumped(reference: Reference) -> str:
    """The document; raises ValueError where it exceeds the size limit."""
    text = json.dumps(reference.to_wire(), ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > MOST_BYTES:
        raise ValueError(
            f"the reference has {size >> 10} KiB, and {MOST_BYTES >> 10} are the most; name fewer features, or fewer bins"
        )
    return text


def configmap(reference: Reference, name: str, data: str) -> dict[str, Any]:
    """The ConfigMap that spec.observer.reference of a ModelDeployment names. data: the source of the rows."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": {ANNOTATION_DATA: data}},
        "data": {KEY: dumped(reference)},
    }


def parsed(text: str) -> Reference:
    """The reference in a document. Raises UnreadableReference."""
    try:
        raw = json.loads(text)
        if raw["version"] != VERSION:
            raise UnreadableReference(f"version {raw['version']!r} is unknown; this is {VERSION}")
        return Reference(int(raw["rows"]), _features(raw["features"]), _features(raw.get("answers", [])))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableReference(f"it is not a reference: {type(error).__name__}: {error}") from error
    except UnreadableReference:
        raise
    except ValueError as error:
        raise UnreadableReference(f"it is not a reference: {error}") from error


def _features(raw: Sequence[Mapping[str, Any]]) -> tuple[BinnedFeature, ...]:
    return tuple(
        BinnedFeature(
            str(each["name"]),
            {str(name): int(count) for name, count in each["bins"].items()},
            tuple(map(float, each.get("edges", ()))),
            tuple(map(str, each.get("values", ()))),
            str(each.get("input", "")),
            each.get("index"),
        )
        for each in raw
    )


@dataclass(frozen=True, slots=True)
class FeatureMove:
    """How far a feature has moved. index: None where its bins differ, and `why` says so."""

    name: str
    index: float | None
    by_chance: float = 0.0
    """The expected index if nothing has changed."""
    why: str = ""


def moves(before: Reference, after: Reference) -> Iterator[FeatureMove]:
    """The move of each feature of either reference, in order; both must have the same bins."""
    new = {each.name: each for each in (*after.features, *after.answers)}
    old = {each.name: each for each in (*before.features, *before.answers)}
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            yield FeatureMove(name, None, why="the feature has vanished")
        elif name not in old:
            yield FeatureMove(name, None, why="the feature is new")
        elif list(old[name].counts) != list(new[name].counts):
            yield FeatureMove(name, None, why="its bins are others")
        else:
            was, now = list(old[name].counts.values()), list(new[name].counts.values())
            yield FeatureMove(name, bins.stability_index(was, now), bins.index_by_chance(len(was), sum(was), sum(now)))


def recounted(feature: BinnedFeature, column: SampledColumn) -> BinnedFeature:
    """The column in the feature's existing bins, to compare both."""
    names = list(feature.counts)
    counted = Counter(_place(feature, value) for value in column.values)
    return BinnedFeature(
        feature.name,
        {name: counted[place] for place, name in enumerate(names)},
        feature.edges,
        feature.values,
        feature.input,
        feature.index,
    )


def _place(feature: BinnedFeature, value: Value) -> int:
    last = len(feature.counts) - 1
    if _is_missing(value):
        return last
    if feature.edges:
        return last - 1 if isinstance(value, str) else bisect.bisect_right(feature.edges, float(value or 0))
    return feature.values.index(str(value)) if str(value) in feature.values else last - 1
