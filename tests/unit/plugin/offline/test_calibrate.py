"""A policy on a service's own past."""

import itertools
import random
from typing import Any

import pytest

from kubectl_sluice.offline import calibrate
from kubectl_sluice.offline.calibrate import TriedRelease
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.comparing.forecast import forecast_questions
from sluice_judge.model import Answered, Failed, Question, Series, Trial
from sluice_judge.replay import record
from sluice_judge.schema.policy import CanaryStep
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import ACCURACY, ERRORS, STABLE, START, make_trial
from tests.unit.plugin.views.builders import CANDIDATE, T0, make_rollout
from tests.unit.plugin.views.builders import STABLE as FIRST

assert ACCURACY.failure_ratio is not None
JUDGED = ACCURACY.model_copy(
    update={"failure_ratio": ACCURACY.failure_ratio.model_copy(update={"relative_tolerance": "25%"})}
)
POLICY = RolloutPolicySpec(
    objectives=[JUDGED, ERRORS],
    scrape_interval_seconds=15,
    bake_seconds=300,
    steps=[CanaryStep(weight=5), CanaryStep(weight=100)],
)
LENGTH = calibrate.release_seconds(POLICY)
HOUR = 3600.0


def past(*, wrong: Any, errors: float = 0.0, pods: int = 4) -> Prometheus:
    """Two hours and the bake of a service whose feedback names pods. wrong: share by pod and second since the start."""
    dice, prometheus = random.Random(11), Prometheus()
    prometheus.scrape(START)
    for second in range(15, int(calibrate.LEARNING_SECONDS + LENGTH) + 1, 15):
        failed = sum(dice.random() < errors for _ in range(150))
        prometheus.request(STABLE, times=150 - failed)
        prometheus.request(STABLE, times=failed, code="500")
        for pod in range(pods):
            bad = sum(dice.random() < wrong(pod, second) for _ in range(40))
            labels = {"revision": STABLE, "pod": f"{STABLE}-{pod}"}
            prometheus.count("client", "feedback_total", bad, correct="false", **labels)
            prometheus.count("client", "feedback_total", 40 - bad, correct="true", **labels)
        prometheus.scrape(START + second)
    return prometheus


def the_trial(policy: RolloutPolicySpec = POLICY) -> Trial:
    base = make_trial()
    trial = record.trial_of(
        namespace="shop",
        name="digits",
        stable=base.stable,
        candidate=base.stable,
        objectives=policy.objectives,
        preset=base.gateway.preset,
        namespace_label=base.gateway.namespace_label,
        now=START + calibrate.LEARNING_SECONDS + LENGTH,
        scrape_interval_seconds=15.0,
    )
    return replaced(trial, steps=(50, 1000), deadline_seconds=86_400.0)


def tried(prometheus: Prometheus, policy: RolloutPolicySpec = POLICY) -> TriedRelease:
    trial = the_trial(policy)
    found = calibrate.tried(trial, prometheus.answer(calibrate.questions(trial, policy), trial.now), policy)
    assert found is not None
    return found


def test_the_same_version_is_not_rolled_back_and_is_proven() -> None:
    found = tried(past(wrong=lambda _pod, _second: 0.05))

    assert not found.rolled_back
    assert found.begin == START + HOUR
    assert found.seconds == pytest.approx(LENGTH, abs=30)
    assert found.peak < 1
    assert found.probes == 0
    accuracy, errors = found.objectives["accuracy"], found.objectives["errors"]
    assert (accuracy.pods, errors.pods) == (4, 0)
    assert 1 <= accuracy.dispersion < 2
    assert accuracy.proven_seconds is not None
    assert errors.proven_seconds is not None
    assert errors.proven_seconds < accuracy.proven_seconds < HOUR
    assert accuracy.requests == pytest.approx(160 * 240, rel=0.02)


def test_a_pod_that_went_wrong_is_told_with_its_objective_and_time() -> None:
    """It happens 20 min after the release began; by every other scrape nobody would see it."""
    found = tried(past(wrong=lambda pod, second: 0.4 if pod == 1 and second > HOUR + 1200 else 0.05))

    assert found.rolled_back
    assert 1200 < found.seconds < 1500
    assert found.message.startswith("accuracy: candidate ")
    assert found.peak > 2
    assert found.objectives["accuracy"].peak > 2 > found.objectives["errors"].peak


