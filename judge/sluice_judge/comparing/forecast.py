"""What a release will need: before its first weight estimated from the stable version, then from the release itself.

    last day, thinned ──> rate, share of events ─┐
    last hour, in full ──> dispersion ───────────┴──> requests and time of each step, lead step, smallest first weight

It decides nothing: the steps end by evidence, whenever that comes. A step's time is the one in which four of five
releases of an equally good version have all its proofs, from the request of its weight on:

    weight ──gateway──> fence ──answers in flight──> proofs count ──requests of the slowest proof──> the next weight

A day's average says little about the hour of a release, and nothing if its traffic has just begun. So the running step
and later ones are estimated anew (`ahead`) from the rate of requests in it, and from what the stable version has shown
in the release and, while that is little, before it.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from sluice_judge import accumulate, kinds, words
from sluice_judge.comparing import fairness, history, podswings
from sluice_judge.kind import Kind
from sluice_judge.model import Answers, Failed, Forecast, PlannedStep, Question, ReleasePlan, Trial
from sluice_judge.objectives import Rules
from sluice_judge.samples import changes, inflight
from sluice_judge.samples import questions as ask
from sluice_judge.state import ObjectiveState, State
from sluice_judge.stats import planning

WHOLE: Final = 1000
POWER: Final = 0.8
"""The chance that all proofs of a step exist in the forecast time."""
AVERAGE: Final = 0.5
"""The chance that one proof exists after its average time."""
SHARE_REQUESTS: Final = 100.0
"""With fewer in a step, the candidate's share of them is mostly the route's."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Duration:
    """The seconds that a proof takes."""

    requests: float
    """Until its requests have come."""
    scrapes: float
    """Until they were scraped often enough."""
    answers: float
    """Until earlier ones are answered."""

    @property
    def whole(self) -> float:
        return max(self.requests, self.scrapes) + self.answers


@dataclasses.dataclass(frozen=True, slots=True)
class _Need:
    """One required objective."""

    kind: Kind
    expectation: planning.Expectation
    rate: float
    """What it counts on the stable version per second: requests, or the feedback of a Query."""
    known: ObjectiveState
    """What was learnt of it before the release."""
    plan: ReleasePlan
    power: float = POWER
    """The chance that its proof is there in time."""

    def expected(self, permille: int, excludes: float | None = None) -> planning.Expectation:
        """What is expected at this weight: the pods' swings depend on their number, and on the requests of each."""
        pods, rate = self.plan.pods_at(permille), self.rate
        if self._beside_baseline(permille):
            pods, rate = (pods[0], pods[0]), 2 * self.rate * permille / WHOLE
        phi = accumulate.expected_dispersion(self.known, self.share(permille), rate, pods)
        expected = dataclasses.replace(self.expectation, dispersion=phi)
        share = planning.excluded(excludes, usual=expected.rate, limit=expected.limit)
        return expected if share is None else dataclasses.replace(expected, limit=share)

    def share(self, permille: int) -> float:
        """The candidate's share, 0..1, of the requests that are compared."""
        return 0.5 if self._beside_baseline(permille) else permille / WHOLE

    def _beside_baseline(self, permille: int) -> bool:
        return self.kind.traits.by_baseline and self.plan.has_baseline(permille)

    def proof(self, trial: Trial, permille: int) -> _Duration | None:
        """The time until the proof at this weight; None if there is none."""
        expected = self.expected(permille, trial.plan.excludes.get(permille))
        found = expected.forecast(self.share(permille), false_advance_probability=trial.policy.beta, power=self.power)
        seconds = None if found is None else planning.eta_seconds(found.requests, self.rate * permille / WHOLE)
        if found is None or seconds is None:
            return None
        waits = 0.0 if found.largest_nats == math.inf else changes.longest_answer_seconds(trial)
        return _Duration(seconds, found.scrapes * trial.gateway.scrape_interval_seconds, max(waits, _waits(trial)))


def forecast_questions(trial: Trial) -> tuple[Question, ...]:
    """The stable version's last day and last hour."""
    return (*history.day_questions(trial), *ask.wanted(trial, {}, counted=True), *podswings.questions(trial))


