"""What a release is told before it begins."""

import dataclasses
import math
import random
from collections.abc import Mapping

import pytest

from sluice_judge import accumulate, processes
from sluice_judge.comparing.forecast import POWER, forecast, forecast_questions
from sluice_judge.gateways import PRESETS
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.look import LookRules
from sluice_judge.model import Answer, Answered, Failed, Forecast, OwnCounters, Trial
from sluice_judge.samples import series
from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective, Source
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import planning
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ACCURACY, LATENCY, STABLE, START, make_trial
from tests.unit.judge import test_podswings

FULL = Objective(
    name="errors",
    failure_ratio=FailureRatio(
        events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
    ),
)
STEPS = (50, 250, 500, 1000)


def planning_trial(**changes: object) -> Trial:
    trial = make_trial(objectives=(FULL,), permille=0, steps=STEPS, deadline_seconds=86_400.0)
    return replaced(trial, **changes)


def served(hours: float, *, per_scrape: int, failures: int = 0, every: int = 60) -> Prometheus:
    """A stable version that has answered for so many hours, scraped once a minute."""
    prometheus = Prometheus()
    prometheus.scrape(START - hours * 3600 - every)
    for second in range(-int(hours * 3600), 1, every):
        prometheus.request(STABLE, times=per_scrape - failures, wrong=False)
        prometheus.request(STABLE, times=failures, code="500", wrong=True)
        prometheus.scrape(START + second)
    return prometheus


def goes_on(prometheus: Prometheus, seconds: int, *, per_scrape: int, every: int) -> None:
    """It answers for so many seconds more."""
    for second in range(every, seconds + 1, every):
        prometheus.request(STABLE, times=per_scrape, wrong=False)
        prometheus.scrape(START + second)


def told(trial: Trial, prometheus: Prometheus) -> Forecast:
    return forecast(trial, prometheus.answer(forecast_questions(trial), trial.now))


def test_rate_requests_and_time_of_each_step() -> None:
    found = told(planning_trial(), served(3, per_scrape=3000))

    assert found.rate == pytest.approx(50, rel=0.02)
    assert [step.permille for step in found.steps] == list(STEPS)
    first, second, third, bake = found.steps
    # ln(1/0.05) + 3 over I_abs = p* (1 - 0.1 ...) of a version that never fails: about 1,300 requests
    assert first.requests_needed is not None
    assert 1000 < first.requests_needed < 2000
    assert first.seconds == pytest.approx(first.requests_needed / (50 * 0.05), rel=0.03)
    assert second.seconds is not None
    assert first.seconds is not None
    assert first.seconds > second.seconds > (third.seconds or 0) > 0
    assert (bake.requests_needed, bake.seconds) == (0, 0.0)
    assert (found.lead_permille, found.smallest_permille) == (None, None)
    assert found.message.startswith(
        "the stable version gets 50.3 requests/s; 5 % needs about 1356 requests (9 min); 25 %"
    )


@pytest.mark.parametrize(
    ("rate", "count"),
    [pytest.param(0.02, 200, id="by comparison"), pytest.param(0.0005, 100, id="by the limit")],
)
def test_ten_objectives_are_proven_together_in_the_time_that_is_told(rate: float, count: int) -> None:
    """The shipped accumulators on a version that is as good as stable, at 25 %; each objective planned alone is too soon."""
    dice, kind = random.Random(7), kind_of(FULL)
    rules = kind.tests.rules(())
    expected = planning.Expectation(rate, 1.0, rules.advance_limit, rules.advance_ratio)
    taken = [count * scrapes_to_proof(dice, kind, rate, count) for _ in range(150)]

    def there(power: float) -> float:
        planned = expected.forecast(0.25, false_advance_probability=0.05, power=power)
        assert planned is not None
        return (sum(requests <= planned.requests for requests in taken) / len(taken)) ** 10

    assert there(0.5) < 0.3
    assert there(planning.power_of_each(POWER, 10)) >= POWER - 0.15


