"""The judge over recorded counters: its result after every scrape, under any policy.

    lines ──> increments ──> the accumulators and the report of the judge ──> verdict

The first line of an objective is the baseline. Lines with weight 0 are the history that dispersion is learnt from; an
interval in which the weight changed is no evidence; weight 100 is the bake. A release that is rolled back has ended:
the verdict stays, while the evidence continues.

Exceeding the bake's limit begins a probe, as in the operator: the verdict is `Probe`. Only the file knows whether
requests went back then. While they did, the comparison continues and the bake's clock stands still.
"""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final, assert_never

from sluice_judge import accumulate, judge, processes, report, timestamps, weighing, words
from sluice_judge.comparing import history, podswings
from sluice_judge.grounds import Ground
from sluice_judge.judgement import Judgement
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.look import LookRules
from sluice_judge.model import Arm, Exposure, GatewayCounters, ReleasePlan, Trial, TrialPolicy
from sluice_judge.presets import GatewayPreset
from sluice_judge.replay import increments, lines
from sluice_judge.replay.increments import Parts
from sluice_judge.replay.lines import CountsFile, Line, ProbeLine, Unreadable, read
from sluice_judge.samples import changes, columns, gatewayseries, inflight, series
from sluice_judge.samples import questions as ask
from sluice_judge.schema.model import fraction
from sluice_judge.schema.policy import JudgedPolicy, OnDeadline, Stepping
from sluice_judge.schema.verdict import Verdict
from sluice_judge.state import ObjectiveState, State
from sluice_judge.stats import planning

__all__ = ["CountsFile", "Evidence", "Line", "Scrape", "Unreadable", "read", "replay"]

MINIMUM_SCRAPES: Final = 2
WHOLE: Final = 1000
LATELY: Final = 20
"""Scrapes whose gauges are read again."""
_FILE: Final = "file"
_RECORDED: Final = GatewayPreset("recorded", "recorded", "", "", 1.0, "", "", 0.0)
"""The file replaces the gateway: its lines are all requests."""


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Course:
    """The state of the replayed release."""

    state: State
    previous: Mapping[str, Line]
    history: Mapping[str, tuple[series.Tick, ...]]
    """Increments from before the candidate had any weight."""
    weight: float
    step: int
    """Changes of the weight, from 1."""
    begun: float | None
    """Time of the first line with a weight; None before."""
    step_begun: float
    parts: Mapping[str, tuple[tuple[float, Parts], ...]] = dataclasses.field(default_factory=dict)
    """(time, increments by part) from the same time, if the lines distinguish the stable version's pods or halves."""
    pods: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """The number of pods of the candidate, and of the stable version, by objective."""
    probe: ProbeLine | None = None
    """The running probe."""
    probed_seconds: float = 0.0
    """Seconds for which the bake stood still."""
    over: tuple[Verdict, Ground, str] | None = None
    excludes: Mapping[int, float] = dataclasses.field(default_factory=dict)
    """`Exposure.excludes` by permille, as far as shares were chosen by what is at risk."""

    @property
    def permille(self) -> int:
        """The candidate's share."""
        return round(self.weight * 10)


def replay(file: CountsFile, policy: JudgedPolicy) -> Iterator[Scrape]:
    """One verdict for each time of the lines. Raises Unreadable if these do not fit."""
    known = {objective.name: kind_of(objective) for objective in policy.objectives}
    ordered = sorted((_fitting(line, known) for line in file.lines), key=lambda line: line.time)
    course, excludes, planned = None, _excludes(policy, ordered), _planned(file, ordered)
    with_baseline = frozenset(round(line.weight * 10) for line in ordered if line.baseline is not None)
    for time, group in itertools.groupby(ordered, key=lambda line: line.time):
        probe = next((probe for probe in reversed(file.probes) if probe.time <= time), None)
        probe = probe if probe is not None and probe.begins else None
        scrape = tuple(group)
        if probe is not None:
            scrape = tuple(dataclasses.replace(line, weight=100 - probe.share) for line in scrape)
        weight = lines.weight(scrape)
        course = course or _begun(time, weight, excludes)
        course = _probed(course, probe, time=time, weight=weight)
        if weight != course.weight:
            course = _at_new_weight(course, time=time, weight=weight)
        trial = _trial(policy, course, file, planned, time)
        if any(line.baseline is not None for line in scrape):
            trial = _beside(trial, file, with_baseline)
        course = _moved(course, known, scrape, trial, _gauges(file, time), asks=file.asks)
        judged = report.judgement(trial, course.state, "", {})
        verdict, reason, message = course.over or _verdict(policy, course, judged, time)
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
            judged.proof.complete and judged.requests.scrapes >= MINIMUM_SCRAPES,
        )


