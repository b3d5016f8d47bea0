"""A watch's report on counters by bins, such as those of requests' features: its part of the status, and its messages."""

from dataclasses import dataclass
from typing import Final

from sluice_core.api.v1alpha1.watchstatus import BinShares, DriftStatus, MovedFeature
from sluice_core.kernel.conditions import Fact, shortened
from sluice_core.kernel.reasons import Reason
from sluice_core.watch.binsources import BinSource
from sluice_core.watch.model import Drift, Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge import timestamps
from sluice_judge.stats import bins
from sluice_judge.words import percentage

MOST_MOVED: Final = 6
"""Most features that are written with their bins."""
MOST_NAMED: Final = 3
LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Gist:
    """What causes a write when it changes."""

    noticed: str
    moved: tuple[str, ...]
    more: int
    unseen: str
    learns: bool
    awaited: str


def gist(version: WatchedVersion, watch: Watch) -> Gist | None:
    """None if nothing is counted by bins."""
    if not version.bins:
        return None
    drifts = [(source, watch.drift_of(source.name)) for source in version.bins]
    noticed = [drift.moved.noticed for _, drift in drifts if drift.moved is not None]
    names = tuple(_shown(source, name) for source, _, name, _ in _moved(drifts))
    return Gist(
        timestamps.rfc3339(min(noticed)) if noticed else "",
        names[:MOST_MOVED],
        len(names[MOST_MOVED:]),
        unseen(version, watch),
        all(drift.learns for _, drift in drifts),
        ", ".join(source.title for source, drift in drifts if not (source.reference or drift.reference)),
    )


def gist_of(known: DriftStatus) -> Gist:
    """The gist of a written status."""
    moved = tuple(each.name for each in known.moved)
    return Gist(known.noticed or "", moved, known.more, known.unseen, known.learns, known.awaited)


def unseen(version: WatchedVersion, watch: Watch) -> str:
    """What cannot be seen, and why; or empty."""
    why = [(source, source.problem or watch.drift_of(source.name).unseen) for source in version.bins]
    return "; ".join(f"{source.title} are not watched: {each}" for source, each in why if each)


def written(version: WatchedVersion, watch: Watch) -> DriftStatus | None:
    """None if nothing is counted by bins."""
    said = gist(version, watch)
    if said is None:
        return None
    drifts = [(source, watch.drift_of(source.name)) for source in version.bins]
    return DriftStatus(
        features=sum(len(drift.detectors) for _, drift in drifts),
        learns=said.learns,
        noticed=said.noticed or None,
        moved=[_feature(*each) for each in _moved(drifts)[:MOST_MOVED]],
        more=said.more,
        unseen=said.unseen,
        awaited=said.awaited,
    )


def words(known: DriftStatus) -> str:
    """Which features have moved, how far and since when; or that none has, or why that is unknown."""
    if known.noticed is not None:
        named = [_named(each) for each in known.moved[:MOST_NAMED]]
        more = len(known.moved) - len(named) + known.more
        return f"not as in the reference: {', '.join(named)}" + (f" and {more} more" if more else "")
    return "; ".join(filter(None, (known.unseen, _calm(known), _awaited(known))))


def alone(known: DriftStatus | None, unwatched: str) -> Fact:
    """The condition if no objective is watched and no feature has moved."""
    if known is None:
        return Fact(None, Reason.NOTHING_TO_WATCH, unwatched)
    message = "; ".join(filter(None, (words(known), unwatched)))
    if known.unseen:
        return Fact(None, Reason.WATCH_BLIND, message)
    return Fact(None, Reason.WATCH_LEARNS, message) if known.learns else Fact(True, Reason.STEADY, message)


def _calm(known: DriftStatus) -> str:
    if known.learns:
        return "" if known.unseen or known.awaited else "it is not known yet how much features vary by themselves"
    if known.unseen:
        return ""
    return f"{known.features} feature{' is' if known.features == 1 else 's are'} as in the reference"


def _awaited(known: DriftStatus) -> str:
    return f"what {known.awaited} show on the first day is going to be their reference" if known.awaited else ""


def _named(feature: MovedFeature) -> str:
    return f"{feature.name} since {feature.since}" + (f" (stability index {feature.index})" if feature.index else "")


def _moved(drifts: list[tuple[BinSource, Drift]]) -> list[tuple[BinSource, Drift, str, float]]:
    """What has moved and since when, in the order in which it was noticed."""
    found = [
        (drift.moved.noticed, source, drift, name, since)
        for source, drift in drifts
        if drift.moved is not None
        for name, since in drift.moved.since.items()
    ]
    return [each[1:] for each in sorted(found, key=lambda each: each[0])]


def _feature(source: BinSource, drift: Drift, name: str, since: float) -> MovedFeature:
    """A moved feature; without bins if a restarted operator has not read the reference yet."""
    reference = drift.reference.get(name, {})
    before, now = list(reference.values()), list(drift.detectors[name].shown) if name in drift.detectors else []
    if not reference or len(now) != len(before):
        return MovedFeature(name=_shown(source, name), since=timestamps.rfc3339(since), index="", rows=0)
    return MovedFeature(
        name=_shown(source, name),
        since=timestamps.rfc3339(since),
        index=f"{bins.stability_index(before, now):.2f}",
        rows=round(sum(now)),
        bins=[
            BinShares(name=_short(each), reference=_share(old, sum(before)), now=_share(new, sum(now)))
            for each, old, new in zip(reference, before, now, strict=True)
        ],
    )


def _shown(source: BinSource, name: str) -> str:
    return _short(f"{source.prefix}{name}")


def _share(count: float, whole: float) -> str:
    return percentage(count / whole if whole else 0.0)


def _short(name: str) -> str:
    return shortened(name, LONGEST_NAME)