def test_pods_that_swing_are_seen_in_the_dispersion() -> None:
    """Slow swings of each pod, of which every other scrape shows nothing."""
    found = tried(past(wrong=lambda pod, second: 0.2 if (second // 300 + pod) % 2 else 0.02))
    assert found.objectives["accuracy"].dispersion > 5
    assert not found.rolled_back


def test_a_fault_that_begins_in_the_bake_is_compared_with_the_limit() -> None:
    """Of both halves: they are asked, and are alike. Of one half: the probe tells them apart."""
    found = tried(past(wrong=lambda _pod, second: 0.5 if second > 2 * HOUR + 60 else 0.05))
    assert not found.rolled_back
    assert found.probes == 1
    assert found.seconds == pytest.approx(LENGTH, abs=30)
    apart = tried(past(wrong=lambda pod, second: 0.5 if pod % 2 and second > 2 * HOUR + 60 else 0.05))
    assert apart.rolled_back
    assert apart.probes == 1
    assert HOUR < apart.seconds < HOUR + 300


def test_a_limit_alone_begins_a_probe_in_the_bake_as_well() -> None:
    assert ACCURACY.failure_ratio is not None
    alone = ACCURACY.model_copy(update={"name": "accuracy"})
    policy = POLICY.model_copy(update={"objectives": [alone, ERRORS]})
    found = tried(past(wrong=lambda _pod, second: 0.5 if second > 2 * HOUR + 60 else 0.05), policy)
    assert not found.rolled_back
    assert found.probes == 1
    apart = tried(past(wrong=lambda pod, second: 0.5 if pod % 2 and second > 2 * HOUR + 60 else 0.05), policy)
    assert apart.rolled_back


def test_no_deadline_ends_a_release() -> None:
    hasty = POLICY.model_copy(update={"progress_deadline_seconds": 60, "on_deadline": "RollBack"})
    assert not tried(past(wrong=lambda _pod, _second: 0.05), hasty).rolled_back


def test_nothing_counted_is_no_release() -> None:
    trial = the_trial()
    answers = {question.key: Answered(()) for question in calibrate.questions(trial, POLICY)}
    assert calibrate.tried(trial, answers, POLICY) is None


def test_the_forecast_says_which_objective_cannot_be_proven() -> None:
    over = ACCURACY.model_copy(update={"name": "strict"})
    policy = POLICY.model_copy(update={"objectives": [over, ERRORS]})
    prometheus = past(wrong=lambda _pod, _second: 0.3)
    trial = the_trial(policy)
    forecast, plans = calibrate.needed(trial, prometheus.answer(forecast_questions(trial), trial.now))

    assert [(plan.name, plan.provable) for plan in plans] == [("strict", False), ("errors", True)]
    assert plans[0].first_seconds is None
    assert (plans[1].first_seconds or 0) > 0
    assert "no weight can prove strict" in forecast.message


@pytest.mark.parametrize(
    ("hours", "want"),
    [
        pytest.param(2, 0, id="too short"),
        pytest.param(2.2, 1, id="one"),
        pytest.param(24, 21, id="as many as there is room for"),
        pytest.param(24 * 30, calibrate.MOST_RELEASES, id="never more than that"),
    ],
)
def test_places_are_spread_over_the_time(hours: float, want: int) -> None:
    now = T0 + 1e7
    found = calibrate.places((), STABLE, POLICY, since=now - hours * HOUR, until=now)

    assert len(found) == want
    assert {place.revision for place in found} <= {STABLE}
    begins = [place.begin for place in found]
    assert all(later - earlier >= LENGTH for earlier, later in itertools.pairwise(begins))
    assert all(begin - HOUR >= now - hours * HOUR and begin + LENGTH <= now for begin in begins)


def test_places_leave_releases_out_and_are_of_the_version_of_their_time() -> None:
    """A release in the middle of two days, which ended with the new version."""
    changes = {"outcome": "Promoted", "startTime": "2026-03-02T12:00:00Z", "endTime": "2026-03-02T15:00:00Z"}
    rollout = make_rollout(**changes)
    begun, ended = T0 + 24 * HOUR, T0 + 27 * HOUR
    found = calibrate.places((rollout,), CANDIDATE, POLICY, since=T0, until=T0 + 48 * HOUR)

    assert {place.revision for place in found if place.begin < begun} == {FIRST}
    assert {place.revision for place in found if place.begin > begun} == {CANDIDATE}
    assert all(place.begin + LENGTH <= begun or place.begin - HOUR >= ended for place in found)
    running = make_rollout(startTime="2026-03-02T12:00:00Z")
    assert all(
        place.begin + LENGTH <= begun
        for place in calibrate.places((running,), FIRST, POLICY, since=T0, until=T0 + 48 * HOUR)
    )


def test_a_rolled_back_release_leaves_the_version_in_place_and_a_first_one_has_none_before() -> None:
    ended = {"startTime": "2026-03-02T12:00:00Z", "endTime": "2026-03-02T12:10:00Z"}
    back = make_rollout(outcome="RolledBack", **ended)
    found = calibrate.places((back,), FIRST, POLICY, since=T0, until=T0 + 48 * HOUR)
    assert {place.revision for place in found} == {FIRST}
    first = make_rollout(outcome="Promoted", first=True, **ended)
    found = calibrate.places((first,), CANDIDATE, POLICY, since=T0, until=T0 + 48 * HOUR)
    assert min(place.begin for place in found) > T0 + 24 * HOUR


def test_a_question_in_two_halves_has_the_same_answer() -> None:
    whole = Question("x", "up", 101)
    (earlier, before), (later, after) = calibrate.in_halves(whole, 1000.0)
    assert (before - earlier.window_seconds, before, after) == (899.0, after - later.window_seconds, 1000.0)

    labels = {"pod": "a"}
    parts = [
        Answered((Series(labels, ((900.0, 1.0), (950.0, 2.0))),)),
        Answered((Series(labels, ((950.0, 2.0), (960.0, 3.0))),)),
    ]
    only_later = Series({"pod": "b"}, ((970.0, 1.0),))
    joined = calibrate.together(parts[0], Answered((*parts[1].series, only_later)))
    assert joined == Answered((Series(labels, ((900.0, 1.0), (950.0, 2.0), (960.0, 3.0))), only_later))
    assert calibrate.together(parts[0], Failed("no")) == Failed("no")
    assert calibrate.together(parts[0], Answered((), (labels,))) == Answered(parts[0].series, (labels,))