def _fitting(line: Line, known: Mapping[str, Kind]) -> Line:
    """The line, without a baseline that its objective is not compared with. Raises Unreadable."""
    kind = known.get(line.objective)
    if kind is None:
        names = ", ".join(known) or "none"
        raise Unreadable(line.number, "objective", f"{line.objective!r} is not in the policy, which has {names}")
    if line.recorded is not kind.recorded:
        problem = f"has {line.recorded}, but {line.objective} of the policy needs {kind.recorded}"
        raise Unreadable(line.number, "stable", problem)
    if line.baseline is None or not kind.traits.by_baseline:
        return dataclasses.replace(line, baseline=None)
    if not 0 < 2 * line.weight <= lines.WHOLE:
        problem = f"none at weight {line.weight:g}: it has as many requests as the candidate, so at most half of them"
        raise Unreadable(line.number, "baseline", problem)
    return line


def _probed(course: _Course, probe: ProbeLine | None, *, time: float, weight: float) -> _Course:
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


def _begun(time: float, weight: float, excludes: Mapping[int, float]) -> _Course:
    new = State(time, 1, 1, time, turn=int(weight > 0), baking=weight >= 100, active=time, stable_ever=True)
    return _Course(new, {}, {}, weight, 1, None, time, excludes=excludes)


def _moved(
    course: _Course,
    known: Mapping[str, Kind],
    scrape: Sequence[Line],
    trial: Trial,
    gauges: inflight.Gauges,
    *,
    asks: bool,
) -> _Course:
    time = trial.now
    if course.begun is None and course.weight > 0:
        alone = dataclasses.replace(trial, baseline=None)
        course = dataclasses.replace(course, begun=time, state=changes.noted(alone, course.state))
        course = dataclasses.replace(course, state=_learnt(course, known, scrape, alone, asks=asks))
    course = dataclasses.replace(course, state=changes.noted(trial, course.state))
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


def _excludes(policy: JudgedPolicy, recorded: Sequence[Line]) -> Mapping[int, float]:
    """What the recorded shares exclude, if they are those that follow from the first one: a model may have had its own."""
    shares = sorted({round(line.weight * 10) for line in recorded if 0 < line.weight * 10 < planning.PROVING})
    if policy.stepping is Stepping.FIXED or not shares:
        return {}
    rising = planning.rising_shares(shares[0])
    return rising if list(rising)[: len(shares)] == shares else {}


def _candidate_requests(course: _Course) -> float:
    """The candidate's requests in the evidence of this step, over all objectives."""
    return math.fsum(state.step.candidate_requests for state in course.state.objectives.values())


def _at_new_weight(course: _Course, *, time: float, weight: float) -> _Course:
    """The course at a new weight; the judge notes it. time: when the step began."""
    return dataclasses.replace(course, weight=weight, step=course.step + 1, step_begun=time)


