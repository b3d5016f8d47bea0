"""The own swings of the stable version's pods, from counters that distinguish them (`stats.swings`).

    last hour, one sample a minute        bursts, and current swings
    last day, one sample in five          swings of 5 minutes to an hour

Queried before the first weight, and then every quarter of an hour: the result applies to later scrapes, and only makes
evidence weaker. Nothing has to wait for these answers.
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sluice_judge.comparing import history
from sluice_judge.kind import Kind, OwnSeries
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Answers, Question, Series, Trial
from sluice_judge.samples import columns, scraped, series
from sluice_judge.state import ObjectiveState, State
from sluice_judge.stats import swings

LEARN_SECONDS: Final = 900.0
MOST_SERIES: Final = 1000
"""Series beyond this number are not read."""
MOST_PARTS: Final = 8
"""Pods beyond this number are counted together."""
SURE: Final = 2.0
"""What the last hour alone shows counts only beyond this multiple of what chance produces."""
_KEY: Final = "own/"
_RECORDING: Final = "own/recording/"


@dataclass(frozen=True, slots=True)
class _Window:
    key: str
    seconds: int
    step_seconds: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """The counts, tick by tick, by parts: pods, or several of them together."""

    ticks: tuple[Mapping[str, columns.Amounts], ...]
    pods: Mapping[str, int]
    """The number of pods of each part."""


_Counts: TypeAlias = Mapping[str, columns.Amounts]
"""The counts by part."""
_Parts: TypeAlias = Mapping[str, swings.Part]
"""The parts of one tick."""

HOUR: Final = _Window("hour", 3600, 60)
DAY: Final = _Window("day", 86_400, 300)


def due(trial: Trial, state: State) -> bool:
    """Whether it is due to be queried again."""
    return state.learnt is None or not 0 <= trial.now - state.learnt < LEARN_SECONDS


def optional(key: str) -> bool:
    """Whether it is one of these questions, whose answer nothing has to wait for."""
    return key.startswith(_KEY)


def questions(trial: Trial) -> Iterator[Question]:
    """The stable version's counters by pod; none if there are none."""
    if (trial.stable.pods or 0) < swings.SMALLEST_PARTS:
        return
    for window in (HOUR, DAY):
        for wanted in _series(trial).values():
            yield Question(_key(window, wanted), wanted.selector, window.seconds, window.step_seconds)


def learnt(trial: Trial, state: State, answers: Answers) -> State:
    """The state with the swings in the answers; unchanged if nothing was asked."""
    asked = tuple(questions(trial)) if due(trial, state) else ()
    if not any(question.key in answers for question in asked):
        return state
    each = {
        kind.name: known(trial, kind, state.objectives[kind.name], answers)
        for kind in kinds_of(trial)
        if kind.name in state.objectives
    }
    return dataclasses.replace(state, objectives={**state.objectives, **each}, learnt=trial.now)


def known(trial: Trial, kind: Kind, state: ObjectiveState, answers: Answers) -> ObjectiveState:
    """An objective's state with the swings in the answers."""
    wanted = kind.own.series(trial)
    if not wanted:
        return state
    return _objective(kind, state, *(_seen(trial, wanted, window, answers) for window in (HOUR, DAY)))


