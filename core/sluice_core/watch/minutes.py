"""The gateway's counts of many models in one whole minute, in as few questions as possible.

    digits  requests{cluster=~"a_80"} ─┐                                                        ┌─> digits: 200: 2950, 503: 50
    wine    requests{cluster=~"b_80"} ─┴─> sum by (cluster, code) (increase(requests{cluster=~ ─┴─> wine:   200: 12
                                           "a_80|b_80"}[75s]))       x 60/75

The window is one scrape interval longer than the minute: then each interval between two samples is in exactly one
minute, and the increase, which is extrapolated to the whole window, is scaled back to what was counted. For the error
see docs/decisions/watch.md.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sluice_core.watch.subject import WatchedVersion
from sluice_judge.model import Answer, Answered, Failed, Question
from sluice_judge.samples import gatewayseries, joined, selectors, unseen
from sluice_judge.samples.columns import Amounts
from sluice_judge.samples.gatewayseries import LATENCY, REQUESTS, GatewaySource
from sluice_judge.samples.joined import Joined

MINUTE: Final = 60
MOST: Final = 120
"""Most models in one question: an answer has a few numbers of each."""

Place: TypeAlias = tuple[str, str]
"""Namespace and name of a model."""


@dataclass(frozen=True, slots=True)
class WholeMinute:
    """The counts of one model."""

    amounts: Mapping[str, Amounts]
    """By feed: the gateway's requests, and its response times."""
    silent: bool = False
    """Whether the gateway has no counter of its requests: it has had none yet, or the gateway does not know it."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Nothing could be seen."""

    why: str
    """What is missing, and what to do."""


Minute: TypeAlias = WholeMinute | Unseen


@dataclass(frozen=True, slots=True)
class _Asker:
    place: Place
    feed: str
    source: GatewaySource | None
    """None: only whether there is anything."""
    absent: str = ""
    """What a missing counter means; empty: no requests."""


@dataclass(frozen=True, slots=True)
class Inquest:
    """All questions about one minute, and the models that each is for."""

    questions: tuple[Joined, ...]
    askers: Mapping[Question, tuple[_Asker, ...]]
    versions: Mapping[Place, WatchedVersion]

    def read(self, answers: Mapping[Question, Answer]) -> dict[Place, Minute]:
        """The counts of each model. answers: to every part of the questions."""
        counts: dict[Place, dict[str, dict[str, float]]] = {place: {} for place in self.versions}
        missing: dict[Place, str] = {}
        for part, askers in self.askers.items():
            for asker in askers:
                if why := _missing(part, asker, answers[part]):
                    missing.setdefault(asker.place, why)
                else:
                    self._add(counts[asker.place].setdefault(asker.feed, {}), asker, answers[part])
        return {
            place: Unseen(missing[place]) if place in missing else WholeMinute(found, silent=not found[REQUESTS])
            for place, found in counts.items()
        }

    def _add(self, amounts: dict[str, float], asker: _Asker, shown: Answer) -> None:
        version, source = self.versions[asker.place], asker.source
        if source is None or not isinstance(shown, Answered):
            return
        scale = MINUTE / _window(version)
        for one in shown.series:
            if not selectors.not_confused(one.labels, version.preset, version.model, version.arm):
                continue
            if column := source.column(version.preset, one.labels):
                amounts[column] = amounts.get(column, 0.0) + max(0.0, one.points[-1][1]) * scale


def inquest(versions: Iterable[WatchedVersion], silent: Collection[Place]) -> Inquest:
    """The questions about these models. silent: those without any counter in the minute before."""
    askers: defaultdict[Question, list[_Asker]] = defaultdict(list)
    known = {version.place: version for version in versions if version.kinds}
    for version in known.values():
        for question, asker in _questions(version, in_doubt=version.place in silent):
            askers[question].append(asker)
    return Inquest(
        joined.joined(askers, most=MOST), {question: tuple(found) for question, found in askers.items()}, known
    )


def _questions(version: WatchedVersion, *, in_doubt: bool) -> Iterator[tuple[Question, _Asker]]:
    preset, calls = version.preset, version.arm.grpc_port is not None
    sources = {REQUESTS: gatewayseries.of_users(preset, calls=calls)}
    if any(kind.feed == LATENCY for kind in version.kinds):
        sources[LATENCY] = gatewayseries.histogram_of_users(preset, calls=calls)
    for feed, own in sources.items():
        for source in own:
            yield _question(version, source.selector, source.label), _Asker(version.place, feed, source)
    absent = (
        f"fewer than two samples of {{selector}} in {_window(version)} s: check that Prometheus scrapes the gateway, and as "
        "often as scrapeIntervalSeconds of the policy says"
    )
    yield _presence(version, preset.freshness, absent)
    if in_doubt and preset.backend:
        yield _presence(
            version, preset.backend, "no series {selector}: the gateway that is scraped does not know the model"
        )


def never_seen(version: WatchedVersion) -> str:
    """Why a silent minute shows nothing, if a gateway has no series of a model before its first request; otherwise
    empty.
    """
    if version.preset.backend:
        return ""
    (source, *_) = gatewayseries.of_users(version.preset, calls=version.arm.grpc_port is not None)
    return unseen.never_asked(version.preset.name, _question(version, source.selector).selector)


def _presence(version: WatchedVersion, selector: str, absent: str) -> tuple[Question, _Asker]:
    question = _question(version, selector)
    return question, _Asker(version.place, REQUESTS, None, absent.replace("{selector}", question.selector))


def _question(version: WatchedVersion, selector: str, label: str = "") -> Question:
    filled = selectors.filled_for(version.namespace, version.model, selector, [version.arm])
    plain = Question("", filled, _window(version), preset=True)
    by = dict.fromkeys(each for each in (*joined.labels_of(plain), label) if each)
    return replace(plain, summed_by=tuple(by))


def _window(version: WatchedVersion) -> int:
    return MINUTE + version.scrape_interval_seconds


def unreadable(question: Question) -> str:
    """Why an answer with invalid values shows nothing, for a person."""
    return f"every value of a series of {question.selector} is NaN"


def _missing(question: Question, asker: _Asker, shown: Answer) -> str:
    """Why the model's minute cannot be seen in this answer, or empty."""
    if isinstance(shown, Failed):
        return shown.message
    if shown.unreadable:
        return unreadable(question)
    return "" if shown.series else asker.absent
