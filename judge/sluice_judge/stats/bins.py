"""Bins of numbers, and how far two counts by bin are apart.

edges 10, 50      <10 │ 10 to 50 │ >=50       an edge belongs to the bin above it
"""

import itertools
import math
from collections.abc import Sequence
from typing import Final

UNSEEN: Final = 0.5
"""Added to each count: otherwise a bin that one side has never counted would be infinitely far away."""


def quantile_edges(ordered: Sequence[float], bins: int) -> tuple[float, ...]:
    """Edges of at most `bins` bins with about equally many values, rising; empty if all values are equal.

    Each edge is rounded to a twentieth of the way to its neighbour, so that it is hardly the value of one row. A value that
    many rows share is an edge, and makes fewer bins.

    Args:
        ordered: finite values, sorted.
        bins: at least 2.
    """
    if not ordered:
        return ()
    cuts = [ordered[len(ordered) * number // bins] for number in range(1, bins)]
    distinct = [cut for cut in dict.fromkeys(cuts) if cut > ordered[0]]
    if not distinct and ordered[-1] > ordered[0]:  # nearly all are the smallest: larger values are the other bin
        distinct = [next(value for value in ordered if value > ordered[0])]
    around = [ordered[0], *distinct, ordered[-1]]
    return tuple(_rounded(cut, _gap(around[place], cut, around[place + 2])) for place, cut in enumerate(distinct))


def _gap(below: float, cut: float, above: float) -> float:
    """The distance to the nearest neighbour that is another number."""
    return min(way for way in (cut - below, above - cut) if way > 0)


def _rounded(cut: float, gap: float) -> float:
    try:
        return round(cut, 1 - math.floor(math.log10(gap)))
    except OverflowError:  # of the distance, or of the rounded cut
        return cut


def number_bins(edges: Sequence[float]) -> tuple[str, ...]:
    """Names of the bins, one more than there are edges."""
    texts = [_text(edge) for edge in edges]
    between = (f"{low} to {high}" for low, high in itertools.pairwise(texts))
    return (f"<{texts[0]}", *between, f">={texts[-1]}")


def _text(edge: float) -> str:
    return f"{edge:.12g}"


def stability_index(before: Sequence[float], after: Sequence[float]) -> float:
    """The population stability index of counts by bin: the sum of (q - p) ln(q / p), at least 0; 0 where shares are equal.

    It is Kullback and Leibler's symmetric divergence J (On information and sufficiency, Annals of Mathematical
    Statistics 22, 1951). Its thresholds in credit scoring (below 0.1 little, above 0.25 much; Siddiqi, Credit Risk
    Scorecards, 2006) are conventions: it grows with the number of bins, and with few values, see `index_by_chance`. It
    is no evidence.

    Args:
        before: counts by bin.
        after: counts of the same bins, in the same order.
    """
    p, q = _shares(before), _shares(after)
    return sum((new - old) * math.log(new / old) for old, new in zip(p, q, strict=True))


def _shares(counts: Sequence[float]) -> list[float]:
    whole = sum(counts) + UNSEEN * len(counts)
    return [(count + UNSEEN) / whole for count in counts]


def index_by_chance(bins: int, before: float, after: float) -> float:
    """The index to expect without a change: (B - 1)(1/n + 1/m), for counts of n and m values in B bins.

    Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation 14
    (4), 2020: divided by 1/n + 1/m, it is then nearly a chi-square with B - 1 degrees of freedom.
    """
    return (bins - 1) * (1 / max(before, 1.0) + 1 / max(after, 1.0))
