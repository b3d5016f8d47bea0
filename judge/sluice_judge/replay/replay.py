"""The judge over recorded counters: its result after every scrape, under any policy.

    lines ──> increments ──> the accumulators and the report of the judge ──> verdict

The first line of an objective is the baseline. Lines with weight 0 are the history that dispersion is learnt from; an
interval in which the weight changed is no evidence; weight 100 is the bake. A release that is rolled back has ended:
the verdict stays, while the evidence continues.

Exceeding the bake's limit begins a probe, as in the operator: the verdict is `Probe`. Only the file knows whether
requests went back then. While they did, the comparison continues and the bake's clock stands still.
"""

import dataclasses
import itertools
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sluice_judge import accumulate, judge, processes, report, weighing, words
from sluice_judge.grounds import Ground
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.look import LookRules
from sluice_judge.model import Trial
from sluice_judge.replay import gates, increments, learning, lines
from sluice_judge.replay import trial as trials
from sluice_judge.replay.course import Course
from sluice_judge.replay.lines import CountsFile, Line, ProbeLine, Unreadable
from sluice_judge.replay.reading import read
from sluice_judge.samples import changes, gatewayseries, inflight, series
from sluice_judge.schema.policy import JudgedPolicy
from sluice_judge.schema.verdict import Verdict
from sluice_judge.state import ObjectiveState, State

__all__ = ["CountsFile", "Evidence", "Line", "Scrape", "Unreadable", "read", "replay"]

_FILE: Final = "file"


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one objective, as log10."""

    rollback: float
    advance: float


@dataclasses.dataclass(frozen=True, slots=True)
class Scrape:
    """The judge's result after one scrape."""

    time: float
    weight: float
    """Percent."""
    verdict: Verdict
    reason: Ground
    message: str
    evidence: Mapping[str, Evidence]
    against: float = 0.0
    """Evidence against the candidate over all objectives, as log10."""
    dispersions: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """phi of each objective."""
    proven: bool = False
    """Whether everything that must be proven now is."""

    def to_wire(self) -> dict[str, object]:
        """The scrape in a form for machines."""
        return {
            "time": self.time,
            "verdict": str(self.verdict),
            "reason": str(self.reason),
            "evidence": {name: dataclasses.asdict(found) for name, found in self.evidence.items()},
        }


def replay(file: CountsFile, policy: JudgedPolicy) -> Iterator[Scrape]:
    """One verdict for each time of the lines. Raises Unreadable if these do not fit."""
    known = {objective.name: kind_of(objective) for objective in policy.objectives}
    ordered = sorted((_fitting(line, known) for line in file.lines), key=lambda line: line.time)
    _without_doubles(ordered)
    course, excludes, planned = None, trials.excludes(policy, ordered), trials.planned_pods(file, ordered)
    with_baseline = frozenset(round(line.weight * 10) for line in ordered if line.baseline is not None)
    looked = min((line.time for line in file.learnt.values()), default=math.inf)
    first = next((line.time for line in ordered if line.weight > 0 or line.time > looked), math.inf)
    before = [line for line in ordered if line.time < first]
    for time, group in itertools.groupby(ordered, key=lambda line: line.time):
        probe = next((probe for probe in reversed(file.probes) if probe.time <= time), None)
        probe = probe if probe is not None and probe.begins else None
        scrape = tuple(group)
        if probe is not None:
            scrape = tuple(dataclasses.replace(line, weight=100 - probe.share) for line in scrape)
        weight = lines.weight(scrape)
        course = course or _begun(time, weight, excludes)
        if weight != course.weight:
            course = dataclasses.replace(course, changed=trials.changed(course, file.weights, weight, time))
        course = _probed(course, probe, time=time, weight=weight)
        if weight != course.weight:
            course = _at_new_weight(course, time=course.changed, weight=weight)
        trial = trials.at(policy, course, file, planned, time)
        if any(line.baseline is not None for line in scrape):
            trial = trials.beside(trial, file, with_baseline)
        if time >= first and not course.learnt:
            course = _learnt(course, known, before or scrape, trial, file)
        course = _moved(course, known, scrape, trial, trials.gauges(file, time))
        judged = report.judgement(trial, course.state, "", {})
        verdict, reason, message = course.over or gates.verdict(policy, course, judged, time)
        course = dataclasses.replace(course, idle=course.idle or reason is Ground.IDLE)
        if verdict is Verdict.ROLL_BACK:
            course = dataclasses.replace(course, over=(verdict, reason, message))
        yield Scrape(
            time,
            weight,
            verdict,
            reason,
            message,
            _evidence(known, course.state),
            round(words.log10(judged.accusation.rollback_log), 6),
            {name: _dispersion(course, name) for name in course.state.objectives},
            judged.proven,
        )


