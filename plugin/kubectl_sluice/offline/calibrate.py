"""Replays a service's past as releases of the version that served, under a policy: each rollback would have been false.

    since ──┬────┬────┬─ … ─┬──> now        places for releases: no other release, and one stable version all along
            │
            └─ learning 1 h │ half of the pods against the other half, 1 h │ bake
               weight 0       weight 50                                      weight 100: the second half alone

The judge is that of `replay`, which is the operator's. Evidence beyond the bake's limit begins a probe: from there on
both halves are compared again, as if half of the requests went to the stable version. The forecast of `plan` says how
much a step needs.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.rollout import probe
from sluice_judge import timestamps
from sluice_judge.comparing import history
from sluice_judge.comparing.forecast import WHOLE, forecast
from sluice_judge.grounds import Ground
from sluice_judge.kind import Kind
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Answer, Answered, Answers, Failed, Forecast, Question, Series, Trial
from sluice_judge.replay import record, replay, sameversion
from sluice_judge.replay.lines import CountsFile, Line, ProbeLine
from sluice_judge.samples import columns, series
from sluice_judge.samples import questions as ask
from sluice_judge.schema.model import fraction
from sluice_judge.schema.objectives import Objective
from sluice_judge.schema.verdict import Verdict

MOST_RELEASES: Final = 48
"""The most windows of two to three hours requested from Prometheus, one after the other."""
LEARNING_SECONDS: Final = ask.HISTORY_SECONDS
RELEASE_SECONDS: Final = 3600
LONGEST_BAKE_SECONDS: Final = 3600
SOON_SECONDS: Final = 0.001
"""How soon after a scrape a probe begins and ends: between two of them."""
MOST_PROBES: Final = 5
"""The most probes of one release: each needs another replay."""
ENDLESS_SECONDS: Final = 2_592_000
"""Practically no deadline: only evidence ends a release here."""


@dataclass(frozen=True, slots=True)
class TrialPlace:
    """Where a trial release takes place."""

    begin: float
    """When it gets its weight, seconds since the epoch."""
    revision: str
    """The stable version at that time."""


@dataclass(frozen=True, slots=True)
class TriedObjective:
    """One objective's result in one release."""

    pods: int
    """The number of pods in both halves together; 0: split by scrape."""
    dispersion: float
    """phi, of bursts and of swings, at half of the traffic."""
    peak: float
    """The largest evidence against the candidate, as log10."""
    proven_seconds: float | None
    """Time to the proof, at half of the traffic; None: no proof within the hour."""
    requests: float
    """The requests of both halves while they were compared."""


@dataclass(frozen=True, slots=True)
class TriedRelease:
    """One release of the version that served."""

    begin: float
    verdict: Verdict
    reason: Ground
    message: str
    seconds: float
    """From its begin to its rollback, or to its end."""
    peak: float
    """The largest evidence against it over all objectives, as log10."""
    objectives: Mapping[str, TriedObjective]
    probes: int = 0
    """The number of probes in the bake."""

    @property
    def rolled_back(self) -> bool:
        return self.verdict is Verdict.ROLL_BACK


@dataclass(frozen=True, slots=True)
class ObjectivePlan:
    """What one objective alone needs, by the forecast."""

    name: str
    required: bool
    first_seconds: float | None
    """At the first weight; None where nothing can be proven there."""
    provable: bool
    """At any weight of the policy."""


def release_seconds(policy: RolloutPolicySpec) -> int:
    """How long a whole release takes here, bake included."""
    return RELEASE_SECONDS + min(policy.bake_seconds, LONGEST_BAKE_SECONDS)