def from_parts(
    kind: Kind, state: ObjectiveState, ticks: Sequence[tuple[float, _Counts]], pods: Mapping[str, int]
) -> ObjectiveState:
    """The same from recorded increments by part: (time, by part). pods: of each part that has more than one."""
    names = {name for _, parts in ticks for name in parts}
    if any(number > 1 for number in pods.values()):
        part_of, many = {name: name for name in names}, {name: pods.get(name, 1) for name in names}
    else:
        part_of, many = _split(names)
    minutes: defaultdict[int, dict[str, dict[str, float]]] = defaultdict(dict)
    for time, parts in ticks:
        for name, amounts in parts.items():
            so_far = minutes[int(time // HOUR.step_seconds)].setdefault(part_of[name], {})
            for what, amount in amounts.items():
                so_far[what] = so_far.get(what, 0.0) + amount
    return _objective(kind, state, _Seen(tuple(minutes[minute] for minute in sorted(minutes)), many), _Seen((), {}))


def by_pod(
    trial: Trial, kind: Kind, answers: Answers, window_seconds: int, step_seconds: int
) -> tuple[series.Tick, ...]:
    """The stable version's own counts by pod; nothing if one answer is not known. answers: to `recording_questions`."""
    found = _found(answers, {_RECORDING + each.key: each for each in kind.own.series(trial)})
    tracks = _tracks(found, lambda pod: pod)
    return history.ticks_of(trial, series.samples_of(tracks, ()), window_seconds, step_seconds)


def recording_questions(trial: Trial, window_seconds: int, step_seconds: int | None) -> Iterator[Question]:
    """The stable version's counters by pod over a window."""
    kinds = (kind for kind in kinds_of(trial) if kind.is_counted_by_gateway)
    for wanted in {each.key: each for kind in kinds for each in kind.own.series(trial)}.values():
        yield Question(_RECORDING + wanted.key, wanted.selector, window_seconds, step_seconds)


def pods(trial: Trial) -> tuple[int, int]:
    """The number of pods of the candidate, and of the stable version; at least one of each."""
    return max(1, trial.candidate.pods or 1), max(1, trial.stable.pods or 1)


def unseen(trial: Trial, kind: Kind, state: ObjectiveState) -> str:
    """Why the swings of single pods cannot be seen, and what to do; empty if they can."""
    if "" in state.own or trial.stable.pods is None:
        return ""
    if trial.stable.pods < swings.SMALLEST_PARTS:
        return f"own swings cannot be seen: {trial.stable.revision} has no second pod to compare with"
    if not kind.own.series(trial):
        return f"own swings cannot be seen: {trial.servers.own.lacks or 'nobody counts by pod'}"
    return "own swings cannot be seen yet: the stable version's pods have counted too little"


def _objective(kind: Kind, state: ObjectiveState, hour: _Seen, day: _Seen) -> ObjectiveState:
    own = dict(state.own)
    names = {what for tick in (*hour.ticks, *day.ticks) for amounts in tick.values() for what in amounts}
    for key in ("", *state.boundaries):
        boundary = kind.own.boundary(key or state.boundary, names)
        found = _own(_counted(kind, boundary, hour), _counted(kind, boundary, day))
        if found is not None:
            own[key] = _grown(own.get(key), found)
    bursts = own[""].bursts if "" in own and "" not in state.own else state.dispersion
    return dataclasses.replace(state, own=own, dispersion=bursts)


def _grown(before: swings.Own | None, found: swings.Own) -> swings.Own:
    """The first figures of single pods replace the guess without them; after that they only grow."""
    if before is None or before.share <= 0:
        return found
    return swings.Own(max(before.bursts, found.bursts), max(before.seconds, found.seconds), found.share)


def _own(hour: Sequence[_Parts], day: Sequence[_Parts]) -> swings.Own | None:
    """None if too little was counted."""
    shortest = min(swings.LENGTHS)
    long = _blocks(day, shortest // DAY.step_seconds) or _blocks(hour, shortest // HOUR.step_seconds)
    bursts = swings.bursts_apart(_blocks(hour, swings.BURST_SECONDS // HOUR.step_seconds), long)
    if bursts is None:
        bursts = swings.bursts(_blocks(day, 1))
    if bursts is None:
        return None
    longest = 0.0
    for length, counts in swings.LENGTHS.items():
        over_a_day = swings.variance(_blocks(day, length // DAY.step_seconds), bursts=bursts)
        margin = 0.0 if over_a_day is None else -SURE
        lately = swings.variance(_blocks(hour, length // HOUR.step_seconds), bursts=bursts, margin=margin)
        longest = max(longest, counts * length * max(over_a_day or 0.0, lately or 0.0))
    every = [part for parts in (day or hour) for part in parts.values()]
    requests, events = (sum(amounts) for amounts in zip(*((part.requests, part.events) for part in every), strict=True))
    return swings.Own(*(float(f"{value:.4g}") for value in (bursts, longest, (events + 0.5) / (requests + 1))))


def _counted(kind: Kind, boundary: str | None, seen: _Seen) -> list[_Parts]:
    return [
        {part: swings.Part(*kind.own.counted(amounts, boundary), seen.pods[part]) for part, amounts in tick.items()}
        for tick in seen.ticks
    ]


def _blocks(ticks: Sequence[_Parts], size: int) -> list[swings.Block]:
    """Whole blocks of `size` ticks, each with the parts that were counted all through it."""
    blocks: list[swings.Block] = []
    for first in range(0, len(ticks) - size + 1, size):
        inside = ticks[first : first + size]
        names = sorted(set(inside[0]).intersection(*inside[1:]))
        blocks.append([_together([tick[name] for tick in inside]) for name in names])
    return blocks


def _together(parts: Sequence[swings.Part]) -> swings.Part:
    """One part over several ticks."""
    return swings.Part(sum(part.requests for part in parts), sum(part.events for part in parts), parts[0].pods)


def _seen(trial: Trial, wanted: Sequence[OwnSeries], window: _Window, answers: Answers) -> _Seen:
    """Nothing if an answer is not known, or has too many series."""
    found = _found(answers, {_key(window, each): each for each in wanted})
    if len(found) > MOST_SERIES:
        return _Seen((), {})
    part_of, many = _split({one.labels.get("pod", "") for _, one in found} - {""})
    tracks = _tracks(found, part_of.__getitem__)
    ticks = history.ticks_of(trial, series.samples_of(tracks, ()), window.seconds, window.step_seconds)
    return _Seen(tuple(columns.by_pod(columns.of_arm(tick.seen, columns.STABLE)) for tick in ticks), many)


def _found(answers: Answers, wanted: Mapping[str, OwnSeries]) -> list[tuple[OwnSeries, Series]]:
    """The answers to these questions, each with its key; nothing if one of them is not known."""
    if not all(scraped.is_known(answers, key) for key in wanted):
        return []
    return [(each, one) for key, each in wanted.items() for one in scraped.series_of(answers, key)]


def _tracks(found: Sequence[tuple[OwnSeries, Series]], part_of: Callable[[str], str]) -> list[series.Track]:
    """The pods' counts, by the part that each of them belongs to."""
    return [
        series.Track((columns.STABLE, columns.of_pod(what, part_of(pod))), scraped.target(one.labels), one.points)
        for each, one in found
        if (pod := one.labels.get("pod", "")) and (what := _column(each, one))
    ]


def _split(names: Collection[str]) -> tuple[dict[str, str], dict[str, int]]:
    """The part of each pod, and the number of pods in each part."""
    part_of = {pod: f"part{index % MOST_PARTS}" for index, pod in enumerate(sorted(names))}
    return part_of, dict(Counter(part_of.values()))


def _column(wanted: OwnSeries, found: Series) -> str:
    return wanted.what or columns.boundary_millis(found.labels.get("le", ""), wanted.unit_millis)


def _series(trial: Trial) -> dict[str, OwnSeries]:
    """The series of all objectives, each once."""
    return {each.key: each for kind in kinds_of(trial) for each in kind.own.series(trial)}


def _key(window: _Window, wanted: OwnSeries) -> str:
    return f"{_KEY}{window.key}/{wanted.key}"