def _without_doubles(ordered: Iterable[Line]) -> None:
    """Raises Unreadable where an objective has two lines of one time."""
    seen: dict[str, Line] = {}
    for line in ordered:
        before = seen.get(line.objective)
        if before is not None and before.time == line.time:
            problem = f"{line.time:g}, and so has line {before.number} of {line.objective}: merge them"
            raise Unreadable(line.number, "time", problem)
        seen[line.objective] = line


def _fitting(line: Line, known: Mapping[str, Kind]) -> Line:
    """The line, without a baseline that its objective is not compared with. Raises Unreadable."""
    kind = known.get(line.objective)
    if kind is None:
        names = ", ".join(known) or "none"
        raise Unreadable(
            line.number, "objective", f"{reprlib.repr(line.objective)} is not in the policy, which has {names}"
        )
    if line.recorded is not kind.recorded:
        problem = f"has {line.recorded}, but {line.objective} of the policy needs {kind.recorded}"
        raise Unreadable(line.number, "stable", problem)
    if line.baseline is None or not kind.traits.by_baseline:
        return dataclasses.replace(line, baseline=None)
    if not 0 < 2 * line.weight <= lines.WHOLE:
        problem = f"none at weight {line.weight:g}: it has as many requests as the candidate, so at most half of them"
        raise Unreadable(line.number, "baseline", problem)
    return line


def _probed(course: Course, probe: ProbeLine | None, *, time: float, weight: float) -> Course:
    """The course as a probe begins, continues or ends: as with steps, but the time of the bake continues."""
    if probe is None and course.probe is None:
        return course
    if probe is not None and course.probe is None and not course.state.baking:
        raise Unreadable(probe.number, "event", "a probe belongs to the bake, at weight 100")
    stood = course.probed_seconds
    if course.probe is not None:
        last = max((line.time for line in course.previous.values()), default=time)
        stood += time - max(last, course.probe.time)
    course = dataclasses.replace(course, probe=probe, probed_seconds=stood)
    return course if weight == course.weight else _at_new_weight(course, time=course.step_begun, weight=weight)


def _begun(time: float, weight: float, excludes: Mapping[int, float]) -> Course:
    new = State(time, 1, 1, time, turn=int(weight > 0), baking=weight >= 100, active=time, stable_ever=True)
    return Course(new, {}, weight, 1, False, None, time, time, excludes=excludes)


def _learnt(
    course: Course, known: Mapping[str, Kind], before: Sequence[Line], trial: Trial, file: CountsFile
) -> Course:
    """The course after the judge's first look. before: the lines that it saw."""
    alone = dataclasses.replace(trial, now=course.changed, baseline=None)
    initial = trial.policy.initial_dispersion
    found = learning.learnt(tuple(known.values()), file.learnt, before, initial=initial, asks=file.asks)
    share = course.excludes.get(course.permille)
    objectives = {name: accumulate.excluding(known[name], state, share) for name, state in found.items()}
    state = dataclasses.replace(changes.noted(alone, course.state), objectives=objectives)
    return dataclasses.replace(course, learnt=True, state=state)


