"""Every e-process of an objective, one scrape further for each tick that is evidence."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from sluice_judge import look, processes, proofs
from sluice_judge.kind import Kind
from sluice_judge.look import LookRules
from sluice_judge.objectives import Role, Term
from sluice_judge.samples import columns, series
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import eprocess, evidence, strata, swings, usual


def counts(kind: Kind, increments: Mapping[series.Column, float], boundary: str | None) -> evidence.Counts:
    """Requests and events of both arms; an event may belong to a request that an earlier scrape counted. boundary: the
    one that an event exceeds."""
    return kind.counting.counts(
        columns.of_arm(increments, columns.CANDIDATE), columns.of_arm(increments, columns.STABLE), boundary
    )


def _compared(kind: Kind, tick: series.Tick, boundary: str | None) -> evidence.Counts:
    """The evidence of a tick; that of each gateway is compared within itself, since shares and failures of each differ."""
    parts = tick.parts if kind.is_counted_by_gateway else ()
    return strata.together([counts(kind, part, boundary).whole() for part in parts or (tick.evidence or {},)])


def with_evidence(kind: Kind, state: ObjectiveState, ticks: Sequence[series.Tick], phase: LookRules) -> ObjectiveState:
    """Every e-process, one scrape further for each tick that is evidence."""
    weighing = _Weighing(kind, state, phase)
    for tick in ticks:
        weighing.add(tick)
    return weighing.state


@dataclasses.dataclass(frozen=True, slots=True)
class _Scrape:
    """One tick, and what was known before it."""

    tick: series.Tick
    judged: evidence.Counts
    """At the judged boundary."""
    usual: float
    """The stable version's share of events, 0..1."""
    incident: bool
    """Whether the stable version is far from it."""


class _Weighing:
    """The processes of one objective while ticks are added."""

    def __init__(self, kind: Kind, state: ObjectiveState, phase: LookRules) -> None:
        tests = processes.rules(kind, state)
        self._kind, self._before, self._phase = kind, state, phase
        self._terms = [term for term in tests.terms if phase.goes_on(term.role)]
        self._sampled = any(term.sampled for term in self._terms)
        self._running = processes.running(tests, state)
        self._moved: dict[str, eprocess.EProcess] = {}
        self._usual, self._awaited, self._beside = state.usual, state.awaited, state.beside
        self._hanging = state.hanging
        self._old = math.inf if state.old is None else state.old
        """See `ObjectiveState.old`."""

    @property
    def state(self) -> ObjectiveState:
        """The objective's state after the ticks so far."""
        stored = {key: self._before.processes[key] for key in self._running}
        return dataclasses.replace(
            self._before,
            usual=self._usual,
            beside=self._beside,
            processes=stored | {key: process.to_state() for key, process in self._moved.items()},
            running={**self._running, **self._moved},
            old=None if math.isinf(self._old) else self._old,
            awaited=self._awaited,
            hanging=self._hanging,
        )

    def add(self, tick: series.Tick) -> None:
        """One tick; only what is usual is learnt from one without evidence."""
        before, self._usual = self._usual, usually(self._kind, self._before, self._usual, tick, self._phase)
        if self._phase.initial_dispersion is not None:
            of_baseline = columns.of_arm(tick.seen, columns.STABLE)
            requests, events = self._kind.counting.requests_and_events(of_baseline, self._before.boundary)
            self._beside = self._beside.observe(max(requests, events), events)
        self._hanging = round(self._phase.in_flight.beyond.get(tick.time, 0.0), 3)
        if tick.evidence is None or not self._phase.judged:
            return
        incident = before.incident(tick.time) or self._usual.incident(tick.time)
        scrape = _Scrape(tick, _compared(self._kind, tick, self._before.boundary), before.share, incident)
        self._old = min(self._old, self._phase.in_flight.old.get(tick.time, math.inf))
        late = [self._weigh(term, scrape) for term in self._terms if self._phase.compares(term, tick.time)]
        answered = scrape.judged.candidate_requests if self._phase.rose else min(late, default=math.inf)
        if math.inf not in (self._old, answered):
            self._old = max(0.0, self._old - answered)

    def _weigh(self, term: Term, scrape: _Scrape) -> float:
        """One test; the events that may have been left out of it as old ones, infinite where none are."""
        if term.by_totals and self._phase.in_flight.now:
            self._prove(term, scrape)
            return math.inf
        phase, seen = self._phase, scrape.judged
        if term.boundary is not None:
            seen = _compared(self._kind, scrape.tick, term.boundary)
        if term.answers:
            seen = seen.answered(phase.share)
        elif phase.by_share(term, scrape.tick.time):
            seen = seen.by_share(phase.share)
        old = phase.older(term, scrape.tick.time, seen, self._old)
        largest = 0.0
        if not math.isinf(old):
            largest = phase.largest_of(term, scrape.tick.time, incident=scrape.incident, asks=self._before.asks)
            largest += math.log(2) / 2 if self._sampled and term.role is Role.ROLLBACK else 0.0
        usual = 0.0 if term.rare else scrape.usual
        process = self._process(term)
        after = process.observe(
            seen if math.isinf(old) else seen.without(old),
            dispersion=_dispersion(self._before, term, seen, phase, usual=usual),
            usual=usual,
            largest=largest,
        )
        if after is not process:
            self._moved[term.key] = after
        return seen.candidate_events if look.late_failures_accuse(term) else math.inf

    def _prove(self, term: Term, scrape: _Scrape) -> None:
        """A proof by totals."""
        phase, judged, time = self._phase, scrape.judged, scrape.tick.time
        each = phase.interval_seconds
        answered = proofs.AnsweredSince(
            time,
            0.0 if scrape.incident else judged.candidate_requests,
            judged.candidate_events,
            phase.in_flight.most(time - 2.5 * each, time - each / 2),
            phase.in_flight.least(self._awaited[-1].time, time) if self._awaited else None,
            phase.in_flight.now.get(time),
            _dispersion(self._before, term, judged, phase, usual=scrape.usual),
        )
        older = self._old if phase.rose and not math.isinf(self._old) else 0.0
        self._moved[term.key], self._awaited = proofs.observed(
            self._process(term), self._awaited, answered, older=older, answer_seconds=phase.answer_seconds
        )

    def _process(self, term: Term) -> eprocess.EProcess:
        known = self._moved.get(term.key) or self._running.get(term.key)
        return known or eprocess.start(term.test)


def _dispersion(state: ObjectiveState, term: Term, seen: evidence.Counts, phase: LookRules, *, usual: float) -> float:
    """phi of one scrape. usual: the judged events' share before it."""
    learnt = _learnt_dispersion(state, term, seen, phase, usual=usual)
    return learnt if phase.initial_dispersion is None else max(learnt, state.beside.estimate(phase.initial_dispersion))


def _learnt_dispersion(
    state: ObjectiveState, term: Term, seen: evidence.Counts, phase: LookRules, *, usual: float
) -> float:
    own = state.own.get(term.boundary or "")
    if term.sampled:
        own = swings.Own() if own is None else dataclasses.replace(own, bursts=1.0)
    if own is None or term.answers:
        return state.dispersion
    known = own if term.boundary is not None else dataclasses.replace(own, share=usual)
    return swings.dispersion(term.test, seen, known, seconds=phase.interval_seconds, pods=phase.pods)


def usually(
    kind: Kind, state: ObjectiveState, known: usual.Usual, tick: series.Tick, phase: LookRules = look.BEFORE
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
