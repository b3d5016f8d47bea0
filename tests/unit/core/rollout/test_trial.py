"""What the judge is told of a running release."""

from dataclasses import replace

import pytest

from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.kernel.snapshot import Pod, Revision
from sluice_core.rollout import trial
from tests.support.cases import builders, changes, moments
from tests.support.cases.builders import NOW
from tests.support.cases.moments import CANDIDATE, STABLE, at
from tests.support.cases.situations import asking, make_release, make_situation

DOWN = moments.running(STABLE, 0, replicas=0)
AWAY = moments.running(STABLE, 0)
HUNG = Pod("pod", ready=False, restarts=0, terminating=False, server_since=NOW - 600)
GONE = moments.running(CANDIDATE, 0)


@pytest.mark.parametrize(
    ("capacity", "stable", "candidate", "want"),
    [
        pytest.param("Recreate", DOWN, GONE, True, id="its pod is made again, and there is no room for another"),
        pytest.param("Recreate", DOWN, moments.running(CANDIDATE, 1), False, id="a pod answers"),
        pytest.param("Recreate", DOWN, replace(GONE, pods=(HUNG,)), False, id="its server runs on and does not answer"),
        pytest.param("Auto", DOWN, GONE, False, id="stable was scaled to nothing by somebody else"),
        pytest.param("Auto", AWAY, GONE, True, id="both are away"),
        pytest.param("Auto", moments.running(STABLE), GONE, False, id="stable serves"),
    ],
)
def test_an_outage_proves_nothing(capacity: str, stable: Revision, candidate: Revision, want: bool) -> None:
    step = {"permille": 1000, "startTime": at(-60)}
    release = make_release(
        capacity=capacity,
        steps=[{"weight": 100}],
        status={"step": 1, "permille": 1000, "steps": [step], "unreadySince": at(-10), "startTime": at(-90)},
    )
    made = trial.running_trial(make_situation(release, stable=stable, revisions=(stable, candidate)))
    assert made is not None
    assert made.servers.outage is want


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, True, id="stable stays warm"),
        pytest.param({"capacity": "ShrinkStable"}, True, id="a pod of it does"),
        pytest.param({"capacity": "Recreate"}, False, id="it was taken down to make room"),
    ],
)
def test_the_bake_asks_where_stable_has_pods(spec: dict[str, str], want: bool) -> None:
    made = trial.running_trial(make_situation(make_release(status=IN_A_STEP, **spec)))
    assert made is not None
    assert (made.policy.asks, made.exposure.probing, made.exposure.baking) == (want, False, False)


def test_a_probe_is_a_step_with_its_own_share() -> None:
    release = make_release(status={**changes.PROBING["status"], "startTime": at(-90)})
    made = trial.running_trial(make_situation(release))
    assert made is not None
    assert (made.exposure.probing, made.exposure.baking, made.exposure.permille, made.exposure.step) == (
        True,
        False,
        500,
        4,
    )


IN_A_STEP = {"step": 1, "permille": 50, "steps": [{"permille": 50, "startTime": at(-60)}], "startTime": at(-90)}


@pytest.mark.parametrize("action", list(Action))
def test_intents_that_need_no_samples_are_told_to_the_judge(action: Action) -> None:
    release = asking(make_release(status=IN_A_STEP), action)
    made = trial.running_trial(make_situation(release))
    assert made is not None
    assert made.intent_waits is (action not in (Action.RESUME, Action.RETRY))


def test_an_intent_needs_no_forecast_either() -> None:
    release = make_release(status={"startTime": at(-90)})
    assert trial.forecast_trial(make_situation(release)) is not None
    assert trial.forecast_trial(make_situation(asking(release, Action.ABORT))) is None


@pytest.mark.parametrize(
    ("since", "conditions", "want"),
    [
        (None, [("MetricsAvailable", "Prometheus is away")], ""),
        (at(-10), [("Ready", "all is well"), ("MetricsAvailable", "Prometheus is away")], "Prometheus is away"),
        (at(-10), [], "nothing could be seen at the last look"),
    ],
)
def test_who_was_blind_at_the_last_look_is_told_why(
    since: str | None, conditions: list[tuple[str, str]], want: str
) -> None:
    situation = make_situation(make_release(status={**IN_A_STEP, "blindSince": since}))
    deployment = situation.snapshot.deployment
    said = [
        Condition(type=name, status=ConditionStatus.FALSE, reason="X", message=message, last_transition_time=at(0))
        for name, message in conditions
    ]
    model = deployment.model_copy(update={"status": deployment.status.model_copy(update={"conditions": said})})
    made = trial.running_trial(replace(situation, snapshot=replace(situation.snapshot, deployment=model)))
    assert made is not None
    assert made.last.blind == want


def test_the_judge_waits_for_answers_as_long_as_the_route_does() -> None:
    made = trial.running_trial(make_situation(make_release(status=IN_A_STEP)))
    assert made is not None
    assert made.gateway.answer_seconds == 30


@pytest.mark.parametrize("step", [0, 1], ids=["before the first step", "in a step"])
def test_each_version_is_asked_for_what_its_own_server_counts(step: int) -> None:
    runtimes = tuple(
        builders.make_runtime(
            name=name,
            metrics={"port": 1, "histograms": [{"name": "EndToEnd", "bucket": f"{series}{{ {{{{pods}}}} }}"}]},
        )
        for name, series in (("old", "before"), ("new", "after"))
    )
    stable, candidate = replace(STABLE, runtime="old"), replace(CANDIDATE, runtime="new")
    release = make_release(status=IN_A_STEP if step else {"startTime": at(-90)})
    situation = make_situation(release, stable=stable, revisions=(stable, candidate))
    situation = replace(situation, snapshot=replace(situation.snapshot, runtimes=runtimes))
    made = (trial.running_trial if step else trial.forecast_trial)(situation)
    assert made is not None
    assert [own.histograms[0].bucket.partition("{")[0] for own in (made.servers.own, made.servers.candidate_own)] == [
        "before",
        "after",
    ]
    assert f'pod=~"{CANDIDATE.name}-' in made.servers.candidate_own.histograms[0].bucket