def scrapes_to_proof(dice: random.Random, kind: Kind, rate: float, count: int) -> int:
    """Of a step at 25 %: so many requests of the candidate in each scrape, and three times as many of stable."""
    state = ObjectiveState()
    for scrape in range(1, 1000):
        amounts = {
            ("C", "200"): float(count),
            ("C", "500"): float(poisson(dice, count * rate)),
            ("S", "200"): 3.0 * count,
            ("S", "500"): float(poisson(dice, 3 * count * rate)),
        }
        tick = series.Tick(5.0 * scrape, amounts, amounts)
        state = accumulate.observe(kind, state, (tick,), LookRules())
        _, proof = processes.evidence_of(processes.rules(kind, state), state)
        if proof >= math.log(20):
            return scrape
    raise AssertionError("never proven")


def poisson(dice: random.Random, mean: float) -> int:
    """Knuth's."""
    left, found = dice.random(), 0
    while left > math.exp(-mean):
        left *= dice.random()
        found += 1
    return found


def test_the_plan_counts_all_objectives() -> None:
    prometheus = served(3, per_scrape=3000, failures=60)
    many = tuple(FULL.model_copy(update={"name": f"errors-{number}"}) for number in range(10))
    alone, together = (told(planning_trial(objectives=each), prometheus).steps[0] for each in ((FULL,), many))

    assert alone.requests_needed is not None
    assert together.requests_needed is not None
    assert 1.3 < together.requests_needed / alone.requests_needed < 4


@pytest.mark.parametrize(
    ("failures", "gauge", "waits"),
    [
        pytest.param(0, True, 0, id="the gateway shows that old requests are gone"),
        pytest.param(0, False, 60, id="a stream may have no limit"),
        pytest.param(60, True, 60, id="a comparison waits in any case"),
    ],
)
def test_the_plan_counts_the_wait_for_answers(failures: int, gauge: bool, waits: int) -> None:
    prometheus = served(3, per_scrape=3000, failures=failures)
    preset = dataclasses.replace(PRESETS["contour"], **({} if gauge else {"unanswered": ""}))
    at_once, endless = (
        told(planning_trial(answer_seconds=limit, preset=preset), prometheus).steps[0] for limit in (0.0, math.inf)
    )
    assert endless.requests_needed == at_once.requests_needed
    assert (endless.seconds or 0) - (at_once.seconds or 0) == pytest.approx(waits)
    said = told(planning_trial(answer_seconds=math.inf, preset=preset), prometheus).message
    assert ("hang for more than 60 s is proven all the same" in said) is not gauge


def test_much_traffic_still_takes_half_a_dozen_scrapes_to_compare() -> None:
    found = told(planning_trial(), served(3, per_scrape=3_000_000, failures=60_000))

    assert found.steps[2].seconds is not None
    assert 6 * 5 < found.steps[2].seconds < 9 * 5


def test_young_version_is_told_from_what_there_is() -> None:
    assert told(planning_trial(), served(0.25, per_scrape=600)).rate == pytest.approx(10, rel=0.1)


def test_idle_hours_of_the_day_count() -> None:
    prometheus = served(23, per_scrape=600, every=300)
    quiet = dataclasses.replace(planning_trial(), now=START + 12 * 3600)
    for second in range(300, 12 * 3600 + 1, 300):
        prometheus.scrape(START + second)
    found = told(quiet, prometheus)

    assert found.rate == pytest.approx(1.0, rel=0.05), "2 per second in the first half of the last day, then none"


def test_lead_step_comes_before_the_first_weight() -> None:
    found = told(planning_trial(maximum_requests_at_risk=60), served(1, per_scrape=60_000))

    lead = found.lead_permille
    assert lead is not None
    assert [step.permille for step in found.steps] == [lead, *STEPS]
    assert found.rate * lead / 1000 * 5 <= 30 < found.rate * (lead + 1) / 1000 * 5
    assert "0.5 % comes first" in found.message


BY_RISK = {"maximum_requests_at_risk": 60, "by_risk": True, "steps": (500, 1000)}


