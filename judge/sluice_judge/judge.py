"""The judge: from raw counters to evidence. Pure, and replayable from the state and the same samples.

    questions(trial) ──> Prometheus ──> judge(trial, answers) ──> Judgement: evidence, what is missing, the next state

While the route is not programmed, no interval is evidence, and a person's intent does not wait for samples: nothing is
asked then, and the last look's judgement stands.

The gates of the rollout decide what follows from the evidence (roll back, advance, wait). After a bad pod was replaced,
the judge continues with `without_pod(state, pod)`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sluice_judge import accumulate, carried, report
from sluice_judge import state as memory
from sluice_judge.comparing import fairness, history, pods, podswings, refusals
from sluice_judge.judgement import Judgement, Sight
from sluice_judge.kind import Kind
from sluice_judge.kinds import kinds_of
from sluice_judge.look import LookRules
from sluice_judge.model import Answers, Counted, Failed, Question, Trial
from sluice_judge.samples import changes, columns, gatewayseries, inflight, routecheck, series, silence, unseen
from sluice_judge.samples import questions as ask
from sluice_judge.state import ObjectiveState, State, Tally
from sluice_judge.stats import combine

_NOTHING: Final = series.Samples((), {})
_LONGEST_BLIND_PAUSE_SECONDS: Final = 15.0
PENDING_LOOK_SECONDS: Final = 5.0
"""Samples in flight trigger the next look themselves."""
UNPROGRAMMED_LOOK_SECONDS: Final = 600.0
"""While the route is not programmed, the counters for people are queried at this interval: before samples expire
(`questions.LONGEST_SECONDS`)."""


without_pod = pods.without_pod


def questions(trial: Trial) -> tuple[Question, ...]:
    """The raw samples that `judge` needs to continue from the trial's state."""
    known = carried.known(trial)
    if not _looks(trial, known):
        return ()
    trial = _learning(trial, known)
    if known is None or not known.feeds:
        return (*ask.wanted(trial, {}, counted=False), *history.day_questions(trial), *podswings.questions(trial))
    wanted = (*ask.wanted(trial, known.feeds, counted=known.counted), *inflight.questions(trial, known))
    return (*wanted, *podswings.questions(trial)) if podswings.due(trial, known) else wanted


def judge(trial: Trial, answers: Answers) -> Judgement:
    """The judgement of the counters. If any needed answer is missing, nothing is consumed: evidence and clocks freeze."""
    before = carried.known(trial) or _unseen(trial)
    if not _looks(trial, before):
        return _as_seen_last(trial, before)
    trial = _learning(trial, before)
    away = _unanswered(trial, before, answers)
    if away:
        return _frozen(trial, before, away, None)
    traffic = ask.traffic_feed(trial)
    if not traffic:
        return _frozen(trial, before, unseen.NOBODY_COUNTS, None)
    samples = _samples(trial, before, answers)
    newest = samples.get(traffic, _NOTHING).newest
    if newest is None or not _is_current(trial, newest, before):
        return _frozen(trial, before, unseen.not_sampled(trial, samples, newest), newest)
    counted = samples[traffic].shown_since(newest - _stale_seconds(trial, before))
    known = counted or (before.silence.moved is None and gatewayseries.knows_backends(trial, answers))
    if not known and not before.counted and gatewayseries.counted_on_the_way(trial):
        return _frozen(trial, before, unseen.not_counted(trial, before), None)
    look = _next_look if before.feeds else _first_look
    after = look(trial, before, samples, answers)
    if ask.grpc_unseen(trial) and not after.stable_ever:
        return _frozen(trial, before, unseen.grpc_not_counted(trial), None)
    notes = {
        kind.name: note
        for kind in kinds_of(trial)
        if (note := kind.sampling.note(ask.paced(trial, after.feeds.get(kind.feed)), samples.get(kind.feed)))
    }
    # Learnt after the samples of this look were judged: it applies to later ones.
    after = dataclasses.replace(podswings.learnt(trial, after, answers), counted=counted)
    judged = report.judgement(trial, after, carried.text(trial, before, after), notes)
    # Accusing samples are written at once: a changed route would fence them off if they were still to be counted.
    counts_only = not judged.accusation.doubt and carried.only_counted(trial, before, after)
    counting = Counted(trial.candidate.revision, trial.last.state or "", carried.written_tick(trial, before), after)
    stopped = unseen.stopped(after) if _stopped(trial, after) else ""
    sight = Sight(
        stopped,
        trial.now - after.silence.began if stopped else 0.0,
        judged.sight.idle_since if known and silence.believed(trial, after.silence) else None,
        after.active,
    )
    following = dataclasses.replace(
        judged.next_state,
        counts_only=counts_only,
        counted=counting,
        learnt=None if before.feeds else memory.dump_learnt(after),
    )
    return dataclasses.replace(judged, sight=sight, next_state=following)


