"""Features of requests that differ from the reference, for people."""

from dataclasses import dataclass

from sluice_core.api.v1alpha1.watchstatus import BinShares, MovedFeature, WatchStatus


@dataclass(frozen=True, slots=True)
class BinView:
    """One bin of a feature."""

    name: str
    reference_percent: float
    now_percent: float


@dataclass(frozen=True, slots=True)
class MovedView:
    """One feature that has moved."""

    name: str
    since: str
    index: str
    """Population stability index; empty while the operator has not counted again."""
    rows: int
    bins: tuple[BinView, ...]

    @property
    def words(self) -> str:
        """Since when, and how far."""
        how_far = f", stability index {self.index} over {self.rows} rows" if self.index else ""
        return f"{self.name}: since {self.since}{how_far}"


def moved_views(watch: WatchStatus | None) -> tuple[MovedView, ...]:
    """The features that moved, in the order of detection."""
    return tuple(map(_moved, watch.drift.moved)) if watch is not None and watch.drift is not None else ()


def _moved(feature: MovedFeature) -> MovedView:
    return MovedView(feature.name, feature.since, feature.index, feature.rows, tuple(map(_bin, feature.bins)))


def _bin(one: BinShares) -> BinView:
    return BinView(one.name, _percent(one.reference), _percent(one.now))


def _percent(share: str) -> float:
    """The operator's percentage; 0 for anything else in its place."""
    try:
        return min(100.0, max(0.0, float(share.removesuffix("%"))))
    except ValueError:
        return 0.0