def forecast(trial: Trial, answers: Answers) -> Forecast:
    """Requests and time of each step; without an answer or traffic, the steps without their needs."""
    needed = [answer for key, answer in answers.items() if not podswings.optional(key)]
    failure = next((answer.message for answer in needed if isinstance(answer, Failed)), "")
    if failure or not answers:
        return _unknown(trial, f"no forecast: Prometheus does not answer: {failure or 'it was not asked'}")
    hour = history.shown(trial, answers, ask.HISTORY_SECONDS, trial.gateway.scrape_interval_seconds)
    day = history.day(trial, answers)
    whole = history.traffic(trial, day), history.traffic(trial, hour)
    traffic = max(whole, key=lambda seen: seen.seconds)
    if traffic.rate == 0:
        unknown = _unknown(trial, "no forecast: Prometheus has no request of the stable version")
        return dataclasses.replace(unknown, silent=True)
    required = [kind for kind in kinds.kinds_of(trial) if kind.objective.required and kind.name != trial.policy.metric]
    hidden = "; ".join(f"{kind.name}: {why}" for kind in required if (why := kind.sampling.hidden(trial)))
    peak = max(seen.rate for seen in (*whole, history.lately(trial, hour))) if trial.plan.by_risk else traffic.rate
    return _forecast(trial, traffic.rate, peak, [_need(trial, kind, day, hour, answers) for kind in required], hidden)


def ahead(trial: Trial, state: State) -> tuple[PlannedStep, ...]:
    """The steps after the running one, from what is seen in it; none before all that they have to prove was counted."""
    if not 0 < trial.exposure.permille < WHOLE or trial.exposure.probing:
        return ()
    required = [kind for kind in kinds.kinds_of(trial) if kind.objective.required and kind.name != trial.policy.metric]
    needs = [_seen_need(trial, kind, state.objectives.get(kind.name, ObjectiveState())) for kind in required]
    rate = max((need.rate for need in needs), default=0.0)
    if not all(need.rate > 0 for need in needs) or rate == 0:
        return ()
    return tuple(
        _step(trial, rate, needs, permille, power=None)
        for permille in trial.plan.steps
        if trial.exposure.permille < permille
    )


def remaining(trial: Trial, tests: Rules, known: ObjectiveState, advance_log: float) -> int | None:
    """Candidate requests that a proof still needs in this step; None if it is impossible. advance_log: its evidence.

    For a candidate as good as the stable version appears; for the candidate itself while stable shows nothing.
    """
    share = _share(trial, known)
    phi = known.dispersion
    if share > 0:
        phi = accumulate.expected_dispersion(known, share, candidate_rate(trial, known) / share, podswings.pods(trial))
    expected = planning.Expectation(expected_share(tests, known), phi, tests.advance_limit, tests.advance_ratio)
    found = expected.forecast(share, false_advance_probability=trial.policy.beta)
    return None if found is None else math.ceil(found.remaining(known.step.candidate_requests, advance_log))


def expected_share(tests: Rules, known: ObjectiveState) -> float:
    """The share of events, 0..1, that stable has shown in the release, and before it as far as needed."""
    seen, (before, events) = known.total, known.before
    weight = min(1.0, accumulate.FEW_REQUESTS / before) if before > 0 else 0.0
    requests = seen.stable_requests + weight * before
    if requests == 0:
        return planning.smoothed_rate(seen.candidate_events, seen.candidate_requests, limit=tests.advance_limit)
    return planning.smoothed_rate(seen.stable_events + weight * events, requests, limit=tests.advance_limit)


def candidate_rate(trial: Trial, known: ObjectiveState) -> float:
    """Candidate requests per second in the evidence of this step; 0 before the first."""
    return _per_second(trial, known, known.step.candidate_requests)


def _per_second(trial: Trial, known: ObjectiveState, requests: float) -> float:
    if known.step_start is None or known.step_end is None:
        return 0.0
    # The first tick's own interval began before its time.
    return requests / (known.step_end - known.step_start + trial.gateway.scrape_interval_seconds)


def _share(trial: Trial, known: ObjectiveState) -> float:
    """The candidate's share of the requests, 0..1."""
    ours, theirs, by_route = known.step.candidate_requests, known.step.stable_requests, trial.exposure.permille / WHOLE
    if by_route == 0:
        return known.step.candidate_share
    return (ours + SHARE_REQUESTS * by_route) / (ours + theirs + SHARE_REQUESTS)


