"""What a watch says of the requests' features: its part of the status, and its words."""

from dataclasses import dataclass
from typing import Final

from sluice.api.v1alpha1.watchstatus import BinShares, DriftStatus, MovedFeature
from sluice.core.judge.words import percentage
from sluice.core.kernel import timestamps
from sluice.core.kernel.conditions import Fact, shortened
from sluice.core.kernel.reasons import Reason
from sluice.core.watch import moving
from sluice.core.watch.model import Drift, MovedInputs
from sluice.core.watch.subject import WatchedVersion
from sluice.stats import bins

MOST_MOVED: Final = 6
"""Features that are written with their bins."""
MOST_NAMED: Final = 3
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Gist:
    """What is worth a write when it changes."""

    noticed: str
    moved: tuple[str, ...]
    more: int
    unseen: str
    learns: bool


def gist(version: WatchedVersion, drift: Drift) -> Gist | None:
    """None where features are not watched."""
    if version.drift is None:
        return None
    names = tuple(_short(name) for name in drift.moved.since) if drift.moved is not None else ()
    return Gist(
        timestamps.rfc3339(drift.moved.noticed) if drift.moved is not None else "",
        names[:MOST_MOVED],
        len(names[MOST_MOVED:]),
        moving.unanswerable(version) or drift.unseen,
        drift.learns,
    )


def gist_of(known: DriftStatus) -> Gist:
    """Of what was written."""
    return Gist(known.noticed or "", tuple(each.name for each in known.moved), known.more, known.unseen, known.learns)


def written(version: WatchedVersion, drift: Drift) -> DriftStatus | None:
    """None where features are not watched."""
    said = gist(version, drift)
    if said is None:
        return None
    return DriftStatus(
        features=len(drift.detectors),
        learns=said.learns,
        noticed=said.noticed or None,
        moved=[] if drift.moved is None else _moved(drift, drift.moved),
        more=said.more,
        unseen=said.unseen,
    )


def words(known: DriftStatus) -> str:
    """Which features have moved, how far and since when; or that none has, or why that cannot be told."""
    if known.noticed is not None:
        named = [_named(each) for each in known.moved[:MOST_NAMED]]
        more = len(known.moved) - len(named) + known.more
        return f"requests are not as in the reference: {', '.join(named)}" + (f" and {more} more" if more else "")
    if known.unseen:
        return f"features are not watched: {known.unseen}"
    if known.learns:
        return "it is not known yet how much features vary by themselves"
    return f"{known.features} features are as in the reference"


def alone(known: DriftStatus | None, unwatched: str) -> Fact:
    """The condition where no objective is watched, and no feature has moved."""
    if known is None:
        return Fact(None, Reason.NOTHING_TO_WATCH, unwatched)
    message = "; ".join(filter(None, (words(known), unwatched)))
    if known.unseen:
        return Fact(None, Reason.WATCH_BLIND, message)
    return Fact(None, Reason.WATCH_LEARNS, message) if known.learns else Fact(True, Reason.STEADY, message)


def _named(feature: MovedFeature) -> str:
    return f"{feature.name} since {feature.since}" + (f" (stability index {feature.index})" if feature.index else "")


def _moved(drift: Drift, moved: MovedInputs) -> list[MovedFeature]:
    return [_feature(drift, name, moved.since[name]) for name in list(moved.since)[:MOST_MOVED]]


def _feature(drift: Drift, name: str, since: float) -> MovedFeature:
    """Without bins where a restarted operator has not read the reference yet."""
    reference = drift.reference.get(name, {})
    before, now = list(reference.values()), list(drift.detectors[name].shown) if name in drift.detectors else []
    if not reference or len(now) != len(before):
        return MovedFeature(name=_short(name), since=timestamps.rfc3339(since), index="", rows=0)
    return MovedFeature(
        name=_short(name),
        since=timestamps.rfc3339(since),
        index=f"{bins.stability_index(before, now):.2f}",
        rows=round(sum(now)),
        bins=[
            BinShares(name=_short(each), reference=_share(old, sum(before)), now=_share(new, sum(now)))
            for each, old, new in zip(reference, before, now, strict=True)
        ],
    )


def _share(count: float, whole: float) -> str:
    return percentage(count / whole if whole else 0.0)


def _short(name: str) -> str:
    return shortened(name, LONGEST_NAME)