def _stopped(trial: Trial, after: State) -> bool:
    feed = after.feeds.get(gatewayseries.REQUESTS)
    return feed is not None and silence.doubted(trial, after, feed.tick)


def _learning(trial: Trial, known: State | None) -> Trial:
    """The first look learns from the stable version's history, which no baseline has."""
    return trial if known is not None and known.feeds else dataclasses.replace(trial, baseline=None)


def _looks(trial: Trial, known: State | None) -> bool:
    """Whether samples are queried now. A blind judge keeps looking, and the history is needed in any case."""
    if trial.intent_waits or trial.pending:
        return False
    if trial.exposure.route_programmed or trial.last.blind or known is None or not known.feeds:
        return True
    return not 0 <= trial.now - carried.last_tick(trial, known) < UNPROGRAMMED_LOOK_SECONDS


def _is_current(trial: Trial, newest: float, known: State) -> bool:
    """Whether the newest sample of the traffic is recent enough to see anything."""
    return trial.asked - newest <= _stale_seconds(trial, known) + series.VISIBLE_SECONDS


def _stale_seconds(trial: Trial, known: State) -> float:
    """The age of a sample of the traffic that should have had a successor long ago."""
    paced = ask.paced(trial, known.feeds.get(ask.traffic_feed(trial)))
    return series.STALE_INTERVALS * paced.gateway.scrape_interval_seconds


def _as_seen_last(trial: Trial, before: State) -> Judgement:
    """The last look's judgement, with later changes; blind if it was blind then."""
    after = changes.noted(trial, before)
    goes_on = carried.unwritten(trial) if after == before else None
    due = PENDING_LOOK_SECONDS if trial.pending else series.SHORTEST_LOOK_SECONDS
    if not trial.intent_waits and not trial.pending:
        due = UNPROGRAMMED_LOOK_SECONDS - (trial.now - carried.last_tick(trial, before))
    judged = report.judgement(trial, after, carried.text(trial, before, after), {})
    baked = judged.proof.baked and _is_current(trial, carried.last_tick(trial, before), before)
    return dataclasses.replace(
        judged,
        proof=dataclasses.replace(judged.proof, baked=baked),
        sight=Sight(trial.last.blind, looked=False),
        next_state=dataclasses.replace(judged.next_state, counts_only=goes_on is not None, counted=goes_on),
        next_look_seconds=due,
    )


def _unseen(trial: Trial) -> State:
    return State(trial.now, trial.exposure.step, trial.exposure.route_generation, None, baking=trial.exposure.baking)


def _unanswered(trial: Trial, before: State, answers: Answers) -> str:
    """Why an answer is missing, or empty."""
    for question in ask.wanted(trial, before.feeds, counted=before.counted):
        answer = answers.get(question.key)
        if answer is None:
            return f"Prometheus was not asked for {question.selector}; this is a defect of the operator"
        if isinstance(answer, Failed):
            return f"Prometheus does not answer: {answer.message}"
    return ""


def _frozen(trial: Trial, before: State, why: str, newest: float | None) -> Judgement:
    feed = before.feeds.get(ask.traffic_feed(trial))
    seen = max(before.since if feed is None else feed.tick, -math.inf if newest is None else newest)
    frozen = report.judgement(trial, before, carried.text(trial, before, before), {})
    return dataclasses.replace(
        frozen,
        proof=dataclasses.replace(frozen.proof, baked=False),
        sight=Sight(why, max(0.0, trial.now - seen)),
        next_look_seconds=min(trial.gateway.scrape_interval_seconds, _LONGEST_BLIND_PAUSE_SECONDS),
    )