def _seen_need(trial: Trial, kind: Kind, known: ObjectiveState) -> _Need:
    tests = kind.tests.rules(known.boundaries)
    rate = _per_second(trial, known, known.step.candidate_requests + known.step.stable_requests)
    expectation = planning.Expectation(
        expected_share(tests, known), known.dispersion, tests.advance_limit, tests.advance_ratio
    )
    return _Need(kind, expectation, rate, known, trial.plan)


def _forecast(trial: Trial, rate: float, peak: float, needs: Sequence[_Need], hidden: str) -> Forecast:
    """peak: the rate that the first share depends on. hidden: which objectives cannot be seen, and what to do; or
    empty."""
    first = _first(trial)
    trial = _with_lead(trial, _lead(trial, peak, first))
    steps = tuple(_step(trial, rate, needs, permille) for permille in trial.plan.steps)
    smallest, warning = _smallest(trial, needs, first)
    return Forecast(
        rate, steps, trial.plan.lead, smallest, _message(trial, rate, steps, hidden or warning or _endless(trial))
    )


def _lead(trial: Trial, rate: float, first: int | None) -> int | None:
    """The share of a smaller step before the first one; None if there is none. rate: 0 if it is unknown."""
    if first is None or trial.plan.maximum_requests_at_risk == 0:
        return None
    if rate == 0:
        return planning.UNKNOWN_LEAD if trial.plan.by_risk else None
    largest = planning.LARGEST_LEAD if trial.plan.by_risk else first
    lead = planning.lead_permille(
        requests_per_second=rate,
        scrape_seconds=trial.gateway.scrape_interval_seconds,
        maximum_requests_at_risk=trial.plan.maximum_requests_at_risk,
        first_permille=largest,
    )
    return largest if lead is None and trial.plan.by_risk else lead


def _endless(trial: Trial) -> str:
    """What a route without a limit means for proofs, if the gateway does not report requests in flight; or empty."""
    if trial.gateway.answer_seconds < math.inf or inflight.known(trial):
        return ""
    return (
        f"the route has no limit, so a version whose answers hang for more than {inflight.ENDLESS_SECONDS:.0f} s is proven "
        "all the same; set spec.routing.timeouts"
    )


def _unknown(trial: Trial, message: str) -> Forecast:
    trial = _with_lead(trial, _lead(trial, 0.0, _first(trial)))
    steps = tuple(PlannedStep(permille, None, None) for permille in trial.plan.steps)
    return Forecast(0.0, steps, trial.plan.lead, None, message)


def _first(trial: Trial) -> int | None:
    """The first weight that evidence decides; None if the flip is the first."""
    return next((permille for permille in trial.plan.steps if 0 < permille < WHOLE), None)


def _with_lead(trial: Trial, lead: int | None) -> Trial:
    """The trial with the smaller steps that come first."""
    first, plan = _first(trial), trial.plan
    if lead is None or first is None:
        return trial
    index, excludes = plan.steps.index(first), planning.rising_shares(lead) if plan.by_risk else {}
    every = (*plan.steps[:index], *(excludes or (lead,)), *plan.steps[index:])
    return dataclasses.replace(trial, plan=dataclasses.replace(plan, steps=every, excludes=excludes, lead=lead))


def _step(
    trial: Trial, rate: float, needs: Sequence[_Need], permille: int, *, power: float | None = POWER
) -> PlannedStep:
    """Weight 100 waits for no evidence; the numbers of mirrored and preview requests are not known before. power: the
    chance that all proofs exist by then; None: their average times, as in `remaining` for the running step."""
    if permille >= WHOLE:
        return PlannedStep(permille, 0, 0.0)
    if permille == 0:
        return PlannedStep(permille, None, None)
    proofs = [need.proof(trial, permille) for need in _required(trial, needs, permille, power)]
    known = [one for one in proofs if one is not None]
    if len(known) < len(proofs):
        return PlannedStep(permille, None, None)
    if not known:
        return PlannedStep(permille, 0, 0.0)
    asked = max(duration.requests for duration in known)
    return PlannedStep(
        permille,
        math.ceil(asked * rate * permille / WHOLE),
        _lead_seconds(trial) + max(duration.whole for duration in known),
    )


