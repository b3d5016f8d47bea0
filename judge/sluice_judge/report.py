"""The judge's numbers in words and digits for people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from sluice_judge import accumulate, processes, words
from sluice_judge.comparing import fairness, forecast, pods, podswings, refusals, separation
from sluice_judge.grounds import Ground
from sluice_judge.judgement import Accusation, CountedRequests, Judgement, NextState, Proof, Separation, Sight
from sluice_judge.kind import Kind
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Trial
from sluice_judge.objectives import Role
from sluice_judge.samples import gatewayseries, routecheck, series
from sluice_judge.samples import questions as ask
from sluice_judge.schema.verdict import ArmCounts, ObjectiveStatus
from sluice_judge.state import ObjectiveState, State
from sluice_judge.stats import combine, intervals, mixture, planning

UNLIKE: Final = (
    "the versions get prompts of unlike lengths, as from users who stick to one of them, or compute unlike parts of them; "
    "meanwhile it neither accuses nor proves. A histogram that tells prompts apart (computedLabel or promptLabel in "
    "spec.metrics.histograms of the ServingRuntime) is compared length by length; with required: false nobody waits for it"
)
ACCUSING_LOG: Final = math.log(2)
"""Evidence against the candidate that is reported and written at once, natural logarithm; a good version seldom has so
much.
"""
ALIKE_LOG: Final = math.log(10)
"""Difference, natural logarithm, within which evidence counts as about the same."""
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class _Finding:
    """One objective, evaluated."""

    kind: Kind
    state: ObjectiveState
    evidence: combine.ObjectiveEvidence
    advance_log: float
    proven: bool
    baked: bool
    """Whether the bake has shown that it is not far over its limit."""
    requests_needed: int | None
    eta_seconds: float | None
    message: str
    """What it waits for or lacks."""


@dataclass(frozen=True, slots=True)
class _Weighed:
    """All objectives together."""

    findings: tuple[_Finding, ...]
    guards: tuple[_Finding, ...]
    """All but the metric of an A/B test."""
    waiting: tuple[_Finding, ...]
    """Guards whose proof a step still needs."""
    rollback_log: float
    threshold: float

    @property
    def accuses(self) -> bool:
        """Whether there is enough evidence against the candidate to report it."""
        return max(self.rollback_log, _bake_log(self.guards)) >= ACCUSING_LOG


def judgement(trial: Trial, state: State, text: str, notes: Mapping[str, str]) -> Judgement:
    """The judgement of a state. notes: what prevents an objective from being seen, by its name."""
    weighed = _weighed(trial, state, notes)
    feed = state.feeds.get(ask.traffic_feed(trial))
    return Judgement(
        objectives=tuple(_status(trial, finding, guards=len(weighed.guards)) for finding in weighed.findings),
        accusation=_accusation(trial, state, weighed),
        proof=Proof(
            complete=not weighed.waiting,
            missing=_missing(trial, weighed),
            requests_needed=_largest([finding.requests_needed for finding in weighed.waiting]),
            eta_seconds=_largest([finding.eta_seconds for finding in weighed.waiting]),
            ahead=forecast.ahead(trial, state),
            baked=trial.exposure.baking and _baked(weighed),
        ),
        sight=Sight(idle_since=_idle_since(trial, state, feed), active=state.active),
        requests=_requests(state),
        next_state=NextState(text),
        next_look_seconds=series.next_look_seconds(feed, trial.gateway.scrape_interval_seconds, trial.now),
        split_mismatch=routecheck.mismatch(trial, state),
        separation=_separation(trial, weighed.findings),
    )


def _accusation(trial: Trial, state: State, weighed: _Weighed) -> Accusation:
    refuses, asks_first = refusals.words(trial, state), trial.exposure.baking and trial.policy.asks
    return Accusation(
        rollback_log=weighed.rollback_log,
        threshold_log=weighed.threshold,
        bake_log=_bake_log(weighed.guards),
        ground=_ground(weighed),
        decisive=_decisive(weighed),
        doubt=_doubt(weighed),
        asks=_asks(trial, weighed) or (refuses if asks_first else ""),
        refuses="" if asks_first else refuses,
        bad_pod=_bad_pod(trial, weighed),
    )


def _requests(state: State) -> CountedRequests:
    every, in_step = state.requests, state.step_requests
    return CountedRequests(
        candidate=round(every.candidate),
        stable=round(every.stable),
        step_candidate=round(in_step.candidate),
        step_stable=round(in_step.stable),
        scrapes=state.scrapes,
    )


def required(trial: Trial, kind: Kind) -> bool:
    """Whether a step needs its proof; copies of requests cannot prove everything, some pods cannot be compared, and a step
    that excludes failures waits for no other events."""
    return (
        kind.objective.required
        and (not trial.exposure.mirrored or kind.traits.judged_on_copies)
        and (trial.exposure.excludes is None or kind.tests.rules(()).excludable)
        and fairness.blocks(trial, kind)
    )


def _awaited(trial: Trial, finding: _Finding) -> bool:
    """Whether a step, or a probe, lasts until its proof: whatever may have begun the probe has to be proven in it."""
    return required(trial, finding.kind) or (trial.exposure.probing and finding.state.asks and _watched(finding))


def _watched(finding: _Finding) -> bool:
    """Whether the bake has a limit for it."""
    return finding.state.bake_limit is not None


def _weighed(trial: Trial, state: State, notes: Mapping[str, str]) -> _Weighed:
    findings = tuple(_finding(trial, state, kind, notes.get(kind.name, "")) for kind in kinds_of(trial))
    guards = tuple(finding for finding in findings if finding.kind.name != trial.policy.metric)
    weighed = _Weighed(
        findings=findings,
        guards=guards,
        waiting=tuple(finding for finding in guards if _awaited(trial, finding) and not finding.proven),
        rollback_log=combine.rollback_log_evidence([finding.evidence for finding in guards]),
        threshold=combine.log_threshold(trial.policy.alpha / trial.policy.arms),
    )
    return _without_forecast(weighed) if weighed.accuses else weighed


def _without_forecast(weighed: _Weighed) -> _Weighed:
    """An accused version has no forecast of its proof: that is for one like stable."""

    def told(findings: tuple[_Finding, ...]) -> tuple[_Finding, ...]:
        return tuple(map(_accused, findings))

    return replace(weighed, findings=told(weighed.findings), guards=told(weighed.guards), waiting=told(weighed.waiting))


def _accused(finding: _Finding) -> _Finding:
    if finding.proven or finding.evidence.log_total < ACCUSING_LOG:
        return finding
    return replace(finding, requests_needed=None, eta_seconds=None, message="")


def _missing(trial: Trial, weighed: _Weighed) -> str:
    silent = weighed.waiting if not trial.exposure.baking else weighed.findings
    return "; ".join(finding.message for finding in silent if finding.message)


def _doubt(weighed: _Weighed) -> str:
    """Evidence that may still be chance; `Accusation.against` is what is not."""
    return f"against it so far: {_decisive(weighed)}" if weighed.accuses else ""


def _finding(trial: Trial, state: State, kind: Kind, note: str) -> _Finding:
    known = state.objectives.get(kind.name, ObjectiveState())
    tests = processes.rules(kind, known)
    against, advance_log = processes.evidence_of(tests, known)
    needs_proof = any(term.role is Role.ADVANCE for term in tests.terms)
    proven = needs_proof and not note and advance_log >= combine.log_threshold(trial.policy.beta)
    needed = None
    if proven:
        needed = 0
    elif not trial.exposure.baking:
        needed = forecast.remaining(trial, tests, known, advance_log)
    rate = forecast.candidate_rate(trial, known)
    return _Finding(
        kind,
        known,
        against,
        advance_log,
        proven,
        not note and processes.baked_log(tests, known) >= combine.log_threshold(trial.policy.beta),
        needed,
        None if needed is None else planning.eta_seconds(needed, rate),
        _message(trial, kind, known, note=note, proven=proven, needed=needed, rate=rate, rose=state.rose),
    )


def _message(
    trial: Trial,
    kind: Kind,
    known: ObjectiveState,
    *,
    note: str,
    proven: bool,
    needed: int | None,
    rate: float,
    rose: float | None,
) -> str:
    name = kind.name
    if note:
        return f"{name}: {note}"
    if trial.exposure.baking:
        return _bake_message(kind, known)
    if proven or name == trial.policy.metric:
        return ""
    if trial.exposure.mirrored and not kind.traits.judged_on_copies:
        return f"{name}: not judged on copies of requests"
    if accumulate.awaits_boundary(kind, known):
        what = "bins to compare" if kind.bins is not None else "boundary to judge"
        return f"{name}: waiting for requests of the stable version, to choose the {what}"
    incomparable = fairness.missing(ask.compared(trial, kind.feed), kind, rose=rose)
    if mixture.differ(known.mix):
        incomparable = UNLIKE
    if incomparable:
        return f"{name}: {incomparable}"
    limit = kind.tests.rules(known.boundaries).lone_limit
    seen = known.total
    if (
        limit is not None
        and _over(limit, seen.stable_requests, seen.stable_events)
        and _over(limit, seen.candidate_requests, seen.candidate_events)
    ):
        return (
            f"{name}: both versions are over the limit of {words.percentage(limit)}: candidate "
            f"{_of(seen.candidate_events, seen.candidate_requests, kind.words.event(known.boundary))}, stable "
            f"{_of(seen.stable_events, seen.stable_requests, '')}; to go back would not help, so the release waits"
        )
    if known.usual.incident(trial.now):
        return f"{name}: the stable version is far from its usual {words.percentage(known.usual.share)}; meanwhile nothing is proven"
    if needed is None:
        share = forecast.expected_share(kind.tests.rules(known.boundaries), known)
        return f"{name}: cannot be proven while the stable version itself is at {words.percentage(share)}"
    eta = planning.eta_seconds(needed, rate)
    when = "none counted yet in this step" if eta is None else f"about {words.duration(eta)} at {rate:.1f}/s"
    return f"{name}: {needed} more candidate {kind.words.unit} ({when})"


def _bake_message(kind: Kind, known: ObjectiveState) -> str:
    if known.bake_limit is not None:
        return ""
    if not kind.tests.rules(known.boundaries).bakes:
        what = "shares" if kind.bins is not None else "successes"
        return f"{kind.name}: not watched during the bake, since {what} can only be compared with the stable version's"
    return f"{kind.name}: not watched during the bake, since the stable version had too few requests to compare with"


def _bad_pod(trial: Trial, weighed: _Weighed) -> str:
    if trial.exposure.baking or weighed.rollback_log < weighed.threshold:
        return ""
    judged = [(finding.kind, finding.state, finding.evidence) for finding in weighed.guards]
    return pods.bad_pod(judged, alpha=trial.policy.alpha / trial.policy.arms)


def _separation(trial: Trial, findings: tuple[_Finding, ...]) -> Separation | None:
    metric = next((finding for finding in findings if finding.kind.name == trial.policy.metric), None)
    return None if metric is None else separation.found(trial, metric.kind, metric.state)


def _status(trial: Trial, finding: _Finding, *, guards: int) -> ObjectiveStatus:
    boundary, seen = accumulate.shown(finding.kind, finding.state)
    named = finding.kind.bins.named(boundary) if finding.kind.bins is not None else None
    ratio = intervals.ratio(seen, dispersion=finding.state.dispersion)
    # Its share of the mean, so that all evidence on a screen is measured against one threshold.
    part = finding.evidence.log_total - math.log(max(1, guards))
    return ObjectiveStatus(
        name=finding.kind.name,
        required=required(trial, finding.kind),
        boundary_millis=boundary if named is None else None,
        bin=named,
        stable=_arm(seen.stable_events, seen.stable_requests),
        candidate=_arm(seen.candidate_events, seen.candidate_requests),
        ratio=words.number(ratio.estimate) if ratio is not None else None,
        ratio_low=words.number(ratio.lower) if ratio is not None else None,
        ratio_high=words.number(ratio.upper) if ratio is not None else None,
        rollback_log10=words.log10_text(part),
        rollback_threshold_log10=words.log10_text(combine.log_threshold(trial.policy.alpha / trial.policy.arms)),
        advance_log10=words.log10_text(finding.advance_log),
        advance_threshold_log10=words.log10_text(combine.log_threshold(trial.policy.beta)),
        proven=finding.proven,
        requests_needed=finding.requests_needed,
        message=finding.message,
        unseen=podswings.unseen(trial, finding.kind, finding.state),
    )


def _arm(events: float, requests: float) -> ArmCounts:
    share = words.percentage(events / requests) if requests > 0 else None
    return ArmCounts(requests=round(requests), failures=round(events), ratio=share)


def _most(weighed: _Weighed) -> _Finding:
    """The objective with the most evidence against the candidate.

    The evidence of one scrape is bounded, so several may have about the same: the policy's first one of these is named.
    """
    most = max(finding.evidence.log_total for finding in weighed.guards)
    return next(finding for finding in weighed.guards if finding.evidence.log_total >= most - ALIKE_LOG)


def _ground(weighed: _Weighed) -> Ground:
    """The ground. For a sole limit: over it, or worse than a stable version that is over it, too."""
    limit = _lone_limit(_most(weighed)) if weighed.guards else None
    if limit is None or _over(limit, *accumulate.shown_by_stable(_most(weighed).state)):
        return Ground.WORSE_THAN_STABLE
    return Ground.OVER_LIMIT


def _lone_limit(finding: _Finding) -> float | None:
    """The limit of an objective without another."""
    return finding.kind.tests.rules(finding.state.boundaries).lone_limit


def _over(limit: float, requests: float, events: float) -> bool:
    return events > limit * requests


def _decisive(weighed: _Weighed) -> str:
    if not weighed.guards:
        return ""
    most = _most(weighed)
    boundary, seen = accumulate.shown(most.kind, most.state)
    event = most.kind.words.event(boundary)
    requests, events = seen.stable_requests, seen.stable_events
    if most.state.bake_limit is not None:
        requests, events = accumulate.shown_by_stable(most.state)
    return (
        f"{most.kind.name}: candidate {_of(seen.candidate_events, seen.candidate_requests, event)}, "
        f"stable {_of(events, requests, '')}; "
        f"evidence 10^{words.log10_text(weighed.rollback_log)} against 10^{words.log10_text(weighed.threshold)}"
    )


def _asks(trial: Trial, weighed: _Weighed) -> str:
    """The evidence against a candidate that has all requests, if only a probe of the stable version can confirm it."""
    asking = [finding for finding in weighed.guards if finding.state.asks and _watched(finding)]
    found = _bake_log(asking)
    if not trial.exposure.baking or not asking or found < weighed.threshold:
        return ""
    most = max(asking, key=lambda finding: finding.evidence.asks)
    seen, limit = most.state.step, most.state.bake_limit or 0.0
    return (
        f"{most.kind.name}: candidate {_of(seen.candidate_events, seen.candidate_requests, most.kind.words.event(most.state.boundary))} "
        f"at 100 %, and by what the stable version showed {words.percentage(limit)} are allowed; "
        f"evidence 10^{words.log10_text(found)} against 10^{words.log10_text(weighed.threshold)}"
    )


def _of(events: float, requests: float, verb: str) -> str:
    text = f"{events:.0f} of {requests:.0f} {verb}".rstrip()
    return f"{text} ({words.percentage(events / requests)})" if requests > 0 else text


def _bake_log(findings: Sequence[_Finding]) -> float:
    """ln of the mean of E_bake over the objectives."""
    each = (finding.evidence.asks if finding.state.asks else finding.evidence.bake for finding in findings)
    return combine.mean_intersection(*each)


def _baked(weighed: _Weighed) -> bool:
    """Whether the bake has seen enough of every required objective that it watches; if it watches none, of the others."""
    watched = [finding for finding in weighed.guards if _watched(finding)]
    awaited = [finding for finding in watched if finding.kind.objective.required] or watched
    return bool(awaited) and all(finding.baked for finding in awaited)


def _idle_since(trial: Trial, state: State, feed: series.Feed | None) -> float | None:
    if feed is None or not feed.pace or state.active is None or not gatewayseries.counted_on_the_way(trial):
        return None
    return state.active if feed.tick - state.active >= trial.policy.idle_seconds else None


def _largest(values: list[_Number | None]) -> _Number | None:
    """The largest; None for none at all, and if one is unknown."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None
