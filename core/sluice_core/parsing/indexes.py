"""Sets of shards as Kubernetes writes them in a Job's status: `0-4,7`."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

MOST: Final = 100_000
"""Most completions of an Indexed Job."""


def parsed(text: str) -> frozenset[int]:
    """The indexes; ValueError for anything else, and for more than a Job can have."""
    spans = [_span(part) for part in text.split(",") if part]
    if sum(map(len, spans)) > MOST:
        raise ValueError(f"more than {MOST} indexes")
    return frozenset(chain.from_iterable(spans))


def written(indexes: Iterable[int]) -> str:
    """The shortest form; empty for none."""
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in _spans(sorted(set(indexes))))


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    begin, end = int(first), int(last or first)
    if not 0 <= begin <= end < MOST:
        raise ValueError(f"not indexes: {part}")
    return range(begin, end + 1)


def _spans(ordered: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for index in ordered:
        if first is None or last is None:
            first = index
        elif index > last + 1:
            yield first, last
            first = index
        last = index
    if first is not None and last is not None:
        yield first, last