def _lead_seconds(trial: Trial) -> float:
    """Seconds from a new weight to the first scrape whose requests may prove something."""
    return trial.gateway.preset.settle_seconds + trial.gateway.scrape_interval_seconds


def _waits(trial: Trial) -> float:
    """Seconds for which a proof by totals waits for answers; a comparison waits in any case (`proofs`)."""
    return 0.0 if inflight.known(trial) else changes.longest_answer_seconds(trial)


def _required(trial: Trial, needs: Sequence[_Need], permille: int, power: float | None = POWER) -> list[_Need]:
    """The objectives that a step at this weight has to prove, each with a chance such that all are proven in time."""
    excludes = permille in trial.plan.excludes
    wanted = [
        need
        for need in needs
        if (need.kind.tests.rules(()).excludable or not excludes)
        and fairness.waits(trial, need.kind, permille=permille, load=permille)
    ]
    each = AVERAGE if power is None else planning.power_of_each(power, len(wanted))
    return [dataclasses.replace(need, power=each) for need in wanted]


def _smallest(trial: Trial, needs: Sequence[_Need], first: int | None) -> tuple[int | None, str]:
    """The smallest first weight that can decide in time, if the first one cannot; and that in words."""
    if first is None or trial.plan.deadline_seconds <= 0:
        return None, ""
    left = trial.plan.deadline_seconds - _lead_seconds(trial)
    wanted = _required(trial, needs, first)
    late = [need for need in wanted if (proof := need.proof(trial, first)) is None or proof.whole > left]
    if not late:
        return None, ""
    within = words.duration(trial.plan.deadline_seconds)
    each = [_deciding(trial, need) for need in late]
    known = [permille for permille in each if permille is not None]
    names = ", ".join(need.kind.name for need in late)
    if len(known) < len(each):
        return None, (
            f"no weight can prove {names} within {within}: the stable version itself is too close to its limit, or "
            "has too little traffic; change the objective, or promote by hand"
        )
    smallest = max(known)
    return smallest, (
        f"{words.weight(first)} cannot prove {names} within {within}: begin with {words.weight(smallest)} or more, or "
        "raise progressDeadlineSeconds"
    )


def _deciding(trial: Trial, need: _Need) -> int | None:
    return planning.smallest_deciding_permille(
        [need.expected(_first(trial) or WHOLE)],
        requests_per_second=need.rate,
        seconds=trial.plan.deadline_seconds - _lead_seconds(trial) - _waits(trial),
        false_advance_probability=trial.policy.beta,
        power=need.power,
    )


def _need(trial: Trial, kind: Kind, day: history.Shown, hour: history.Shown, answers: Answers) -> _Need:
    known = podswings.known(trial, kind, history.learnt(trial, kind, hour, day), answers)
    seen = max((history.counted(kind, known, shown) for shown in (day, hour)), key=lambda found: found.seconds)
    tests = kind.tests.rules(known.boundaries)
    rate = planning.smoothed_rate(seen.events, seen.requests, limit=tests.advance_limit)
    expectation = planning.Expectation(rate, known.dispersion, tests.advance_limit, tests.advance_ratio)
    return _Need(kind, expectation, seen.rate, known, trial.plan)


def _message(trial: Trial, rate: float, steps: Sequence[PlannedStep], warning: str) -> str:
    plan = trial.plan
    parts = [
        f"the stable version gets {rate:.3g} requests/s",
        *(_words(step) for step in steps if 0 < step.permille < WHOLE),
    ]
    if plan.excludes:
        most = plan.maximum_requests_at_risk
        parts.append(f"at each share a fault that shows within two scrapes harms about {most} requests at most")
    elif plan.lead is not None:
        parts.append(f"{words.weight(plan.lead)} comes first, to limit the requests that one scrape puts at risk")
    return "; ".join([*parts, warning] if warning else parts)


def _words(step: PlannedStep) -> str:
    if step.requests_needed is None or step.seconds is None:
        return f"{words.weight(step.permille)} cannot be decided by evidence"
    return f"{words.weight(step.permille)} needs about {step.requests_needed} requests ({words.duration(step.seconds)})"
