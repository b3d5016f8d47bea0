"""The judge's numbers in the words and digits that people see."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from sluice.api.v1alpha1.common import FailureRatio, Goal, Objective
from sluice.api.v1alpha1.modelrollout import ArmCounts, ObjectiveStatus
from sluice.core.judge import accumulate, columns, objectives, pods, routecheck, separation, series, words
from sluice.core.judge import questions as ask
from sluice.core.judge.model import Judgement, Separation, Trial
from sluice.core.judge.objectives import Role, Rules
from sluice.core.judge.state import ObjectiveState, State
from sluice.core.kernel import timestamps
from sluice.stats import combine, intervals, planning

IDLE_SECONDS_WITHOUT_TRAFFIC: Final = 60.0
"""Where the stable version never had a request, so little of silence is enough."""
SHORTEST_LOOK_SECONDS: Final = 0.5
NOBODY_COUNTS: Final = (
    "without a gateway nobody counts requests on the way, and no objective has source Query; judge the model server's own "
    "counters by one that has, or promote by hand"
)
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class _Finding:
    """One objective, evaluated."""

    objective: Objective
    state: ObjectiveState
    evidence: combine.ObjectiveEvidence
    advance_log: float
    proven: bool
    requests_needed: int | None
    eta_seconds: float | None
    message: str
    """What it waits for or lacks."""


def judgement(trial: Trial, state: State, text: str, notes: Mapping[str, str]) -> Judgement:
    """The judgement that a state stands for. notes: what keeps an objective from being seen, by its name."""
    findings = tuple(_finding(trial, state, objective, notes.get(objective.name, "")) for objective in trial.objectives)
    guards = tuple(finding for finding in findings if finding.objective.name != trial.metric)
    rollback_log = combine.rollback_log_evidence([finding.evidence for finding in guards])
    threshold = combine.log_threshold(trial.alpha / trial.arms)
    waiting = [finding for finding in guards if required(trial, finding.objective) and not finding.proven]
    silent = waiting if not trial.baking else [finding for finding in findings if finding.message]
    needed = [finding.requests_needed for finding in waiting]
    etas = [finding.eta_seconds for finding in waiting]
    feed = state.feeds.get(ask.traffic_feed(trial))
    return Judgement(
        state=text,
        objectives=tuple(_status(trial, finding, guards=len(guards)) for finding in findings),
        rollback_log=rollback_log,
        rollback_threshold_log=threshold,
        bake_log=_bake_log(guards),
        decisive=_decisive(guards, rollback_log, threshold),
        all_proven=not waiting,
        missing="; ".join(finding.message for finding in silent),
        scrapes=state.scrapes,
        requests_needed=_largest(needed),
        eta_seconds=_largest(etas),
        blind="",
        blind_for_seconds=0.0,
        idle=_idle(trial, state, feed),
        candidate_requests=round(state.requests.candidate),
        stable_requests=round(state.requests.stable),
        step_candidate_requests=round(state.step_requests.candidate),
        step_stable_requests=round(state.step_requests.stable),
        next_look_seconds=_next_look_seconds(trial, feed),
        split_mismatch=routecheck.mismatch(trial, state),
        bad_pod=_bad_pod(trial, guards) if rollback_log >= threshold and not trial.baking else "",
        separation=_separation(trial, findings),
    )


def required(trial: Trial, objective: Objective) -> bool:
    """Whether a step needs its proof; copies of requests cannot prove everything."""
    return objective.required and (not trial.mirrored or objectives.shown_by_copies(objective))


def grpc_not_counted(trial: Trial) -> str:
    """Why a server that gets no HTTP requests cannot be judged, and what to do."""
    return (
        f"no HTTP request of {trial.stable.revision} was ever counted, and the gateway ({trial.preset.name}) counts gRPC "
        "requests in no series that Sluice knows; use a gateway with grpc-status series (docs/gateways.md), or promote "
        "by hand"
    )


def not_sampled(trial: Trial, samples: Mapping[str, series.Samples], newest: float | None) -> str:
    """Why nothing can be seen although Prometheus answers, and what to do."""
    if not ask.counted_on_the_way(trial):
        objective = next(o for o in trial.objectives if ask.query_ratio(o) is not None)
        return f"{objective.name}: {note(trial, objective, samples)}"
    remedy = "check in Prometheus, under Status > Targets, that the gateway's metrics port is scraped"
    if newest is None:
        return f"Prometheus has no sample of the gateway ({trial.preset.freshness}); {remedy}"
    return (
        f"the last sample of the gateway ({trial.preset.freshness}) is of {timestamps.rfc3339(newest)}, "
        f"at a scrape interval of {trial.scrape_interval_seconds:g} s; {remedy}"
    )


def note(trial: Trial, objective: Objective, samples: Mapping[str, series.Samples]) -> str:
    """What keeps an objective from being seen, and what to do; empty if nothing does."""
    if not ask.counted_on_the_way(trial) and ask.query_ratio(objective) is None:
        return "there is no gateway that counts; judge the model server's own counters by source Query"
    if objective.latency is not None and ask.histogram_missing(trial):
        return (
            f"the gateway ({trial.preset.name}) has no latency histogram; judge the model server's own by source Query, "
            "or remove the objective"
        )
    ratio = ask.query_ratio(objective)
    return _query_note(trial, objective, ratio, samples) if ratio is not None else ""


def _query_note(trial: Trial, objective: Objective, ratio: FailureRatio, samples: Mapping[str, series.Samples]) -> str:
    shown = samples.get(ask.query_feed(objective.name))
    selector = ask.query_selector(trial, ratio, columns.CANDIDATE, columns.TOTAL)
    if shown is None:
        return f"more than {ask.most_series(trial)} series match {selector} and its like; narrow total and failures"
    if shown.newest is None:
        return f"no samples: {selector}; check that Prometheus scrapes it and that the labels are right"
    age = trial.now - shown.newest
    if age > series.STALE_INTERVALS * trial.scrape_interval_seconds + ask.VISIBLE_SECONDS:
        return f"the last sample of {selector} is {age:.0f} s old; check that its target is still scraped"
    return ""


def _finding(trial: Trial, state: State, objective: Objective, note: str) -> _Finding:
    known = state.objectives.get(objective.name, ObjectiveState())
    tests = accumulate.rules(objective, known)
    against, advance_log = accumulate.evidence_of(objective, known)
    needs_proof = any(term.role is Role.ADVANCE for term in tests.terms)
    proven = needs_proof and not note and advance_log >= combine.log_threshold(trial.beta)
    forecast = _forecast(trial, tests, known)
    needed = None
    if proven:
        needed = 0
    elif forecast is not None and not trial.baking:
        needed = math.ceil(forecast.remaining(known.step.candidate_requests, advance_log))
    rate = _candidate_rate(trial, known)
    return _Finding(
        objective,
        known,
        against,
        advance_log,
        proven,
        needed,
        None if needed is None else planning.eta_seconds(needed, rate),
        _message(trial, objective, known, note=note, proven=proven, needed=needed, rate=rate),
    )


def _forecast(trial: Trial, tests: Rules, known: ObjectiveState) -> planning.Forecast | None:
    """For a candidate as good as the stable version is seen to be; as the candidate itself while stable shows nothing."""
    seen = known.total
    if seen.stable_requests > 0:
        expected = planning.smoothed_rate(seen.stable_events, seen.stable_requests)
    elif seen.candidate_requests > 0:
        expected = planning.smoothed_rate(seen.candidate_events, seen.candidate_requests)
    else:
        expected = 0.0
    return planning.forecast(
        expected,
        false_advance_probability=trial.beta,
        dispersion=known.dispersion,
        limit=tests.advance_limit,
        null_ratio=tests.advance_ratio,
        candidate_share=known.step.candidate_share or trial.permille / 1000,
    )


def _candidate_rate(trial: Trial, known: ObjectiveState) -> float:
    """Candidate requests per second as evidence of this step shows them; 0 before the first."""
    if known.step_start is None or known.step_end is None:
        return 0.0
    # The first tick's own interval began before its time.
    return known.step.candidate_requests / (known.step_end - known.step_start + trial.scrape_interval_seconds)


def _message(
    trial: Trial,
    objective: Objective,
    known: ObjectiveState,
    *,
    note: str,
    proven: bool,
    needed: int | None,
    rate: float,
) -> str:
    name = objective.name
    if note:
        return f"{name}: {note}"
    if trial.baking:
        return _bake_message(objective, known)
    if proven or name == trial.metric:
        return ""
    if trial.mirrored and not objectives.shown_by_copies(objective):
        return f"{name}: not judged on copies of requests"
    if accumulate.awaits_boundary(objective, known):
        return f"{name}: waits for requests of the stable version, to choose the boundary to judge"
    if needed is None:
        share = planning.smoothed_rate(known.total.stable_events, known.total.stable_requests)
        return f"{name}: can't be proven while the stable version itself is at {words.percentage(share)}"
    eta = planning.eta_seconds(needed, rate)
    when = "none counted yet in this step" if eta is None else f"about {words.duration(eta)} at {rate:.1f}/s"
    return f"{name}: {needed} more candidate requests ({when})"


def _bake_message(objective: Objective, known: ObjectiveState) -> str:
    if known.bake_limit is not None:
        return ""
    if not objectives.rules_of(objective, known.boundaries).bakes:
        return f"{objective.name}: not watched in the bake, since successes are only compared with the stable version's"
    return f"{objective.name}: not watched in the bake, since the stable version had too few requests to compare with"


def _bad_pod(trial: Trial, guards: tuple[_Finding, ...]) -> str:
    judged = [(finding.objective, finding.state, finding.evidence) for finding in guards]
    return pods.bad_pod(judged, alpha=trial.alpha / trial.arms)


def _separation(trial: Trial, findings: tuple[_Finding, ...]) -> Separation | None:
    metric = next((finding for finding in findings if finding.objective.name == trial.metric), None)
    return None if metric is None else separation.found(trial, metric.objective, metric.state)


def _status(trial: Trial, finding: _Finding, *, guards: int) -> ObjectiveStatus:
    seen = finding.state.total
    ratio = intervals.ratio(seen, dispersion=finding.state.dispersion)
    # What this objective needs to roll back on its own: its share of the budget is one of many.
    alone = combine.log_threshold(trial.alpha / trial.arms) + math.log(max(1, guards))
    return ObjectiveStatus(
        name=finding.objective.name,
        required=required(trial, finding.objective),
        boundary_millis=finding.state.boundary,
        stable=_arm(seen.stable_events, seen.stable_requests),
        candidate=_arm(seen.candidate_events, seen.candidate_requests),
        ratio=words.number(ratio.estimate) if ratio is not None else None,
        ratio_low=words.number(ratio.lower) if ratio is not None else None,
        ratio_high=words.number(ratio.upper) if ratio is not None else None,
        rollback_log10=words.log10_text(finding.evidence.log_total),
        rollback_threshold_log10=words.log10_text(alone),
        advance_log10=words.log10_text(finding.advance_log),
        advance_threshold_log10=words.log10_text(combine.log_threshold(trial.beta)),
        proven=finding.proven,
        requests_needed=finding.requests_needed,
        message=finding.message,
    )


def _arm(events: float, requests: float) -> ArmCounts:
    share = words.percentage(events / requests) if requests > 0 else None
    return ArmCounts(requests=round(requests), failures=round(events), ratio=share)


def _decisive(findings: tuple[_Finding, ...], rollback_log: float, threshold: float) -> str:
    if not findings:
        return ""
    most = max(findings, key=lambda finding: finding.evidence.log_total)
    seen = most.state.total
    requests, events = seen.stable_requests, seen.stable_events
    if most.state.bake_limit is not None:
        requests, events = accumulate.shown_by_stable(most.state)
    return (
        f"{most.objective.name}: candidate {_of(seen.candidate_events, seen.candidate_requests, _event(most))}, "
        f"stable {_of(events, requests, '')}; "
        f"evidence 10^{words.log10_text(rollback_log)} against 10^{words.log10_text(threshold)}"
    )


def _event(finding: _Finding) -> str:
    """What the counted requests did."""
    ratio = finding.objective.failure_ratio
    if ratio is None:
        return f"slower than {finding.state.boundary or '?'} ms"
    return "succeeded" if ratio.goal is Goal.HIGHER else "failed"


def _of(events: float, requests: float, verb: str) -> str:
    text = f"{events:.0f} of {requests:.0f} {verb}".rstrip()
    return f"{text} ({words.percentage(events / requests)})" if requests > 0 else text


def _bake_log(findings: tuple[_Finding, ...]) -> float:
    """ln of the mean of E_bake over the objectives."""
    return combine.mean_intersection(*(finding.evidence.bake for finding in findings))


def _idle(trial: Trial, state: State, feed: series.Feed | None) -> bool:
    if feed is None or not feed.pace or state.active is None or not ask.counted_on_the_way(trial):
        return False
    enough = trial.idle_seconds if state.stable_ever else min(trial.idle_seconds, IDLE_SECONDS_WITHOUT_TRAFFIC)
    return feed.tick - state.active >= enough


def _next_look_seconds(trial: Trial, feed: series.Feed | None) -> float:
    """Until the next sample is due and visible; a late one is looked for a few times an interval."""
    interval = trial.scrape_interval_seconds
    due = feed.tick + interval + ask.VISIBLE_SECONDS - trial.now if feed is not None and feed.pace else interval
    late = max(SHORTEST_LOOK_SECONDS, min(interval / 4, 5.0))
    return due + 0.1 if due > 0 else late


def _largest(values: list[_Number | None]) -> _Number | None:
    """The largest; None for none at all, and where one is unknown."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None