@pytest.mark.parametrize(
    ("per_second", "shares"),
    [(1, [100]), (50, [100]), (500, [11, 110]), (5000, [1, 10, 100])],
)
def test_shares_follow_from_the_traffic(per_second: int, shares: list[int]) -> None:
    found = told(planning_trial(**BY_RISK), served(1, per_scrape=60 * per_second))

    assert [step.permille for step in found.steps] == [*shares, 500, 1000]
    assert found.lead_permille == shares[0]
    needed = [step.requests_needed for step in found.steps[:-1]]
    assert None not in needed
    assert (needed[0] or 0) < 200 < 1000 < (needed[-1] or 0)
    assert f"{shares[0] / 10:g} % needs about {needed[0]} requests" in found.message
    assert found.message.endswith("at each share a fault that shows within two scrapes harms about 60 requests at most")


def test_shares_follow_from_the_busier_of_hour_and_day() -> None:
    prometheus = served(24, per_scrape=6000)
    goes_on(prometheus, 3600, per_scrape=60_000, every=60)
    trial = replaced(planning_trial(**BY_RISK), now=START + 3600.0)

    assert told(trial, prometheus).lead_permille == pytest.approx(1000 * 30 / (1000 * 5), rel=0.2)


def test_shares_follow_from_what_a_version_gets_since_it_took_over() -> None:
    """In its own release it had few of the requests, minutes before the next one begins."""
    prometheus = served(1, per_scrape=300)
    goes_on(prometheus, 90, per_scrape=2500, every=5)
    trial = replaced(planning_trial(**BY_RISK), now=START + 90.0)

    assert told(trial, prometheus).lead_permille == pytest.approx(1000 * 30 / (500 * 5), rel=0.1)


def test_without_a_known_traffic_the_first_share_is_small() -> None:
    found = forecast(planning_trial(**BY_RISK), {})

    assert [step.permille for step in found.steps] == [50, 500, 1000]
    assert found.lead_permille == 50


def test_a_share_that_excludes_failures_waits_for_no_other_events() -> None:
    higher = ACCURACY.model_copy(
        update={
            "failure_ratio": FailureRatio(
                source=Source.QUERY, total="t", successes="s", goal="Higher", relative_tolerance="10%"
            )
        }
    )
    trial = planning_trial(objectives=(FULL,), **BY_RISK)
    prometheus = served(1, per_scrape=3000)
    both = told(replaced(trial, objectives=(FULL, higher)), prometheus)

    assert both.steps[0].requests_needed == told(trial, prometheus).steps[0].requests_needed
    assert both.steps[1].requests_needed is None


def test_no_lead_step_before_a_flip() -> None:
    found = told(planning_trial(maximum_requests_at_risk=60, steps=(0, 1000)), served(1, per_scrape=60_000))

    assert found.lead_permille is None
    assert [(step.requests_needed, step.seconds) for step in found.steps] == [(None, None), (0, 0.0)]


def test_first_weight_that_cannot_decide_in_time_is_named_with_the_smallest_that_can() -> None:
    found = told(planning_trial(deadline_seconds=3600.0, steps=(10, 1000)), served(3, per_scrape=300))
    again = told(
        planning_trial(deadline_seconds=3600.0, steps=(found.smallest_permille or 0, 1000)), served(3, per_scrape=300)
    )

    assert found.smallest_permille is not None
    assert found.smallest_permille > 10
    assert f"begin with {found.smallest_permille / 10:g} % or more" in found.message
    assert again.smallest_permille is None
    assert (again.steps[0].seconds or 0) <= 3600


def test_stable_version_near_its_limit_cannot_be_followed() -> None:
    alone = Objective(name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, maximum="1%"))
    found = told(planning_trial(objectives=(alone,)), served(2, per_scrape=1000, failures=30))

    assert found.steps[0].requests_needed is None
    assert "5 % cannot be decided by evidence" in found.message
    assert "no weight can prove errors within 24.0 h" in found.message


