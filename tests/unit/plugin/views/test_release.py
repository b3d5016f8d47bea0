"""What `status` shows, from objects."""

from typing import Any

import pytest

from kubectl_sluice.views.live import Live, PodCount, answered
from kubectl_sluice.views.releases.release import newest_first, release_view
from kubectl_sluice.views.reports import driftplot
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, condition, make_deployment, make_rollout

DOWN = [condition("Ready", "False", "NoStableVersion"), *builders.RELEASING[1:]]
INTENT = {"action": "Pause", "requestedBy": "alice", "requestTime": "2026-03-01T12:00:30Z"}


@pytest.mark.parametrize(
    ("conditions", "status", "want"),
    [
        (builders.HEALTHY, None, "serves the requested version"),
        (builders.ROLLED_BACK, builders.BAD, "serves, but not the requested version"),
        ([condition("Ready", "False", "NotServing")], None, "not ready"),
        (DOWN, builders.BAD, "DOWN, no version answers"),
        (builders.RELEASING, builders.RUNNING, "releasing: step 2 of 4, 25 %"),
        (builders.RELEASING, builders.RUNNING | {"paused": True}, "releasing: step 2 of 4, 25 %, paused"),
        (builders.RELEASING, {"verdict": "Wait"}, "the candidate is starting"),
        (DOWN, {"verdict": "Wait"}, "DOWN, no version answers; the candidate is starting"),
        (builders.RELEASING, {"verdict": "Wait", "reason": "Validating"}, "the candidate answers labelled data first"),
        (
            builders.RELEASING,
            {"step": 4, "permille": 1000, "weight": 100, "bakeEndTime": "2026-03-01T12:00:40Z"},
            "at 100 %, the old version stays warm for 40s more",
        ),
        (
            builders.RELEASING,
            {"step": 4, "permille": 500, "weight": 50, "bakeEndTime": "2026-03-01T12:00:40Z", "probe": builders.PROBE},
            "the bake asks the stable version: the candidate has 50 % for at most 5m00s more",
        ),
    ],
)
def test_headline(conditions: list[dict[str, Any]], status: dict[str, Any] | None, want: str) -> None:
    rollouts = [] if status is None else [make_rollout(**status)]
    gone = {"stable": {"revision": builders.STABLE, "weight": 100, "readyReplicas": 0, "replicas": 1}}
    deployment = make_deployment(conditions=conditions, **(gone if conditions is DOWN else {}))
    assert release_view(deployment, rollouts, now=T0).headline == want


BEHIND = "see kubectl sluice doctor digits -n default and docs/runbooks/operator-behind.md"


@pytest.mark.parametrize(
    ("observed", "live", "want"),
    [
        (2, Live(), f"the operator has not looked at generation 3 yet; {BEHIND}"),
        (
            2,
            Live(changed=T0 - 302, written=T0 - 720),
            "the operator has not looked at generation 3 yet (5m02s since the change); what is shown was written 12m00s "
            f"ago; {BEHIND}",
        ),
        (
            2,
            Live(changed=T0 - 2, written=T0 - 720),
            "the operator has not looked at generation 3 yet (2s since the change); what is shown was written 12m00s ago",
        ),
        (0, Live(changed=T0 + 5), "the operator has not looked at it yet (0s since the change)"),
    ],
)
def test_a_change_that_the_operator_has_not_looked_at_is_said_first(observed: int, live: Live, want: str) -> None:
    view = release_view(make_deployment(generation=3, observed=observed), [], now=T0, live=live)
    assert not view.seen
    assert view.headline == want


def test_what_the_pods_say_stands_before_what_was_written() -> None:
    """The operator is behind: its statuses are minutes old."""
    old = make_deployment(
        conditions=[condition("Ready", "False", "Unschedulable", "0 of 3 nodes have room")],
        stable={"revision": builders.STABLE, "weight": 100, "readyReplicas": 0, "replicas": 1},
    )
    live = Live(
        written=T0 - 252,
        pods={builders.STABLE: PodCount(1, 1)},
        address=answered(200, builders.STABLE),
    )
    view = release_view(old, [], now=T0, live=live)
    assert view.headline == "not ready (as the operator wrote 4m12s ago)"
    assert view.now == (
        "digits-1111111111: 1 of 1 pod ready; the operator wrote 4m12s ago: 0 of 1",
        "the address: answered by digits-1111111111; the operator wrote 4m12s ago: not ready",
    )
    [revision] = view.revisions
    assert (revision.ready, revision.ready_now, revision.pods_now, view.written_seconds) == (0, 1, 1, 252)