def _samples(trial: Trial, before: State, answers: Answers) -> dict[str, series.Samples]:
    """The samples of each feed; without those whose selectors match too many series."""
    found = ask.samples(trial, answers, gone=before.gone)
    refused = {feed for feed, kind in ask.filled_by(trial).items() if kind.sampling.too_many(trial, found[feed])}
    return {feed: shown for feed, shown in found.items() if feed not in refused}


def _first_look(trial: Trial, before: State, samples: Mapping[str, series.Samples], answers: Answers) -> State:
    """The first look: the samples are no evidence yet, but the history for dispersion and boundaries."""
    ticks, feeds = _consume(trial, before, samples)
    hour = {feed: (history.undisturbed(trial, ticks[feed]), shown) for feed, shown in samples.items()}
    day = history.day(trial, answers)
    judged = {
        kind.name: accumulate.excluding(
            kind,
            dataclasses.replace(history.learnt(trial, kind, hour, day), asks=trial.policy.asks),
            trial.exposure.excludes,
        )
        for kind in kinds_of(trial)
    }
    if trial.exposure.baking:  # nothing was compared before: there was no room for both
        judged = {kind.name: accumulate.at_bake(kind, judged[kind.name]) for kind in kinds_of(trial)}
    traffic = ticks[ask.traffic_feed(trial)]
    stable_ever = any(
        value > 0 and traffic and time <= traffic[-1].time  # younger samples belong to the next look
        for track in samples[ask.traffic_feed(trial)].tracks
        if track.column[0] == columns.STABLE
        for time, value in track.points
    )
    unknown_before = traffic[0].time if stable_ever and traffic else trial.now
    return State(
        since=before.since,
        step=trial.exposure.step,
        route_generation=trial.exposure.route_generation,
        fence=changes.fence(trial, None),
        turn=int(trial.exposure.permille > 0),
        permille=trial.exposure.permille,
        baking=trial.exposure.baking,
        active=_last_active(ticks, unknown_before),
        silence=silence.before_release(trial, before.since, traffic),
        stable_ever=stable_ever,
        feeds=feeds,
        objectives=judged,
        refused_before=refusals.before(hour[gatewayseries.REQUESTS][0] if gatewayseries.REQUESTS in hour else ()),
    )


def _next_look(trial: Trial, before: State, samples: Mapping[str, series.Samples], answers: Answers) -> State:
    turned = changes.noted(trial, before)
    ticks, feeds = _consume(trial, turned, samples)
    counted = samples.get(gatewayseries.REQUESTS, _NOTHING)
    in_flight, turned = inflight.seen(trial, turned, answers, counted, ticks.get(gatewayseries.REQUESTS, ()))
    traffic = ticks[ask.traffic_feed(trial)]
    compared = {
        feed: changes.compared(ask.paced(trial, feeds.get(feed)), turned, shown) for feed, shown in ticks.items()
    }
    new = Tally(*(_requests(trial, traffic, arm) for arm in (columns.CANDIDATE, columns.STABLE)))
    looked = dataclasses.replace(
        turned,
        active=_last_active(ticks, turned.active, moved=_of_candidate if trial.exposure.baking else bool),
        silence=silence.observed(trial, turned.silence, traffic),
        stable_ever=turned.stable_ever or new.stable > 0,
        requests=turned.requests + new,
        step_requests=turned.step_requests + new,
        scrapes=turned.scrapes + sum(_of_candidate(tick.evidence or {}) for tick in traffic),
        feeds=feeds,
        objectives=_judged(trial, turned, samples, compared, in_flight),
    )
    refused = refusals.observed(looked, compared.get(gatewayseries.REQUESTS, ()))
    return routecheck.observed(trial, refused, ticks, in_flight, answered=changes.split_from(trial, turned))


def _judged(
    trial: Trial,
    before: State,
    samples: Mapping[str, series.Samples],
    compared: Mapping[str, Sequence[series.Tick]],
    in_flight: inflight.InFlight,
) -> dict[str, ObjectiveState]:
    every = kinds_of(trial)
    sharing = sum(kind.tests.needs_boundary for kind in every)
    judged = {}
    for kind in every:
        known = before.objectives.get(kind.name, ObjectiveState())
        known = accumulate.with_boundary(kind, known, samples.get(kind.feed, _NOTHING), sharing=sharing)
        phase = look_rules(ask.paced(trial, before.feeds.get(kind.feed)), before, kind, in_flight)
        judged[kind.name] = accumulate.observe(kind, known, compared.get(kind.feed, ()), phase)
    return judged