def test_query_objectives_count_in_their_own_rate() -> None:
    """Feedback comes for one request in ten."""
    prometheus = Prometheus()
    for second in range(-7200, 1, 60):
        prometheus.request(STABLE, times=540)
        prometheus.request(STABLE, times=60, wrong=False)
        prometheus.scrape(START + second)
    every = told(planning_trial(objectives=(ACCURACY,)), served(2, per_scrape=600))
    tenth = told(planning_trial(objectives=(ACCURACY,)), prometheus)

    assert tenth.rate == pytest.approx(every.rate, rel=0.02)
    assert tenth.steps[0].seconds == pytest.approx(10 * (every.steps[0].seconds or 0), rel=0.1)


def test_objectives_that_need_no_proof_are_not_waited_for() -> None:
    optional = FULL.model_copy(update={"required": False})

    assert told(planning_trial(objectives=(optional,)), served(1, per_scrape=600)).steps[0].requests_needed == 0


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, "it was not asked"),
        ({"requests": Failed("http://prometheus: no connection")}, "no connection"),
        ({"requests": Answered(())}, "Prometheus has no request of the stable version"),
    ],
    ids=["not asked", "away", "empty"],
)
def test_without_history_the_steps_are_there_but_not_their_needs(answers: Mapping[str, Answer], message: str) -> None:
    found = forecast(planning_trial(objectives=(FULL, LATENCY, ACCURACY)), answers)

    assert [(step.permille, step.requests_needed, step.seconds) for step in found.steps] == [
        (permille, None, None) for permille in STEPS
    ]
    assert message in found.message
    assert (found.rate, found.lead_permille, found.smallest_permille) == (0.0, None, None)


def test_long_windows_are_thinned_and_the_last_hour_is_not() -> None:
    asked = forecast_questions(planning_trial())

    assert {(question.window_seconds, question.step_seconds) for question in asked} == {(86_400, 300), (3600, None)}
    assert len({question.key for question in asked}) == len(asked)


SLOWER = Objective(name="latency", latency=Latency(relative_tolerance="25%"))


def test_a_step_whose_pods_cannot_be_compared_does_not_wait_for_latency() -> None:
    prometheus = served(3, per_scrape=3000)
    alone = told(planning_trial(objectives=(FULL,)), prometheus)
    pods = {50: (1, 10), 250: (3, 10), 500: (5, 10), 1000: (10, 10)}
    both = told(planning_trial(objectives=(FULL, SLOWER), planned_pods=pods), prometheus)
    assert [step.requests_needed for step in both.steps[:2]] == [step.requests_needed for step in alone.steps[:2]]


def test_pods_that_swing_make_a_proof_take_longer() -> None:
    counters = OwnCounters(requests="requests", failures="failures")
    calm = planning_trial(planned_pods={50: (1, 4), 250: (1, 4), 500: (2, 4), 1000: (4, 4)}, own=counters)
    calm = dataclasses.replace(calm, stable=dataclasses.replace(calm.stable, pods=4))
    prometheus = served(3, per_scrape=3000, failures=15)
    asked = forecast_questions(calm)
    known = prometheus.answer([each for each in asked if not each.key.startswith("own/")], calm.now)
    own = [each for each in asked if each.key.startswith("own/")]
    assert len(own) == 4
    steady, swinging = (
        forecast(calm, {**known, **{each.key: test_podswings.answered(each, sd=sd) for each in own}})
        for sd in (0.0, 0.5)
    )
    failed = forecast(calm, {**known, **{each.key: Failed("away") for each in own}})
    assert failed.steps[0].seconds == pytest.approx(steady.steps[0].seconds, rel=0.05), (
        "nothing waits for these answers"
    )
    for without, with_swings in zip(steady.steps[:3], swinging.steps[:3], strict=True):
        assert (with_swings.seconds or 0) > (without.seconds or 0) * 1.02


def test_what_nobody_can_see_is_said_before_the_release() -> None:
    first = Objective(
        name="first", latency=Latency(source=Source.SERVER, measure="TimeToFirstToken", relative_tolerance="25%")
    )
    found = told(planning_trial(objectives=(FULL, first)), served(3, per_scrape=3000))
    assert found.steps[0].requests_needed is None
    assert found.message.endswith(
        "; first: its ServingRuntime maps no histogram TimeToFirstToken (it has none); name its series in "
        "spec.metrics.histograms, or judge with source Gateway"
    )