@pytest.mark.parametrize(
    "live", [Live(), Live(pods={builders.STABLE: PodCount(1, 2)}), Live(address=answered(503, "")), Live(pods=None)]
)
def test_what_agrees_is_not_said(live: Live) -> None:
    view = release_view(make_deployment(), [], now=T0, live=live)
    assert (view.now, view.headline) == ((), "serves the requested version")


def test_pods_that_are_gone_are_missed() -> None:
    view = release_view(make_deployment(), [], now=T0, live=Live(pods={}))
    assert view.now == ("digits-1111111111: 0 of 0 pods ready; the operator wrote: 1 of 1",)


def test_a_condition_says_since_when() -> None:
    conditions = [condition("Ready", "False", "WaitingForGateway")]
    [shown] = release_view(make_deployment(conditions=conditions), [], now=T0 + 252).conditions
    assert (shown.state, shown.age_seconds) == ("Ready=False for 4m12s", 252)


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({}, "errors: 0.47 % of 212 requests, not proven"),
        ({"message": ""}, "GatheringEvidence"),
        ({"verdict": "Blind", "message": "Prometheus is away"}, "Prometheus is away"),
        (
            {"paused": True, "message": "paused; resume with: kubectl sluice resume digits"},
            "paused; resume with: kubectl sluice resume digits",
        ),
        ({"outcome": "Promoted", "endTime": "2026-03-01T12:00:59Z"}, ""),
    ],
)
def test_waits_for(change: dict[str, Any], want: str) -> None:
    rollout = release_view(make_deployment(), [make_rollout(**builders.RUNNING | change)], now=T0 + 60).rollout
    assert rollout is not None
    assert rollout.waits_for == want


@pytest.mark.parametrize(
    ("observed", "want"),
    [
        (None, "Pause requested by alice at 2026-03-01T12:00:30Z, not handled yet"),
        (
            {"requestTime": "2026-03-01T11:00:00Z", "result": "paused"},
            "Pause requested by alice at 2026-03-01T12:00:30Z, not handled yet",
        ),
        ({"requestTime": "2026-03-01T12:00:30Z", "result": "paused"}, ""),
    ],
)
def test_unhandled_intent_is_shown(observed: dict[str, str] | None, want: str) -> None:
    rollout = release_view(make_deployment(), [make_rollout(intent=INTENT, observedIntent=observed)], now=T0).rollout
    assert rollout is not None
    assert rollout.asked == want


def test_revisions_get_their_model_from_the_releases() -> None:
    candidate = {"revision": builders.CANDIDATE, "modelVersion": "two", "weight": 25, "readyReplicas": 0, "replicas": 1}
    view = release_view(make_deployment(candidate=candidate), [make_rollout(**builders.RUNNING)], now=T0)
    assert [(r.role, r.uri, r.weight, r.ready, r.replicas) for r in view.revisions] == [
        ("stable", "s3://models/digits/1", "75 %", 1, 1),
        ("candidate", "s3://models/digits/2", "25 %", 0, 1),
    ]


def test_the_highest_sequence_is_the_newest() -> None:
    rollouts = [make_rollout(sequence=2, attempt=2), make_rollout(sequence=1), make_rollout(sequence=10, attempt=3)]
    assert [r.spec.sequence for r in newest_first(rollouts)] == [10, 2, 1]


def test_last_rollouts_are_the_ended_ones_with_what_they_cost() -> None:
    ended = make_rollout(target="digits-3333333333", created="2026-03-01T11:59:00Z", **builders.BAD)
    lines = release_view(make_deployment(), [make_rollout(sequence=2), ended], now=T0 + 120).last_rollouts
    assert [(line.outcome, line.duration_seconds, line.age_seconds, line.candidate_requests) for line in lines] == [
        ("RolledBack", 120, 60, 83)
    ]