def _learnt(course: _Course, known: Mapping[str, Kind], scrape: Sequence[Line], trial: Trial, *, asks: bool) -> State:
    """Boundaries and dispersion, as at the judge's first look."""
    shown = {line.objective: course.previous.get(line.objective, line) for line in scrape}
    sharing = sum(kind.tests.needs_boundary for kind in known.values())
    settings = trial.policy.initial_dispersion
    found = {}
    for name, kind in known.items():
        new = accumulate.with_boundary(kind, ObjectiveState(), _samples(kind, shown.get(name)), sharing=sharing)
        new = dataclasses.replace(new, asks=asks and kind.tests.rules(()).lone_limit is None)
        new = dataclasses.replace(new, before=_before(kind, new, course.history.get(name, ())))
        new = accumulate.with_history(kind, new, course.history.get(name, ()), settings=settings)
        if name in shown and name in course.parts and not accumulate.awaits_boundary(kind, new):
            new = podswings.from_parts(kind, new, course.parts[name], increments.parts(shown[name].stable))
        found[name] = accumulate.excluding(kind, new, course.excludes.get(course.permille))
    return dataclasses.replace(course.state, objectives=found)


def _before(kind: Kind, known: ObjectiveState, ticks: Sequence[series.Tick]) -> tuple[float, float]:
    """Requests and events of the stable version in the hour before."""
    lately = tuple(tick for tick in ticks if tick.time > ticks[-1].time - ask.HISTORY_SECONDS)
    seen = history.counted(kind, known, {kind.feed: (lately, series.Samples((), {}))})
    return seen.requests, seen.events


def _dispersion(course: _Course, name: str) -> float:
    """phi of a comparison at the requests of this step; before there are any, without the effect of swings."""
    state = course.state.objectives[name]
    if state.step_start is None or state.step_end is None or state.step_end <= state.step_start:
        return state.dispersion
    rate = (state.step.candidate_requests + state.step.stable_requests) / (state.step_end - state.step_start)
    return accumulate.expected_dispersion(state, state.step.candidate_share, rate, course.pods.get(name, (1, 1)))


def _samples(kind: Kind, line: Line | None) -> series.Samples:
    if line is None:
        return series.Samples((), {})
    arms = ((columns.STABLE, line.stable), (columns.CANDIDATE, line.candidate))
    tracks = [
        series.Track((arm, column), _FILE, ((line.time, amount),))
        for arm, counters in arms
        for column, amount in lines.amounts(kind, counters).items()
    ]
    return series.samples_of(tracks, ())


def _gauges(file: CountsFile, time: float) -> inflight.Gauges:
    """The last scrapes until then: what was least since the share changed is in the state."""
    end = bisect.bisect_right(file.in_flight, time, key=lambda line: line.time)
    known = file.in_flight[max(0, end - LATELY) : end]
    if not known:
        return (), ()
    return ({line.time: line.candidate for line in known},), ({line.time: line.stable for line in known},)


def _observed(course: _Course, kind: Kind, line: Line, trial: Trial, in_flight: inflight.InFlight) -> _Course:
    """The course after one line; the first of an objective is its baseline."""
    previous = course.previous.get(line.objective)
    known = dataclasses.replace(line, baseline=line.baseline or (previous.baseline if previous is not None else None))
    course = dataclasses.replace(course, previous={**course.previous, line.objective: known})
    if previous is None:
        return course
    stable = line.stable, previous.stable
    if line.baseline is not None:
        stable = line.baseline, previous.baseline or line.baseline
    grown = {
        (arm, column): amount
        for arm, after, since in (
            (columns.STABLE, *stable),
            (columns.CANDIDATE, line.candidate, previous.candidate),
        )
        for column, amount in increments.counted(kind, after, since).items()
    }
    fence = course.state.fence
    steady = line.weight > 0 and fence is not None and previous.time >= fence
    tick = series.Tick(line.time, grown, grown if steady and grown else None)
    if course.begun is None:
        kept = (*course.history.get(line.objective, ()), tick)
        course = dataclasses.replace(course, history={**course.history, line.objective: kept})
        parts = increments.of_parts(kind, line.stable, previous.stable)
        if not parts:
            return course
        extended = (*course.parts.get(line.objective, ()), (line.time, parts))
        return dataclasses.replace(course, parts={**course.parts, line.objective: extended})
    rules = judge.look_rules(trial, course.state, kind, in_flight)
    pods = increments.pods(line) if trial.stable.pods is None else rules.pods
    rules = dataclasses.replace(rules, interval_seconds=line.time - previous.time, pods=pods)
    state = _judged(course.state, kind, line, tick, rules)
    return dataclasses.replace(course, pods={**course.pods, line.objective: pods}, state=state)


