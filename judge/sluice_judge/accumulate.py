"""Adds ticks to the accumulators of one objective: counts, e-processes, dispersion."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Final

from sluice_judge import objectives
from sluice_judge.comparing import fairness, pods, separation
from sluice_judge.kind import Kind, Mixture
from sluice_judge.objectives import Role, Rules, Term
from sluice_judge.samples import columns, series
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.state import NO_COUNTS, ObjectiveState
from sluice_judge.stats import combine, dispersion, eprocess, evidence, intervals, mixture, swings, usual

FEW_REQUESTS: Final = 1000
"""Requests of the stable version: with fewer during a release, those of the hour before also count for the bake's
limit, and with fewer in that hour, those of the day."""
BURSTY: Final = 1.5
"""From this dispersion on, the versions are also compared by samples of each scrape: half of the bet is on those."""
FEW_OLD: Final = 0.05
"""The share of a scrape's requests that may have been in flight since before the candidate's share changed: the rest
accuses. With more of them, leaving out as many events would speak for a version that fails in one of ten."""


@dataclasses.dataclass(frozen=True, slots=True)
class LookRules:
    """What an objective may learn from the ticks of this look."""

    baking: bool = False
    """Only the bake's own test continues; the rest keeps its evidence."""
    probing: bool = False
    """The tests of probes continue as well."""
    share: float = 0.0
    """The candidate's share of the requests by the route, 0..1."""
    judged: bool = True
    """False: only counted, because it cannot be judged on copies."""
    metric: bool = False
    """It separates the arms of an A/B test, whose guards are the other objectives."""
    largest: float = math.inf
    """The maximum of ln e of one scrape against the candidate."""
    largest_in_probe: float = math.inf
    """The same for the tests of probes alone."""
    accuses_from: float = -math.inf
    proves_from: float = -math.inf
    """Times: earlier scrapes cannot accuse, or prove, but only lower that evidence."""
    old: Mapping[float, float] = dataclasses.field(default_factory=dict)
    """How many of the candidate's events may belong to requests sent before the share fell, by time of scrapes before
    `accuses_from`. If these are few, the others accuse."""
    unfair: bool = False
    """Whether a comparison of pods learns nothing."""
    unlike_caches: bool = False
    """Whether nothing is learnt: what the objective counts depends on caches, which are not alike."""
    cold: tuple[tuple[float, float], ...] = ()
    """(begin, end): times in which nothing is learnt either."""
    interval_seconds: float = 0.0
    """The time between two scrapes."""
    pods: tuple[int, int] = (1, 1)
    """The number of pods of the candidate, and of the stable version."""

    def compares(self, term: Term, time: float) -> bool:
        """Whether a scrape at this time counts for a test."""
        if self.unlike_caches:
            return False
        if not term.by_pods:
            return True
        return not self.unfair and not fairness.touches(self.cold, time, self.interval_seconds)

    def older(self, term: Term, time: float, seen: evidence.Counts) -> float:
        """How many of the candidate's events of a scrape do not accuse in a test; infinite: all of them.

        From what is known before the first event of the scrape, so that the rest is evidence.
        """
        if term.role in (Role.ADVANCE, Role.BAKE, Role.BAKED) or term.answers or time >= self.accuses_from:
            return 0.0
        old = self.old.get(time, math.inf)
        return old if old <= FEW_OLD * seen.candidate_requests else math.inf


def counts(kind: Kind, increments: Mapping[series.Column, float], boundary: str | None) -> evidence.Counts:
    """Requests and events of both arms; an event may belong to a request that an earlier scrape counted. boundary: the
    one that an event exceeds."""
    return kind.counting.counts(
        columns.of_arm(increments, columns.CANDIDATE), columns.of_arm(increments, columns.STABLE), boundary
    )


def rules(kind: Kind, state: ObjectiveState) -> Rules:
    """The tests that apply to an objective now: with the bake's if its limit is fixed, and those of probes."""
    tests = kind.tests.rules(state.boundaries)
    sampled = objectives.sampled_term(tests)
    if sampled is not None and _samples(tests, sampled, state):
        tests = dataclasses.replace(tests, terms=(*tests.terms, sampled))
    if state.bake_limit is None:
        return tests
    more = objectives.probe_terms(tests) if state.asks else ()
    bake = objectives.bake_term(state.bake_limit, by_pods=kind.traits.compares_pods)
    baked = objectives.baked_terms(state.bake_limit, by_pods=kind.traits.compares_pods)
    return dataclasses.replace(tests, terms=(*tests.terms, bake, *baked, *more))


