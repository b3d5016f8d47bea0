"""The reference as `kubectl sluice reference` writes it: the bins of each feature."""

import json
import math
from bisect import bisect_right
from pathlib import Path

KEY = "reference.json"
VERSION = 1
MOST_BYTES = 1 << 20
MOST_FEATURES = 64
MOST_BINS = 32
LONGEST_NAME = 200
MOST_ROWS = 1 << 53
"""Counters and gauges are floating-point numbers, which are exact up to here."""


class Unreadable(ValueError):
    """The document is not a reference."""


class Feature:
    """One feature. place: its number among all, which is its position in a row without names."""

    __slots__ = ("_bins", "_edges", "index", "input", "name", "names", "place", "rows")

    def __init__(self, raw, place):
        self.name = _text(raw["name"])
        self.names = tuple(map(_text, raw["bins"]))
        self.rows = tuple(map(_count, raw["bins"].values()))
        self.input = _text(raw.get("input") or self.name)
        self.index = raw.get("index")
        self.place = place
        edges, values = raw.get("edges"), raw.get("values")
        self._edges = None if edges is None else [float(edge) for edge in edges]
        self._bins = None if values is None else {_text(value): number for number, value in enumerate(values)}
        expected = (len(self._edges) + 3) if self._edges is not None else len(self._bins or ()) + 2
        if len(self.names) != expected or expected > MOST_BINS or (edges is None) == (values is None):
            raise Unreadable(f"feature {self.name!r}: {len(self.names)} bins do not go with its edges or values")
        if self._edges is not None and (not self._edges or sorted(set(self._edges)) != self._edges):
            raise Unreadable(f"feature {self.name!r}: its edges do not rise")
        if self.index is not None and (type(self.index) is not int or self.index < 0):
            raise Unreadable(f"feature {self.name!r}: index {self.index!r} is not a place")

    def bin(self, value):
        """The number of a value's bin; None: there is no value."""
        last = len(self.names) - 1
        if value is None or value == "" or value != value:  # NaN differs from itself
            return last
        if self._edges is not None:
            return bisect_right(self._edges, value) if isinstance(value, (int, float)) else last - 1
        return self._bins.get(as_text(value), last - 1)


class Reference:
    def __init__(self, features, answers):
        self.features = features
        self.answers = answers


def as_text(value):
    """As in the data set: true and false, and integers without a decimal point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value) if isinstance(value, (str, int, float)) else ""


def file_of(path):
    """The file itself, given it or its folder."""
    path = Path(path)
    return path / KEY if path.is_dir() else path


def load(path):
    """Raises Unreadable, or OSError."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it has more than {MOST_BYTES} bytes")
    try:
        raw = json.loads(content)
        if raw["version"] != VERSION:
            raise Unreadable(f"version {raw['version']!r} is unknown; this is {VERSION}")
        features, answers = _features(raw["features"]), _features(raw.get("answers", []))
    except Unreadable:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"it is not a reference: {type(error).__name__}: {error}") from error
    if not features or len(features) + len(answers) > MOST_FEATURES:
        raise Unreadable(
            f"it has {len(features)} features and {len(answers)} answers; 1 to {MOST_FEATURES} can be counted"
        )
    return Reference(features, answers)


def _features(raw):
    found = tuple(Feature(each, place) for place, each in enumerate(raw))
    if len({feature.name for feature in found}) < len(found):
        raise Unreadable("two features have one name")
    return found


def _count(raw):
    if type(raw) is not int or not 0 <= raw <= MOST_ROWS:
        raise Unreadable(f"{str(raw)[:40]!r} is not a number of rows")
    return raw


def _text(raw):
    if not isinstance(raw, str) or len(raw) > LONGEST_NAME:
        raise Unreadable(f"{str(raw)[:40]!r} is not a text of up to {LONGEST_NAME} characters")
    return raw