def _judged(state: State, kind: Kind, line: Line, tick: series.Tick, rules: LookRules) -> State:
    sharing = sum(one.boundary is not None for one in state.objectives.values()) + 1
    stood = state.objectives.get(kind.name, ObjectiveState())
    known = accumulate.with_boundary(kind, stood, _samples(kind, line), sharing=sharing)
    after = accumulate.observe(kind, known, (tick,), rules)
    seen = weighing.counts(kind, tick.seen, after.boundary)
    active = seen.candidate_requests + seen.stable_requests > 0
    return dataclasses.replace(
        state,
        active=tick.time if active else state.active,
        objectives={**state.objectives, kind.name: after},
    )


def _trial(
    policy: JudgedPolicy, course: _Course, file: CountsFile, planned: Mapping[int, tuple[int, int]], time: float
) -> Trial:
    stable = candidate = Arm("recorded", "recorded", 0)
    if file.pods is not None:
        stable, candidate = (_with_pods(stable, ready, time) for ready in (file.pods.stable, file.pods.candidate))
    return Trial(
        now=time,
        namespace="",
        name="recorded",
        stable=stable,
        candidate=candidate,
        policy=TrialPolicy(
            objectives=tuple(policy.objectives),
            alpha=fraction(policy.false_rollback_probability),
            beta=fraction(policy.false_advance_probability),
            idle_seconds=policy.idle_seconds,
            initial_dispersion=policy.initial_dispersion,
            new_pod_seconds=file.pods.new_seconds if file.pods is not None else 0.0,
        ),
        exposure=Exposure(
            step=course.step,
            permille=course.permille,
            route_generation=course.step,
            route_programmed=True,
            load_permille=course.permille if course.probe is None else WHOLE,
            baking=course.weight >= 100,
            probing=course.probe is not None,
            excludes=course.excludes.get(course.permille),
        ),
        gateway=GatewayCounters(_RECORDED, _interval(policy, course, time), file.limit_seconds),
        plan=ReleasePlan(planned_pods=planned),
    )


def _beside(trial: Trial, file: CountsFile, with_baseline: Set[int]) -> Trial:
    """The trial with the baseline that serves. with_baseline: the permille at which it does."""
    baseline = Arm("baseline", "baseline", 0)
    if file.pods is not None:
        baseline = _with_pods(baseline, file.pods.baseline, trial.now)
    return dataclasses.replace(
        trial,
        baseline=baseline,
        exposure=dataclasses.replace(trial.exposure, stable_permille=WHOLE - 2 * trial.exposure.permille),
        plan=dataclasses.replace(trial.plan, with_baseline=with_baseline),
    )


def _interval(policy: JudgedPolicy, course: _Course, time: float) -> float:
    """The time since the last scrape, if that is shorter than the policy's interval."""
    last = max((line.time for line in course.previous.values() if line.time < time), default=-math.inf)
    return min(policy.scrape_interval_seconds, time - last)


def _with_pods(arm: Arm, ready: Sequence[float], time: float) -> Arm:
    now = tuple(moment for moment in ready if moment <= time)
    return dataclasses.replace(arm, pods=len(now), ready=now)


def _planned(file: CountsFile, ordered: Sequence[Line]) -> Mapping[int, tuple[int, int]]:
    """`ReleasePlan.planned_pods`: a step has all pods that were ready before the next one."""
    if file.pods is None:
        return {}
    found, following = {}, math.inf
    for weight, group in itertools.groupby(reversed(ordered), key=lambda line: line.weight):
        ready = sum(moment <= following for moment in file.pods.candidate)
        found[round(weight * 10)] = (ready, len(file.pods.stable))
        *_, first = group
        following = first.time
    return found


