"""A release, or one version against itself, from Prometheus as lines that `replay` reads.

A version against itself (A/A) is two halves of its pods, or of its scrapes (`sameversion`). The first hour of a longer
recording has weight 0: dispersion is learnt from it, as before a release.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from sluice_judge.comparing import history, podswings
from sluice_judge.kind import Kind, Recorded
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Answers, Arm, Exposure, Failed, GatewayCounters, Question, Trial, TrialPolicy
from sluice_judge.presets import GatewayPreset
from sluice_judge.replay import beside, increments, learning, lines, sameversion
from sluice_judge.replay.lines import Line
from sluice_judge.samples import columns, inflight, series
from sluice_judge.samples import questions as ask
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Objective
from sluice_judge.state import Learnt

LONGEST_IN_FULL_SECONDS: Final = 6 * 3600
"""Longer windows are thinned out, to spare Prometheus."""
MOST_SCRAPES: Final = 1440
LEARNING_SECONDS: Final = ask.HISTORY_SECONDS
"""At the beginning of an A/A recording that is at least twice as long."""
HALF: Final = 50.0
"""The weight of a version against itself, percent."""


class NothingRecorded(ValueError):
    """Prometheus has nothing to record; the message says why, and what to do."""


def trial_of(
    *,
    namespace: str,
    name: str,
    stable: Arm,
    candidate: Arm,
    objectives: Sequence[Objective],
    preset: GatewayPreset,
    now: float,
    scrape_interval_seconds: float,
    namespace_label: str,
    permille: int = 0,
) -> Trial:
    """A trial for recording only.

    namespace_label: from the operator's configuration. permille: the candidate's weight, if it was constant.
    """
    return Trial(
        now=now,
        namespace=namespace,
        name=name,
        stable=stable,
        candidate=candidate,
        policy=TrialPolicy(tuple(objectives), 0.01, 0.05, math.inf, InitialDispersion()),
        exposure=Exposure(1, permille, route_generation=0, route_programmed=True),
        gateway=GatewayCounters(preset, scrape_interval_seconds, namespace_label=namespace_label),
    )


def questions(trial: Trial, *, seconds: int) -> tuple[Question, ...]:
    """The counters of both arms over the last `seconds`."""
    step = _step_seconds(trial, seconds)
    asked = ask.asked(dataclasses.replace(trial, baseline=None), lambda _: seconds)
    both = tuple(dataclasses.replace(question, step_seconds=step) for question in asked)
    if _itself(trial):
        return both
    own = podswings.recording_questions(trial, seconds, step)
    by_baseline = beside.recording_questions(trial, seconds, step)
    return (*both, *by_baseline, *own, *inflight.recording_questions(trial, seconds, step))


def recorded(
    trial: Trial,
    answers: Answers,
    *,
    seconds: int,
    weights: Sequence[tuple[float, int]] = (),
    probes: Sequence[tuple[float, int | None]] = (),
    until: float = math.inf,
    learnt: Learnt | None = None,
) -> Iterator[str]:
    """The lines, oldest first. Raises NothingRecorded.

    seconds: as in `questions`. weights: (time, permille) of each change of the candidate's weight, oldest first; empty:
    always `trial.permille`. probes: (time, stable's permille) of each one's begin, and (time, None) of its end. until:
    later samples are left out. learnt: at the judge's first look. The same revision twice: A/A.
    """
    for key, answer in answers.items():
        if isinstance(answer, Failed) and not (podswings.optional(key) or inflight.optional(key)):
            raise NothingRecorded(f"Prometheus does not answer: {answer.message}")
    paced = _step_seconds(trial, seconds) or trial.gateway.scrape_interval_seconds
    shown = history.shown(dataclasses.replace(trial, baseline=None), answers, seconds, paced)
    by_baseline = history.shown(trial, beside.answers(answers), seconds, paced) if trial.baseline is not None else {}
    begun = trial.now - seconds + (LEARNING_SECONDS if seconds >= 2 * LEARNING_SECONDS else 0.0)
    step = _step_seconds(trial, seconds) or math.ceil(trial.gateway.scrape_interval_seconds)
    every = (
        line
        for kind in kinds_of(trial)
        for line in beside.added(
            kind,
            tuple(
                _lines(trial, kind, shown, weights, podswings.by_pod(trial, kind, answers, seconds, step), begun=begun)
            ),
            history.increments(by_baseline, kind.feed) if kind.traits.by_baseline else (),
        )
    )
    found = [line for line in every if line.time <= until]
    if not found:
        raise NothingRecorded(
            f"Prometheus holds no sample of {trial.stable.revision} and {trial.candidate.revision} in the last "
            f"{seconds} s; check that it scrapes the gateway, and check its retention time"
        )
    begin = min(line.time for line in found)
    if not _itself(trial):
        yield from _surroundings(trial, answers, begin, until)
        yield from _known(trial, learnt, begin)
    settled = trial.gateway.preset.settle_seconds
    stops = ((time, lines.WHOLE if permille is None else lines.WHOLE - permille / 10) for time, permille in probes)
    for time, percent in sorted((*((time, permille / 10) for time, permille in weights), *stops)):
        if begin <= time < until:
            yield lines.weight_wire(lines.WeightLine(round(time + settled - begin, 3), percent))
    for time, permille in probes:
        if time < until:
            yield lines.probe_wire(
                lines.ProbeLine(0, round(time - begin, 3), permille is not None, (permille or 0) / 10)
            )
    for line in sorted(found, key=lambda line: line.time):
        yield lines.wire(dataclasses.replace(line, time=round(line.time - begin, 3)))


def _surroundings(trial: Trial, answers: Answers, begin: float, until: float) -> Iterator[str]:
    """What the judge knows beside the counters."""
    if not trial.policy.asks:
        yield lines.bake_wire(asks=False)
    if trial.gateway.answer_seconds:
        yield lines.route_wire(trial.gateway.answer_seconds)
    if trial.stable.ready and trial.candidate.ready:
        stable, candidate, baseline = (
            tuple(round(ready - begin, 3) for ready in (arm.ready if arm is not None else ()))
            for arm in (trial.stable, trial.candidate, trial.baseline)
        )
        caches = trial.servers.own.prefix_cache or trial.servers.candidate_own.prefix_cache
        fill_seconds = trial.policy.cache_fill_seconds if caches else None
        yield lines.pods_wire(lines.PodsLine(stable, candidate, trial.policy.new_pod_seconds, baseline, fill_seconds))
    for time, ours, others in inflight.recorded(trial, answers):
        if begin <= time <= until:
            yield lines.in_flight_wire(lines.InFlightLine(round(time - begin, 3), others, ours))


def _known(trial: Trial, learnt: Learnt | None, begin: float) -> Iterator[str]:
    """What the judge had learnt."""
    for objective in trial.policy.objectives:
        if learnt is not None and objective.name in learnt.objectives:
            depends = learning.under(objective, trial.policy.initial_dispersion)
            found = lines.LearntLine(0, learnt.time, objective.name, depends, learnt.objectives[objective.name])
            yield learning.wire(found, begin)


def unseen(trial: Trial, answers: Answers, *, seconds: int) -> dict[str, str]:
    """What an A/A recording cannot show, by objective."""
    shown = history.shown(
        trial, answers, seconds, _step_seconds(trial, seconds) or trial.gateway.scrape_interval_seconds
    )
    every = {kind.name: sameversion.parted(history.increments(shown, kind.feed)) for kind in kinds_of(trial)}
    return {name: sameversion.UNSEEN for name, same in every.items() if same.ticks and not same.pods}


def _itself(trial: Trial) -> bool:
    return trial.stable.revision == trial.candidate.revision


def _step_seconds(trial: Trial, seconds: int) -> int | None:
    if seconds <= LONGEST_IN_FULL_SECONDS:
        return None
    return max(math.ceil(trial.gateway.scrape_interval_seconds), math.ceil(seconds / MOST_SCRAPES))


def _lines(
    trial: Trial,
    kind: Kind,
    shown: history.Shown,
    weights: Sequence[tuple[float, int]],
    own_ticks: Sequence[series.Tick],
    *,
    begun: float,
) -> Iterator[Line]:
    """The lines of one objective. begun: since when an A/A recording has a weight."""
    ticks = history.increments(shown, kind.feed)
    if _itself(trial):
        yield from lines_of(
            kind, sameversion.parted(ticks, since=begun).ticks, lambda time: HALF if time >= begun else 0.0
        )
        return

    def percent(time: float) -> float:
        weight = next((permille for since, permille in reversed(weights) if since <= time), None)
        return (trial.exposure.permille if not weights else weight or 0) / 10

    yield from _with_halves(kind, lines_of(kind, ticks, percent), own_ticks)


def _with_halves(kind: Kind, found: Iterator[Line], ticks: Sequence[series.Tick]) -> Iterator[Line]:
    """The lines, with two halves of the stable version's pods if only their own counters distinguish these.

    A line has their counts up to then, which are a scrape late for both halves.
    """
    same = sameversion.parted(ticks)
    halves: tuple[dict[str, float], dict[str, float]] = ({}, {})
    sides = columns.STABLE, columns.CANDIDATE
    for line, new in increments.until(found, same.ticks):
        for tick in new:
            for half, side in zip(halves, sides, strict=True):
                increments.add(half, columns.over_pods(columns.of_arm(tick.seen, side)))
        if same.pods < sameversion.SMALLEST_PODS or line.stable.pods:
            yield line
            continue
        counted = [_half(kind, half, same.pods, first=half is halves[0]) for half in halves]
        yield dataclasses.replace(line, stable=dataclasses.replace(line.stable, halves=(counted[0], counted[1])))


def _half(kind: Kind, counted: Mapping[str, float], pods: int, *, first: bool) -> lines.Counters:
    many = (pods + first) // 2
    if kind.recorded is Recorded.BUCKETS:
        return dataclasses.replace(lines.counters(kind, counted), pod_count=many)
    requests, events = (counted.get(column, 0.0) for column in (columns.TOTAL, columns.EVENTS))
    return lines.Counters(max(requests, events), events, pod_count=many)


def lines_of(kind: Kind, ticks: Sequence[series.Tick], weight: Callable[[float], float]) -> Iterator[Line]:
    """Counters that begin at 0 with the first tick. weight: percent by time."""
    stable: dict[str, float] = {}
    candidate: dict[str, float] = {}
    for tick in ticks:
        increments.add(stable, columns.of_arm(tick.seen, columns.STABLE))
        increments.add(candidate, columns.of_arm(tick.seen, columns.CANDIDATE))
        yield _line(kind, tick.time, weight(tick.time), stable, candidate)


def _line(kind: Kind, time: float, weight: float, stable: Mapping[str, float], candidate: Mapping[str, float]) -> Line:
    return Line(
        number=0,
        time=time,
        objective=kind.name,
        weight=weight,
        recorded=kind.recorded,
        stable=lines.counters(kind, stable),
        candidate=lines.counters(kind, candidate),
    )