def places(
    rollouts: Sequence[ModelRollout], stable: str, policy: RolloutPolicySpec, *, since: float, until: float
) -> tuple[TrialPlace, ...]:
    """Places for trial releases, oldest first, evenly spread, without overlap. rollouts: in any order; stable: the
    version that serves now."""
    length = release_seconds(policy)
    every = [
        TrialPlace(begin, revision)
        for start, end, revision in _quiet(rollouts, stable, since=since, until=until)
        for begin in _begins(start + LEARNING_SECONDS, end, length)
    ]
    if len(every) <= MOST_RELEASES:
        return tuple(every)
    return tuple(every[index * len(every) // MOST_RELEASES] for index in range(MOST_RELEASES))


def questions(trial: Trial, policy: RolloutPolicySpec) -> tuple[Question, ...]:
    """The questions for one place, at the end of its release (`trial.now`)."""
    return ask.asked(trial, lambda _: LEARNING_SECONDS + release_seconds(policy))


def in_halves(question: Question, moment: float) -> tuple[tuple[Question, float], ...]:
    """A question with too large an answer as two over half of its window, with the moments to ask them at."""
    later = question.window_seconds // 2
    earlier = question.window_seconds - later
    return (
        (dataclasses.replace(question, window_seconds=earlier), moment - later),
        (dataclasses.replace(question, window_seconds=later), moment),
    )


def together(earlier: Answer, later: Answer) -> Answer:
    """The answers to the two halves as one; a failed half fails the whole."""
    for each in (earlier, later):
        if isinstance(each, Failed):
            return each
    assert isinstance(earlier, Answered)
    assert isinstance(later, Answered)
    points: dict[frozenset[tuple[str, str]], Series] = {}
    for one in (*earlier.series, *later.series):
        key = frozenset(one.labels.items())
        known = points.get(key)
        fresh = one.points if known is None else tuple(p for p in one.points if p[0] > known.points[-1][0])
        points[key] = one if known is None else Series(one.labels, (*known.points, *fresh))
    return Answered(tuple(points.values()), (*earlier.unreadable, *later.unreadable))


def tried(trial: Trial, answers: Answers, policy: RolloutPolicySpec) -> TriedRelease | None:
    """The release at one place; None where nothing was counted. trial: of the same version twice, at its end."""
    window = LEARNING_SECONDS + release_seconds(policy)
    shown = history.shown(trial, answers, window, trial.gateway.scrape_interval_seconds)
    begin = trial.now - release_seconds(policy)
    same = {
        kind.name: sameversion.parted(history.increments(shown, kind.feed), since=begin) for kind in kinds_of(trial)
    }
    probes: list[ProbeLine] = []
    found, scrapes = _replayed(trial, same, policy, begin, probes)
    if not scrapes:
        return None
    while (change := _probe_changes(scrapes, probes, policy)) is not None:
        probes.append(change)
        found, scrapes = _replayed(trial, same, policy, begin, probes)
    ended = scrapes[-1]
    return TriedRelease(
        begin=begin,
        verdict=ended.verdict,
        reason=ended.reason,
        message=ended.message,
        seconds=ended.time - begin,
        peak=max(scrape.against for scrape in scrapes),
        objectives={
            kind.name: _of_objective(kind, same[kind.name], found, scrapes, policy, begin) for kind in kinds_of(trial)
        },
        probes=sum(each.begins for each in probes),
    )


def needed(trial: Trial, answers: Answers) -> tuple[Forecast, tuple[ObjectivePlan, ...]]:
    """What the policy's steps need at the stable version's current traffic. answers: to `forecast_questions`."""
    each = [(objective, forecast(_judged_on(trial, objective), answers)) for objective in trial.policy.objectives]
    return forecast(trial, answers), tuple(_plan(objective, alone, trial.plan.steps) for objective, alone in each)


def _judged_on(trial: Trial, objective: Objective) -> Trial:
    """The trial with this objective only, as required."""
    required = objective.model_copy(update={"required": True})
    return dataclasses.replace(trial, policy=dataclasses.replace(trial.policy, objectives=(required,)))


def _plan(objective: Objective, alone: Forecast, proving: Sequence[int]) -> ObjectivePlan:
    """proving: the steps that wait for the proof, permille."""
    steps = [step for step in alone.steps if 0 < step.permille < WHOLE and step.permille in proving]
    return ObjectivePlan(
        objective.name,
        objective.required,
        steps[0].seconds if steps else None,
        any(step.seconds is not None for step in steps),
    )


def _quiet(
    rollouts: Sequence[ModelRollout], stable: str, *, since: float, until: float
) -> Iterator[tuple[float, float, str]]:
    """(begin, end, stable version) of periods without a release."""
    at, serves = since, ""
    for rollout in sorted(rollouts, key=_began):
        begun, ended = _began(rollout), _ended(rollout)
        source = rollout.spec.source
        serves = source.revision if source is not None else ""
        if serves and begun > at:
            yield at, min(begun, until), serves
        promoted = rollout.status.outcome is Outcome.PROMOTED
        serves = rollout.spec.target.revision if promoted else serves
        at = max(at, ended)
    if at < until:
        yield at, until, stable


def _began(rollout: ModelRollout) -> float:
    return timestamps.seconds(rollout.status.start_time or rollout.metadata.creation_timestamp)


def _ended(rollout: ModelRollout) -> float:
    return timestamps.seconds(rollout.status.end_time) if rollout.status.end_time is not None else math.inf


def _begins(start: float, end: float, length: float) -> Iterator[float]:
    """When releases begin: as many as fit, the last one as late as possible."""
    number = math.floor((end - start) / length)
    for index in range(number):
        yield end - (number - index) * length


def _replayed(
    trial: Trial,
    same: Mapping[str, sameversion.SameVersion],
    policy: RolloutPolicySpec,
    begin: float,
    probes: Sequence[ProbeLine],
) -> tuple[list[Line], list[replay.Scrape]]:
    """The lines, and the judge's scrapes from the first weight to a rollback or the end."""
    found = [line for kind in kinds_of(trial) for line in _lines(kind, same[kind.name], begin, probes)]
    endless = policy.model_copy(update={"progress_deadline_seconds": ENDLESS_SECONDS})
    scrapes: list[replay.Scrape] = []
    for scrape in replay.replay(CountsFile(tuple(found), tuple(probes)), endless):
        if scrape.weight > 0:
            scrapes.append(scrape)
        if scrape.verdict is Verdict.ROLL_BACK:
            break
    return found, scrapes


def _probe_changes(
    scrapes: Sequence[replay.Scrape], probes: Sequence[ProbeLine], policy: RolloutPolicySpec
) -> ProbeLine | None:
    """Where the operator would next begin a probe, or end the current one; None where nothing changes any more."""
    if scrapes[-1].verdict is Verdict.ROLL_BACK:
        return None
    since = probes[-1].time if probes else -math.inf
    later = [scrape for scrape in scrapes if scrape.time > since]
    if probes and probes[-1].begins:
        longest = max(policy.bake_seconds, probe.SHORTEST_SECONDS)
        over = next((each for each in later if each.proven or each.time >= since + longest), None)
        return None if over is None else ProbeLine(0, over.time + SOON_SECONDS, begins=False)
    asked = next((each for each in later if each.weight >= 100 and each.verdict is Verdict.PROBE), None)
    if asked is None or len(probes) >= 2 * MOST_PROBES:
        return None
    return ProbeLine(0, asked.time + SOON_SECONDS, begins=True, share=record.HALF)


def _lines(kind: Kind, same: sameversion.SameVersion, begin: float, probes: Sequence[ProbeLine]) -> Iterator[Line]:
    """Learning, comparison and bake. In the bake the first half gets no requests, except in probes."""
    baked = begin + RELEASE_SECONDS

    def weight(time: float) -> float:
        return 0.0 if time < begin else record.HALF if time < baked else 100.0

    def asked(time: float) -> bool:
        last = next((each for each in reversed(probes) if each.time <= time), None)
        return time < baked or (last is not None and last.begins)

    ticks = [tick if asked(tick.time) else _candidate_alone(tick) for tick in same.ticks]
    return record.lines_of(kind, ticks, weight)


def _candidate_alone(tick: series.Tick) -> series.Tick:
    seen = {column: amount for column, amount in tick.seen.items() if column[0] == columns.CANDIDATE}
    return dataclasses.replace(tick, seen=seen)


def _of_objective(
    kind: Kind,
    same: sameversion.SameVersion,
    found: Sequence[Line],
    scrapes: Sequence[replay.Scrape],
    policy: RolloutPolicySpec,
    begin: float,
) -> TriedObjective:
    enough = -math.log10(fraction(policy.false_advance_probability))
    compared = [scrape for scrape in scrapes if scrape.time < begin + RELEASE_SECONDS]
    proven = next((scrape.time - begin for scrape in compared if scrape.evidence[kind.name].advance >= enough), None)
    own = [line for line in found if line.objective == kind.name and line.weight == record.HALF]
    both = [line.stable.requests + line.candidate.requests for line in own]
    return TriedObjective(
        pods=same.pods,
        dispersion=(compared or scrapes)[-1].dispersions.get(kind.name, 1.0),
        peak=max((scrape.evidence[kind.name].rollback for scrape in scrapes), default=0.0),
        proven_seconds=proven,
        requests=both[-1] - both[0] if both else 0.0,
    )