def _verdict(policy: JudgedPolicy, course: _Course, judged: Judgement, time: float) -> tuple[Verdict, Ground, str]:
    """In the order of a canary's gates; the file has no people, pods or gateway."""
    if course.begun is None:
        return Verdict.WAIT, Ground.GATHERING_EVIDENCE, "the candidate has no weight yet"
    if judged.accusation.against is not None:
        return Verdict.ROLL_BACK, *judged.accusation.against
    if course.probe is not None:
        share = f"{course.probe.share:g} % of the requests go back to the stable version"
        return Verdict.PROBE, Ground.PROBING_STABLE, f"{share}, and the bake stands still; {judged.proof.missing}"
    in_step = time - course.step_begun - course.probed_seconds
    if judged.accusation.asks:
        return (
            Verdict.PROBE,
            Ground.PROBING_STABLE,
            f"{judged.accusation.asks}; the stable version is to be asked what it shows now",
        )
    if course.state.baking:
        left = policy.bake_seconds - in_step
        if left > 0:
            return Verdict.WAIT, Ground.BAKING, f"the old version stays warm for {words.duration(left)} more"
        return Verdict.ADVANCE, Ground.PROMOTED, "the bake is over without evidence against the new version"
    proven = judged.proof.complete and judged.requests.scrapes >= MINIMUM_SCRAPES
    silent_since = judged.sight.idle_since
    if proven or silent_since is not None:
        left = _minimum_seconds(policy, course.weight) - in_step
        if course.permille >= _proving_permille(policy):
            left = max(left, policy.minimum_seconds - (time - course.begun))
        if left > 0:
            return Verdict.WAIT, Ground.MINIMUM_TIME, f"the step lasts {words.duration(left)} more"
        if proven or silent_since is None:
            return Verdict.ADVANCE, Ground.PROVEN, "every required objective is proven"
        return (
            Verdict.ADVANCE,
            Ground.IDLE,
            f"no request since {timestamps.rfc3339(silent_since)}: nobody can be harmed",
        )
    if time - course.begun >= policy.progress_deadline_seconds:
        return _at_deadline(policy, judged)
    return Verdict.WAIT, Ground.GATHERING_EVIDENCE, judged.proof.missing


def _proving_permille(policy: JudgedPolicy) -> int:
    """The share of the last step before 100 %."""
    if policy.stepping is Stepping.AUTO:
        return planning.PROVING
    return max((step.weight * 10 for step in policy.steps[:-1]), default=0)


def _minimum_seconds(policy: JudgedPolicy, weight: float) -> float:
    if policy.stepping is Stepping.AUTO:
        return 0
    return next((step.minimum_seconds for step in policy.steps if math.isclose(step.weight, weight)), 0)


def _at_deadline(policy: JudgedPolicy, judged: Judgement) -> tuple[Verdict, Ground, str]:
    after = f"no decision after {policy.progress_deadline_seconds} s"
    match policy.on_deadline:
        case OnDeadline.HOLD:
            return Verdict.WAIT, Ground.DEADLINE_EXCEEDED, f"{after}; {judged.proof.missing}"
        case OnDeadline.PROMOTE:
            return Verdict.ADVANCE, Ground.DEADLINE_EXCEEDED, f"{after}: promoted"
        case OnDeadline.ROLL_BACK:
            return Verdict.ROLL_BACK, Ground.DEADLINE_EXCEEDED, f"{after}: rolled back"
        case _ as unreachable:
            assert_never(unreachable)


def _evidence(known: Mapping[str, Kind], state: State) -> dict[str, Evidence]:
    found = {}
    for name, kind in known.items():
        stood = state.objectives.get(name, ObjectiveState())
        against, advance = processes.evidence_of(processes.rules(kind, stood), stood)
        found[name] = Evidence(round(words.log10(against.rollback), 6), round(words.log10(advance), 6))
    return found