def look_rules(trial: Trial, state: State, kind: Kind, in_flight: inflight.InFlight) -> LookRules:
    """What an objective may learn at this look."""
    by_gateway, beside = kind.feed in gatewayseries.FEEDS, ask.compared(trial, kind.feed)
    answered = changes.answered(trial, state) if by_gateway else changes.compared_from(trial, state)
    alpha, guards = (
        trial.policy.alpha / trial.policy.arms,
        len(trial.policy.objectives) - (trial.policy.metric is not None),
    )
    return LookRules(
        baking=trial.exposure.baking,
        probing=trial.exposure.probing,
        share=inflight.routed(beside),
        judged=not trial.exposure.mirrored or kind.traits.judged_on_copies,
        metric=kind.name == trial.policy.metric,
        largest=combine.largest_scrape(alpha, guards),
        largest_in_probe=combine.largest_scrape(alpha, guards, share=combine.BAKE_SHARE),
        rose=state.turn > 0,
        accuses_from=answered if state.turn < 0 else -math.inf,
        proves_from=changes.compared_from(trial, state)
        if state.turn > 0
        else fairness.stable_filled(beside, kind, fell=state.fell),
        answered_from=answered if trial.gateway.answer_seconds < math.inf else math.inf,
        in_flight=in_flight if by_gateway else dataclasses.replace(in_flight, old={}),
        answer_seconds=changes.longest_answer_seconds(trial, state),
        accuses=trial.exposure.baking or fairness.accuses(beside),
        proves=trial.exposure.baking or fairness.proves(beside),
        unlike_caches=fairness.unlike_caches(beside, kind, rose=state.rose),
        cold=fairness.cold(beside) if kind.traits.compares_pods else (),
        interval_seconds=trial.gateway.scrape_interval_seconds,
        pods=podswings.pods(beside),
        initial_dispersion=None
        if beside is trial
        else kind.tests.initial_dispersion(trial.policy.initial_dispersion) / 100,
    )


def _consume(
    trial: Trial, before: State, samples: Mapping[str, series.Samples]
) -> tuple[dict[str, tuple[series.Tick, ...]], dict[str, series.Feed]]:
    ticks, feeds = {}, dict(before.feeds)
    for key, shown in samples.items():
        feed = before.feeds.get(key, series.Feed())
        window = ask.window_seconds(trial, feed, first=not before.feeds)
        scraped = _as_scraped(trial, key, feed, shown)
        paced = ask.paced(trial, scraped)
        ticks[key], feeds[key] = series.consume(
            scraped,
            shown,
            since=trial.now - window + paced.gateway.scrape_interval_seconds,
            until=trial.asked - series.VISIBLE_SECONDS,
            fence=before.fence,
            interval_seconds=paced.gateway.scrape_interval_seconds,
        )
    return ticks, series.bounded(feeds)


def _as_scraped(trial: Trial, key: str, feed: series.Feed, shown: series.Samples) -> series.Feed:
    """The feed with its scrape interval, as soon as that is known, for the whole release."""
    if feed.every or key in gatewayseries.FEEDS:
        return feed
    interval = series.interval(shown, trial.gateway.scrape_interval_seconds)
    return feed if interval <= trial.gateway.scrape_interval_seconds else dataclasses.replace(feed, every=interval)


def _requests(trial: Trial, ticks: Sequence[series.Tick], arm: str) -> float:
    return math.fsum(ask.traffic(trial, tick.seen, arm) for tick in ticks)


def _of_candidate(increments: Mapping[series.Column, float]) -> bool:
    """Whether a counter of the candidate moved: in a bake, requests to the stable version show nothing of it."""
    return any(side == columns.CANDIDATE for side, _ in increments)


def _last_active(
    ticks: Mapping[str, Sequence[series.Tick]],
    standing: float | None,
    *,
    moved: Callable[[Mapping[series.Column, float]], bool] = bool,
) -> float | None:
    """The last tick of any feed in which a counter moved."""
    return max((tick.time for shown in ticks.values() for tick in shown if moved(tick.seen)), default=standing)