def _samples(tests: Rules, sampled: Term, state: ObjectiveState) -> bool:
    """Whether a scrape may be one witness: chosen before the first one, for the whole release."""
    begun = any(term.key in state.processes for term in tests.terms if term.role is Role.ROLLBACK)
    return sampled.key in state.processes or (not begun and state.dispersion >= BURSTY)


def processes(tests: Rules, state: ObjectiveState) -> dict[str, eprocess.EProcess]:
    """The processes in the state; one left by other tests starts anew."""
    found = {}
    for term in tests.terms:
        stored = state.processes.get(term.key)
        if stored is not None:
            found[term.key] = state.running.get(term.key) or _restored(term.test, stored)
    return found


def _restored(test: evidence.SequentialTest, stored: Mapping[str, object]) -> eprocess.EProcess:
    try:
        return eprocess.restore(test, stored)
    except ValueError:
        return eprocess.start(test)


def evidence_of(tests: Rules, state: ObjectiveState) -> tuple[combine.ObjectiveEvidence, float]:
    """Log-evidence against the candidate, and for it in this step. tests: those that apply now (`rules`)."""
    logs = {key: process.log_evidence for key, process in processes(tests, state).items()}
    of_bake = objectives.combined(tests, logs, Role.BAKE)
    in_step = mixture.log_ratio(state.mix)
    unlike = state.unlike + in_step
    against = combine.ObjectiveEvidence(
        rollback=objectives.combined(tests, logs, Role.ROLLBACK) - unlike,
        hard=objectives.combined(tests, logs, Role.HARD) - unlike,
        bake=(objectives.combined(tests, logs, Role.PROBE) if state.asks else of_bake) - unlike,
        asks=of_bake if state.asks else 0.0,
    )
    return against, objectives.combined(tests, logs, Role.ADVANCE) - in_step


def baked_log(tests: Rules, state: ObjectiveState) -> float:
    """Log-evidence that the candidate is not far over the bake's limit; 0 if the bake has none."""
    logs = {key: process.log_evidence for key, process in processes(tests, state).items()}
    return objectives.combined(tests, logs, Role.BAKED)


def shown(kind: Kind, state: ObjectiveState) -> tuple[str | None, evidence.Counts]:
    """An objective's figures for people: its boundary, and the counts since the release began. For bins it is the one
    that speaks most against the candidate."""
    if not state.bins:
        return state.boundary, state.total
    tests = kind.tests.rules(state.boundaries)
    logs = {key: process.log_evidence for key, process in processes(tests, state).items()}
    against = [term for term in tests.terms if term.role is Role.ROLLBACK and term.boundary in state.bins]
    most = max(against, key=lambda term: logs.get(term.key, 0.0)).boundary or ""
    ours, others = state.bins[most]
    total = state.total
    return most, evidence.Counts(total.candidate_requests, ours, total.stable_requests, others).whole()


def _bins(kind: Kind, state: ObjectiveState, ticks: Sequence[series.Tick]) -> dict[str, tuple[float, float]]:
    """The events of (candidate, stable) by boundary, after more ticks."""
    found = {}
    for boundary in state.boundaries:
        ours, others = state.bins.get(boundary, (0.0, 0.0))
        for tick in ticks:
            more = counts(kind, tick.seen, boundary)
            ours, others = ours + more.candidate_events, others + more.stable_events
        found[boundary] = (ours, others)
    return found


def observe(kind: Kind, state: ObjectiveState, ticks: Sequence[series.Tick], phase: LookRules) -> ObjectiveState:
    """The accumulators after more ticks."""
    if not ticks or awaits_boundary(kind, state):
        return state
    total, step, start, end = state.total, state.step, state.step_start, state.step_end
    shown = []
    for tick in ticks:
        total = (total + counts(kind, tick.seen, state.boundary)).whole()
        if tick.evidence is None or not phase.judged:
            continue
        shown.append(tick.evidence)
        step = (step + counts(kind, tick.evidence, state.boundary)).whole()
        start, end = tick.time if start is None else start, tick.time
    counted = dataclasses.replace(state, total=total, step=step, step_start=start, step_end=end)
    if kind.mixture is not None:
        counted = dataclasses.replace(counted, mix=_mixed(kind.mixture, state, shown))
    if kind.bins is not None:
        counted = dataclasses.replace(counted, bins=_bins(kind, state, ticks))
    if phase.metric:
        each = [counts(kind, increments, state.boundary) for increments in shown]
        sequence = separation.observed(state.sequence, each, dispersion=state.dispersion)
        return dataclasses.replace(counted, sequence=sequence)
    counted = pods.observed(kind, counted, [tick.seen for tick in ticks])
    return _with_evidence(kind, counted, ticks, phase)