def _moved(
    course: Course,
    known: Mapping[str, Kind],
    scrape: Sequence[Line],
    trial: Trial,
    gauges: inflight.Gauges,
) -> Course:
    time = trial.now
    if course.begun is None and course.weight > 0:
        course = dataclasses.replace(course, begun=course.changed)
    noted = changes.noted(dataclasses.replace(trial, now=course.changed), course.state)
    course = dataclasses.replace(course, state=noted)
    seen = _candidate_requests(course)
    in_flight, state = inflight.by_gauges(trial, course.state, gauges, (series.Tick(time, {}, None),))
    course = dataclasses.replace(course, state=state)
    for line in scrape:
        course = _observed(course, known[line.objective], line, trial, in_flight)
    feed = series.Feed(_FILE, time, {_FILE: time})
    scrapes = course.state.scrapes + (_candidate_requests(course) > seen)
    return dataclasses.replace(
        course, state=dataclasses.replace(course.state, scrapes=scrapes, feeds={gatewayseries.REQUESTS: feed})
    )


def _candidate_requests(course: Course) -> float:
    """The candidate's requests in the evidence of this step, over all objectives."""
    return math.fsum(state.step.candidate_requests for state in course.state.objectives.values())


def _at_new_weight(course: Course, *, time: float, weight: float) -> Course:
    """The course at a new weight; the judge notes it. time: when the step began."""
    return dataclasses.replace(course, weight=weight, step=course.step + 1, step_begun=time)


def _dispersion(course: Course, name: str) -> float:
    """phi of a comparison at the requests of this step; before there are any, without the effect of swings."""
    state = course.state.objectives[name]
    if state.step_start is None or state.step_end is None or state.step_end <= state.step_start:
        return state.dispersion
    rate = (state.step.candidate_requests + state.step.stable_requests) / (state.step_end - state.step_start)
    return accumulate.expected_dispersion(state, state.step.candidate_share, rate, course.pods.get(name, (1, 1)))


def _observed(course: Course, kind: Kind, line: Line, trial: Trial, in_flight: inflight.InFlight) -> Course:
    """The course after one line; the first of an objective is its baseline."""
    previous = course.previous.get(line.objective)
    known = dataclasses.replace(line, baseline=line.baseline or (previous.baseline if previous is not None else None))
    course = dataclasses.replace(course, previous={**course.previous, line.objective: known})
    if previous is None:
        return course
    stable = line.stable, previous.stable
    if line.baseline is not None:
        stable = line.baseline, previous.baseline or line.baseline
    grown = increments.of_arms(kind, stable=stable, candidate=(line.candidate, previous.candidate))
    fence = course.state.fence
    steady = line.weight > 0 and fence is not None and previous.time >= fence
    tick = series.Tick(line.time, grown, grown if steady and grown else None)
    if not course.learnt:
        return course
    rules = judge.look_rules(trial, course.state, kind, in_flight)
    pods = increments.pods(line) if trial.stable.pods is None else rules.pods
    rules = dataclasses.replace(rules, interval_seconds=line.time - previous.time, pods=pods)
    state = _judged(course.state, kind, line, tick, rules)
    return dataclasses.replace(course, pods={**course.pods, line.objective: pods}, state=state)


def _judged(state: State, kind: Kind, line: Line, tick: series.Tick, rules: LookRules) -> State:
    sharing = sum(one.boundary is not None for one in state.objectives.values()) + 1
    stood = state.objectives.get(kind.name, ObjectiveState())
    known = accumulate.with_boundary(kind, stood, learning.samples(kind, [line]), sharing=sharing)
    after = accumulate.observe(kind, known, (tick,), rules)
    seen = weighing.counts(kind, tick.seen, after.boundary)
    active = seen.candidate_requests + seen.stable_requests > 0
    return dataclasses.replace(
        state,
        active=tick.time if active else state.active,
        objectives={**state.objectives, kind.name: after},
    )


def _evidence(known: Mapping[str, Kind], state: State) -> dict[str, Evidence]:
    found = {}
    for name, kind in known.items():
        stood = state.objectives.get(name, ObjectiveState())
        against, advance = processes.evidence_of(processes.rules(kind, stood), stood)
        found[name] = Evidence(round(words.log10(against.rollback), 6), round(words.log10(advance), 6))
    return found
