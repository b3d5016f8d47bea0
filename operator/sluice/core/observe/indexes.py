"""Sets of shards as Kubernetes writes them in a Job's status: `0-4,7`."""

from collections.abc import Iterable, Iterator


def parsed(text: str) -> frozenset[int]:
    """The indexes; ValueError for anything else."""
    return frozenset(index for part in text.split(",") if part for index in _span(part))


def written(indexes: Iterable[int]) -> str:
    """The shortest form; empty for none."""
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in _spans(sorted(set(indexes))))


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


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