def _mixed(
    mixed_by: Mixture, state: ObjectiveState, shown: Sequence[Mapping[series.Column, float]]
) -> Mapping[str, tuple[float, float]]:
    """The mixture of either version's requests in this step."""
    mixed = state.mix
    for increments in shown:
        ours, others = (mixed_by.of(columns.of_arm(increments, arm)) for arm in (columns.CANDIDATE, columns.STABLE))
        mixed = mixture.added(mixed, ours, others)
    return mixed


def _with_evidence(kind: Kind, state: ObjectiveState, ticks: Sequence[series.Tick], phase: LookRules) -> ObjectiveState:
    """Every e-process, one scrape further for each tick that is evidence."""
    tests = rules(kind, state)
    terms = [term for term in tests.terms if _goes_on(term.role, phase)]
    running = processes(tests, state)
    moved: dict[str, eprocess.EProcess] = {}
    known = state.usual
    for tick in ticks:
        before, known = known, _usual(kind, state, known, tick, phase)
        if tick.evidence is None or not phase.judged:
            continue
        candidate = columns.of_arm(tick.evidence, columns.CANDIDATE)
        stable = columns.of_arm(tick.evidence, columns.STABLE)
        judged = kind.counting.counts(candidate, stable, state.boundary).whole()
        incident = before.incident(tick.time) or known.incident(tick.time)
        halved = math.log(2) / 2 if any(term.sampled for term in terms) else 0.0
        for term in terms:
            if not phase.compares(term, tick.time):
                continue
            seen = judged if term.boundary is None else kind.counting.counts(candidate, stable, term.boundary).whole()
            if term.answers:
                seen = seen.answered(phase.share)
            old = phase.older(term, tick.time, seen)
            process = moved.get(term.key) or running.get(term.key) or eprocess.start(term.test)
            share = 0.0 if term.rare else before.share
            after = process.observe(
                seen if math.isinf(old) else seen.without(old),
                dispersion=_dispersion(state, term, seen, phase, usual=share),
                usual=share,
                largest=0.0
                if math.isinf(old)
                else _largest(term, tick.time, phase, incident=incident, asks=state.asks)
                + (halved if term.role is Role.ROLLBACK else 0.0),
            )
            if after is not process:
                moved[term.key] = after
    kept = {key: state.processes[key] for key in running} | {key: process.to_state() for key, process in moved.items()}
    return dataclasses.replace(state, usual=known, processes=kept, running={**running, **moved})


def _dispersion(state: ObjectiveState, term: Term, seen: evidence.Counts, phase: LookRules, *, usual: float) -> float:
    """phi of one scrape. usual: the judged events' share before it."""
    own = state.own.get(term.boundary or "")
    if term.sampled:
        own = swings.Own() if own is None else dataclasses.replace(own, bursts=1.0)
    if own is None or term.answers:
        return state.dispersion
    known = own if term.boundary is not None else dataclasses.replace(own, share=usual)
    return swings.dispersion(term.test, seen, known, seconds=phase.interval_seconds, pods=phase.pods)


def expected_dispersion(state: ObjectiveState, share: float, rate: float, pods: tuple[int, int]) -> float:
    """phi of a comparison at a candidate's share (0..1) of this rate of requests per second."""
    own = state.own.get("")
    if own is None:
        return state.dispersion
    return dataclasses.replace(own, share=state.usual.share).compared(share, rate, pods)


def _goes_on(role: Role, phase: LookRules) -> bool:
    of_bake = role in (Role.BAKE, Role.BAKED)
    if phase.baking or of_bake:
        return phase.baking and of_bake
    return phase.probing or role is not Role.PROBE


def _largest(term: Term, time: float, phase: LookRules, *, incident: bool, asks: bool) -> float:
    """The maximum of ln e of a scrape; 0: it may only speak for the null. A single scrape may begin a probe."""
    if term.role in (Role.ADVANCE, Role.BAKED):
        return 0.0 if incident or time < phase.proves_from else math.inf
    if term.role is Role.BAKE and asks:
        return math.inf
    return phase.largest_in_probe if term.role is Role.PROBE else phase.largest


def _usual(
    kind: Kind, state: ObjectiveState, known: usual.Usual, tick: series.Tick, phase: LookRules = LookRules()
) -> usual.Usual:
    """What is usual for stable after one more tick. If events are good, an incident has fewer of them, not more.

    phase: of a release. The pods' own swings are then no incident; before, they are unknown.
    """
    if kind.traits.more_is_better:
        return known
    requests, events = kind.counting.requests_and_events(columns.of_arm(tick.seen, columns.STABLE), state.boundary)
    own, dispersion = state.own.get(""), state.dispersion
    if own is not None and phase.interval_seconds > 0:
        dispersion = own.alone(known.share, requests / phase.interval_seconds, phase.pods[1])
    return known.observe(max(requests, events), events, time=tick.time, dispersion=dispersion)