def test_only_unwanted_conditions_are_shown_with_a_remedy() -> None:
    conditions = [
        condition("Ready", "True"),
        condition("Stalled", "True", "RuntimeNotFound", "no ServingRuntime x"),
        condition("Reconciling", "True"),
        condition("MetricsAvailable", "Unknown", "Unknown"),
        condition("CapacityAvailable", "Unknown", "NothingToRun", "no version is served"),
        condition("Current", "False", "RolledBack", "46 of 83 failed"),
        condition(
            "RoutesProgrammed",
            "False",
            "GatewayNotFound",
            "no Gateway a/b: kubectl get gateways -A; correct spec.routing.gatewayRef or the operator's config.gateway",
        ),
    ]
    shown = release_view(make_deployment(conditions=conditions), [], now=T0).conditions
    assert [(c.type, c.remedy) for c in shown] == [
        ("Stalled", "kubectl get servingruntimes.sluice.dev"),
        ("Current", "kubectl sluice retry digits -n default"),
        ("RoutesProgrammed", ""),
    ]  # its message says it already
    assert not release_view(make_deployment(conditions=builders.RELEASING), [make_rollout()], now=T0).conditions


def test_what_several_conditions_say_is_read_once() -> None:
    told = "no node for pod digits-0 (0 of 1): 1 Insufficient cpu"
    conditions = [
        condition("Ready", "False", "Unschedulable", told),
        condition("Current", "False", "Unschedulable", f"digits-1 cannot start: {told}"),
        condition("CapacityAvailable", "False", "Unschedulable", told),
        condition("RoutesProgrammed", "False", "GatewayNotFound", "no Gateway"),
    ]
    shown = release_view(make_deployment(conditions=conditions), [], now=T0).conditions
    assert [each.message for each in shown] == [told, "as Ready says", "as Ready says", "no Gateway"]
    assert [bool(each.remedy) for each in shown] == [True, False, False, True]


@pytest.mark.parametrize(
    ("status", "reason", "watched", "shown"),
    [
        pytest.param("True", "Steady", "held to errors at most 0.75%", [], id="nothing is wrong"),
        pytest.param("Unknown", "WatchLearns", "held to errors at most 0.75%", [], id="the first day"),
        pytest.param("False", "WorseThanBefore", "", ["Healthy=False for 0s"], id="worse"),
        pytest.param("Unknown", "WatchBlind", "", ["Healthy=Unknown for 0s"], id="blind"),
    ],
)
def test_what_the_watch_says_is_shown_once(status: str, reason: str, watched: str, shown: list[str]) -> None:
    conditions = [condition("Healthy", status, reason, "held to errors at most 0.75%")]
    view = release_view(make_deployment(conditions=conditions), [], now=T0)
    assert view.watched == watched
    assert [each.state for each in view.conditions] == shown


def test_features_that_have_moved_are_shown_with_both_distributions() -> None:
    deployment = make_deployment(watch=builders.MOVED)
    [age] = release_view(deployment, [], now=T0).moved
    assert age.words == "age: since 2026-03-01T11:50:00Z, stability index 0.27 over 1200 rows"
    assert [(each.name, each.reference_percent, each.now_percent) for each in age.bins] == [
        ("<18", 10.0, 31.2), ("<b>&", 0.0, 0.02), ("(missing)", 0.0, 0.0),
    ]  # fmt: skip
    picture = driftplot.svg(age)
    assert picture.count('class="now"') == picture.count('class="reference"') == 3
    assert "<b>" not in picture
    assert "&lt;18: 10 % before, 31.2 % now" in picture
    assert release_view(make_deployment(watch={"revision": "a"}), [], now=T0).moved == ()


def test_a_roll_back_is_shown_once() -> None:
    conditions = [condition(kind, status, "RolledBack", "46 of 83 failed") for kind, status in
                  (("Stalled", "True"), ("Current", "False"))]  # fmt: skip
    shown = release_view(make_deployment(conditions=conditions), [], now=T0).conditions
    assert [c.type for c in shown] == ["Current"]


@pytest.mark.parametrize(
    ("change", "want"),
    [
        ({"estimatedCompletionTime": "2026-03-01T12:02:14Z"}, 74),
        ({"estimatedCompletionTime": "2026-03-01T12:00:10Z"}, 0),
        ({"estimatedCompletionTime": None}, None),
        ({"outcome": "Promoted"}, None),
    ],
)
def test_time_until_the_decision(change: dict[str, Any], want: float | None) -> None:
    made = make_rollout(**builders.RUNNING | change)
    rollout = release_view(make_deployment(), [made], now=T0 + 60).rollout
    assert rollout is not None
    assert rollout.eta_seconds == want


def test_an_ended_release_needs_no_more_requests() -> None:
    rollout = release_view(make_deployment(), [make_rollout(**builders.BAD)], now=T0 + 60).rollout
    assert rollout is not None
    assert [o.state for o in rollout.objectives] == ["not proven", "worse"]