def awaits_boundary(kind: Kind, state: ObjectiveState) -> bool:
    """With boundaries to choose, nothing can be counted before the choice."""
    return kind.tests.needs_boundary and state.boundary is None


def with_boundary(kind: Kind, state: ObjectiveState, samples: series.Samples, *, sharing: int) -> ObjectiveState:
    """The boundary chosen, if the samples allow it. sharing: how many objectives have boundaries."""
    chosen = kind.tests.boundaries(samples, sharing=sharing) if awaits_boundary(kind, state) else None
    if chosen is None:
        return state
    judged, watched = chosen
    return dataclasses.replace(state, boundary=judged, boundaries=watched)


def with_history(
    kind: Kind, state: ObjectiveState, *histories: Sequence[series.Tick], settings: InitialDispersion
) -> ObjectiveState:
    """What is usual for the stable version from all of its histories, and phi from the first that shows it, frozen for
    the rollout."""
    initial = kind.tests.initial_dispersion(settings) / 100
    if awaits_boundary(kind, state):
        return dataclasses.replace(state, dispersion=initial)
    known = dataclasses.replace(
        state,
        dispersion=_bursts(kind, state.boundary, histories, initial),
        own={each: swings.Own(_bursts(kind, each, histories, initial)) for each in state.boundaries},
    )
    usually = known.usual
    for tick in sorted(itertools.chain(*histories), key=lambda tick: tick.time):
        usually = _usual(kind, known, usually, tick)
    return dataclasses.replace(known, usual=usually)


def _bursts(kind: Kind, boundary: str | None, histories: Sequence[Sequence[series.Tick]], initial: float) -> float:
    """The dispersion by pod if pods can be told apart, otherwise by alternate scrapes."""
    halves = [_halves(kind, boundary, history) for history in histories]
    return round(dispersion.estimate(*halves, initial=initial), 6)


def _halves(kind: Kind, boundary: str | None, history: Sequence[series.Tick]) -> tuple[dispersion.Halves, ...]:
    stable = [columns.of_arm(tick.seen, columns.STABLE) for tick in history]
    return pods.halves(kind, stable) or dispersion.alternate_scrapes(
        [kind.counting.requests_and_events(amounts, boundary) for amounts in stable]
    )


def at_new_step(kind: Kind, state: ObjectiveState) -> ObjectiveState:
    """Advance evidence starts anew: a fault that needs load must be looked for again. So does what begins a probe."""
    anew = {Role.ADVANCE, Role.BAKED} | ({Role.BAKE} if state.asks else set())
    gone = {term.key for term in rules(kind, state).terms if term.role in anew}
    kept = {key: stored for key, stored in state.processes.items() if key not in gone}
    unlike = state.unlike + mixture.log_ratio(state.mix)
    state = dataclasses.replace(state, step=NO_COUNTS, step_start=None, step_end=None, mix={}, unlike=unlike)
    return dataclasses.replace(state, processes=kept, running={})


def shown_by_stable(state: ObjectiveState) -> tuple[float, float]:
    """(requests, events) of the stable version during the release, and before it if these are few."""
    requests, events = state.total.stable_requests, state.total.stable_events
    if requests >= FEW_REQUESTS:
        return requests, events
    return requests + state.before[0], events + state.before[1]


def at_bake(kind: Kind, state: ObjectiveState) -> ObjectiveState:
    """The bake's limit from what the stable version showed; if it has shown nothing, the objective's own.

    After a probe it is a new one, from what stable has shown in it if that is enough. One that may end the release
    stays: it has its share of alpha once.
    """
    if state.bake_limit is not None and not state.asks:
        return state
    requests, events = shown_by_stable(state)
    if state.bake_limit is not None and state.step.stable_requests >= FEW_REQUESTS:
        requests, events = state.step.stable_requests, state.step.stable_events
    tests = kind.tests.rules(state.boundaries)
    over = tests.lone_limit is not None and events > tests.lone_limit * requests
    limit = intervals.bake_limit(
        events, requests, null_ratio=1.0 if over else tests.null_ratio, floors=tests.floors, dispersion=state.dispersion
    )
    if limit is None and events == 0:
        limit = tests.uncompared
    return dataclasses.replace(state, bake_limit=limit)
