"""Every strategy with a virtual clock: users counted, laws checked on every reconcile."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_judge.schema.policy import Stepping
from sluice_judge.stats import planning
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, FAILING, V1, V2, WRONG

SHADOW: dict[str, Any] = {"strategy": "Shadow", "shadow": {"minimumRequests": 100}}
BLUE_GREEN: dict[str, Any] = {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 30}}
RECREATE: dict[str, Any] = {"strategy": "Recreate"}
CANARY: dict[str, Any] = {"strategy": "Canary", "canary": {"steps": [{"weight": 10}, {"weight": 100}]}}
MIRRORED_CANARY: dict[str, Any] = {**CANARY, "shadow": {"minimumRequests": 100}}
MIRRORED_BLUE_GREEN: dict[str, Any] = {**BLUE_GREEN, "shadow": {"minimumRequests": 100}}
STRATEGIES: dict[str, dict[str, Any]] = {
    "canary": CANARY,
    "bluegreen": BLUE_GREEN,
    "shadow": SHADOW,
    "recreate": RECREATE,
    "mirrored-canary": MIRRORED_CANARY,
    "mirrored-bluegreen": MIRRORED_BLUE_GREEN,
}

OTHERS = tuple(name for name in STRATEGIES if name != "canary")
CANARY_FIRST = ("canary", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS))
"""For tests of what all strategies have in common."""
BOTH_FIRST = (
    "canary",
    "recreate",
    *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS if name != "recreate"),
)
"""For tests of what all strategies with two versions at once have in common, and of the one without."""


def serving(rollout: dict[str, Any], **settings: Any) -> Cluster:
    return scenarios.serving_cluster(spec={"rollout": rollout}, **settings)


def begin(cluster: Cluster, uri: str, rollout: dict[str, Any], **spec: Any) -> None:
    cluster.user_applies(scenarios.manifest(uri, rollout=rollout, **spec))


def until_end(cluster: Cluster, seconds: float = 900) -> None:
    before = cluster.newest().metadata.name
    cluster.run(
        seconds,
        check=Laws(cluster).check,
        until=lambda: cluster.newest().status.outcome is not None and cluster.newest().metadata.name >= before,
    )


def until_reason(cluster: Cluster, reason: str, seconds: float = 300) -> None:
    cluster.run(seconds, check=Laws(cluster).check, until=lambda: cluster.newest().status.reason == reason)
    assert cluster.newest().status.reason == reason, cluster.newest().status.message


def steps_of(cluster: Cluster) -> list[str]:
    """The events, without transient reasons."""
    return [
        entry.what
        for entry in cluster.newest().status.timeline
        if entry.what.startswith(("Weight", "Mirror", "Preview", "Promoted", "RolledBack", "PausedAtStep"))
    ]


def only_one_left(cluster: Cluster) -> None:
    """After the drain one version is left, with one Service and one route."""
    cluster.run(120, check=Laws(cluster).check)
    for kind in ("Deployment", "Service", "HTTPRoute"):
        assert len([name for k, name in cluster.objects if k == kind]) == 1, kind


def test_blue_green_previews_flips_and_keeps_blue_warm() -> None:
    cluster = serving(BLUE_GREEN)
    blue = cluster.newest().spec.target.revision
    begin(cluster, V2, BLUE_GREEN)
    cluster.preview_per_second = 5
    cluster.run(25, check=Laws(cluster).check)
    green = cluster.newest().spec.target.revision
    assert cluster.weights() == {blue: 1000}
    assert cluster.previewed.keys() == {green}
    assert cluster.sent.keys() == {blue}
    cluster.run(200, check=Laws(cluster).check, until=lambda: cluster.weights().get(green) == 1000)
    assert cluster.newest().status.reason in ("Baking", "RouteChanging", "PreviewOver")
    assert ("Deployment", blue) in cluster.objects
    until_end(cluster)
    assert steps_of(cluster) == ["Preview", "Weight100", "Promoted"]
    only_one_left(cluster)
    assert cluster.lost == 0


def test_blue_green_with_a_bad_preview_never_reaches_a_user() -> None:
    cluster = serving(BLUE_GREEN)
    begin(cluster, FAILING, {**BLUE_GREEN, "blueGreen": {"previewSeconds": 300}})
    cluster.preview_per_second = 20
    until_end(cluster)
    bad = cluster.newest().spec.target.revision
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert bad not in cluster.sent
    only_one_left(cluster)


def test_blue_green_goes_back_from_the_bake_in_one_write_for_nearly_everybody() -> None:
    cluster = serving(BLUE_GREEN)
    blue = cluster.newest().spec.target.revision
    begin(cluster, FAILING, BLUE_GREEN)
    until_reason(cluster, "Baking")
    cluster.run(90, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert cluster.weights()[blue] >= 999
    only_one_left(cluster)
    assert cluster.lost == 0


def test_blue_green_without_automatic_promotion_waits_for_a_person() -> None:
    rollout = {**BLUE_GREEN, "blueGreen": {"previewSeconds": 10, "automaticPromotion": False}}
    cluster = serving(rollout)
    begin(cluster, V2, rollout)
    until_reason(cluster, "PausedAtStep")
    cluster.run(60)
    assert cluster.newest().status.permille == 0
    cluster.asks("Resume")
    until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_shadow_alone_waits_when_it_is_ready_and_no_user_sees_it() -> None:
    cluster = serving(SHADOW)
    begin(cluster, V2, SHADOW)
    until_reason(cluster, "PausedAtStep")
    candidate = cluster.newest().spec.target.revision
    assert cluster.mirrored[candidate] >= 100
    assert candidate not in cluster.sent
    cluster.asks("Resume")
    until_end(cluster)
    assert steps_of(cluster) == ["Mirror100", "PausedAtStep", "Weight100", "Promoted"]
    only_one_left(cluster)
    assert cluster.lost == 0


def test_shadow_takes_a_failing_version_out_on_copies_alone() -> None:
    cluster = serving(SHADOW)
    begin(cluster, FAILING, SHADOW)
    until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert cluster.newest().spec.target.revision not in cluster.sent
    only_one_left(cluster)


@pytest.mark.parametrize(
    ("rollout", "want"),
    [
        (MIRRORED_CANARY, ["Mirror100", "Weight6", "Weight10", "Weight100", "Promoted"]),
        (MIRRORED_BLUE_GREEN, ["Mirror100", "Preview", "Weight100", "Promoted"]),
    ],
)
def test_shadow_is_a_first_stage(rollout: dict[str, Any], want: list[str]) -> None:
    cluster = serving(rollout)
    begin(cluster, V2, rollout)
    until_end(cluster)
    assert steps_of(cluster) == want
    only_one_left(cluster)
    assert cluster.lost == 0


def test_a_gateway_that_ignores_the_percentage_is_refused() -> None:
    rollout = {"strategy": "Shadow", "shadow": {"percent": 20}}
    cluster = serving(rollout)
    begin(cluster, V2, rollout)
    cluster.run(5)
    assert len(cluster.rollouts()) == 1
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "MirrorNotSupported")
    assert "100" in stalled["message"]


def test_recreate_frees_the_room_first_and_says_so() -> None:
    cluster = serving(RECREATE)
    old = cluster.newest().spec.target.revision
    begin(cluster, V2, RECREATE)
    cluster.run(2)
    assert cluster.objects["Deployment", old]["spec"]["replicas"] == 0
    assert any(e.reason == "RolloutStarted" and "the model does not answer" in e.message for e in cluster.events)
    until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    only_one_left(cluster)


@pytest.mark.parametrize("uri", [DEAD, FAILING])
@pytest.mark.parametrize("downtime", [3, 40])
def test_recreate_starts_the_old_version_again_when_the_new_one_fails(uri: str, downtime: float) -> None:
    """Even one that fails a tenth of the requests, fewer than failed in the downtime."""
    cluster = serving(RECREATE, ready_seconds=downtime)
    old = cluster.newest().spec.target.revision
    begin(cluster, uri, RECREATE)
    until_end(cluster)
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert cluster.weights() == {old: 1000}
    assert cluster.condition("Ready")["status"] == "True"
    only_one_left(cluster)


def test_the_downtimes_of_a_failed_attempt_forgive_the_next_one_nothing() -> None:
    cluster = serving(RECREATE, ready_seconds=40)
    begin(cluster, DEAD, RECREATE)
    until_end(cluster)
    cluster.run(120)
    begin(cluster, FAILING, RECREATE)
    cluster.run(5)
    until_end(cluster)
    assert [str(rollout.status.outcome) for rollout in cluster.rollouts()] == ["Promoted", "RolledBack", "RolledBack"]
    assert "stable 0 of " in cluster.newest().status.message


def test_canary_pauses_at_its_step_and_lasts_its_minimum() -> None:
    rollout = {
        "canary": {"steps": [{"weight": 10, "minimumSeconds": 120}, {"weight": 50, "pause": True}, {"weight": 100}]}
    }
    cluster = serving(rollout, policy_changes={"maximumRequestsAtRisk": 0})
    begin(cluster, V2, rollout)
    cluster.run(110, check=Laws(cluster).check)
    assert (cluster.newest().status.permille, cluster.newest().status.reason) == (100, "MinimumTime")
    until_reason(cluster, "PausedAtStep")
    assert cluster.newest().status.permille == 500
    cluster.run(60)
    cluster.asks("Resume")
    until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_a_smaller_step_comes_first_where_the_first_would_risk_too_much() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=400, policy_changes={"maximumRequestsAtRisk": 60})
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20, check=Laws(cluster).check)
    status = cluster.newest().status
    assert status.lead_permille is not None
    assert status.lead_permille < 50
    assert status.permille == status.lead_permille
    assert cluster.weights()[cluster.newest().spec.target.revision] == status.lead_permille
    assert [step.permille for step in status.plan][:2] == [status.lead_permille, 50]
    assert any(event.reason == "RolloutPlanned" for event in cluster.events)
    cluster.run(700, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


BY_RISK = {"stepping": "Auto", "maximumRequestsAtRisk": 60}


def test_shares_by_what_is_at_risk_end_in_a_promotion() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=400, policy_changes=BY_RISK)
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    status = cluster.newest().status
    assert status.outcome is Outcome.PROMOTED
    lead = status.lead_permille
    assert lead is not None
    assert [step.permille for step in status.steps] == [*planning.rising_shares(lead), 500, 1000]
    assert [step.permille for step in status.plan] == [step.permille for step in status.steps]


def test_a_failing_version_is_rolled_back_at_the_share_that_is_at_risk() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=400, policy_changes=BY_RISK)
    cluster.user_applies(scenarios.manifest(DEAD))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    status = cluster.newest().status
    assert status.outcome is Outcome.ROLLED_BACK
    assert [step.permille for step in status.steps] == [status.lead_permille]


def test_while_no_traffic_is_known_the_first_share_is_small() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=0, policy_changes=BY_RISK)
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(60, check=Laws(cluster).check)
    status = cluster.newest().status
    assert status.lead_permille is None
    assert [step.permille for step in status.steps] == [planning.UNKNOWN_LEAD]


@pytest.mark.parametrize(
    "rollout",
    [
        pytest.param({"canary": {"steps": [{"weight": 10}, {"weight": 100}]}}, id="a model's own steps"),
        pytest.param({"strategy": "BlueGreen"}, id="blue-green"),
    ],
)
def test_steps_that_somebody_wrote_are_not_replaced(rollout: dict[str, Any]) -> None:
    cluster = serving(rollout, policy_changes=BY_RISK)
    begin(cluster, V2, rollout)
    cluster.run(20, check=Laws(cluster).check)
    spec = cluster.newest().spec
    assert spec.stepping is Stepping.FIXED
    assert [step.weight for step in spec.steps] != [50, 100]


def test_testers_reach_the_candidate_by_its_header() -> None:
    spec: dict[str, Any] = {"routing": {"candidateHeader": {}}}
    cluster = scenarios.serving_cluster(spec=spec)
    cluster.user_applies(scenarios.manifest(V2, **spec))
    cluster.run(20, check=Laws(cluster).check)
    candidate = cluster.newest().spec.target.revision
    rules = cluster.objects["HTTPRoute", "digits"]["spec"]["rules"]
    assert [ref["name"] for ref in rules[1]["backendRefs"]] == [f"{candidate}-header"]
    assert rules[1]["matches"][0]["headers"][0]["name"] == "x-sluice-candidate"
    until_end(cluster)
    only_one_left(cluster)


def test_skip_and_promote_by_people() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    until_reason(cluster, "GatheringEvidence")
    cluster.asks("SkipStep")
    cluster.run(8, check=Laws(cluster).check)
    assert cluster.newest().status.permille == 250
    observed = cluster.newest().status.observed_intent
    assert observed is not None
    assert observed.result.startswith("skipped")


def test_a_retry_goes_on_at_the_step_that_failed() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(300, until=lambda: cluster.newest().status.permille == 500)
    cluster.asks("Abort")
    cluster.run(5)
    cluster.asks("Retry")
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille == 500)
    assert cluster.newest().spec.attempt == 2
    assert [step.permille for step in cluster.newest().status.steps] == [500]


def test_a_person_goes_back_to_a_version_that_served_before() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    until_end(cluster)
    cluster.run(60)
    cluster.asks("Rollback")
    cluster.run(60, check=Laws(cluster).check, until=lambda: len(cluster.rollouts()) == 3)
    seconds = cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.weights().get(first) == 1000)
    assert seconds <= 20, "nothing need be proven of a version that served a minute ago"
    cluster.run(60, check=Laws(cluster).check)
    current = cluster.condition("Current")
    assert (current["status"], current["reason"]) == ("False", "RolledBackByPerson")
    assert V1 in current["message"]
    cluster.run(120, check=Laws(cluster).check)
    assert cluster.weights() == {first: 1000}, "Git still names the newer version, and that changes nothing"
    assert cluster.lost == 0


def test_a_known_revision_is_named_in_the_middle_of_a_release() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2))
    until_end(cluster)
    cluster.run(60)
    cluster.user_applies(scenarios.manifest(V1 + "-again"))
    cluster.run(20)
    cluster.asks("Rollback", toRevision=first)
    cluster.run(120, check=Laws(cluster).check, until=lambda: cluster.weights().get(first) == 1000)
    assert cluster.weights()[first] == 1000
    assert [str(r.status.outcome) for r in cluster.rollouts()[2:3]] == ["Aborted"]
    assert cluster.lost == 0


def test_an_unknown_revision_is_refused_and_nothing_else_happens() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20)
    cluster.asks("Rollback", toRevision="digits-nowhere")
    cluster.run(5)
    observed = cluster.newest().status.observed_intent
    assert observed is not None
    assert observed.result.startswith("refused: there is no revision digits-nowhere")
    assert cluster.newest().status.outcome is None


def test_a_freeze_window_stops_steps_but_not_the_rollback() -> None:
    windows = [{"name": "sale", "from": "2000-01-01T00:00:00Z", "until": "2999-01-01T00:00:00Z"}]
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(WRONG))
    cluster.run(6)
    cluster.shared["RolloutPolicy", "default"]["spec"]["freezeWindows"] = windows
    until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(30, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 2
    assert cluster.condition("Current")["reason"] == "Frozen"
    cluster.shared["RolloutPolicy", "default"]["spec"]["freezeWindows"] = []
    cluster.run(5)
    assert len(cluster.rollouts()) == 3


@pytest.mark.parametrize(
    "after", [pytest.param(4, marks=pytest.mark.slow), 15, pytest.param(40, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("then", "strategy"),
    [
        *((V1, name) for name in STRATEGIES),
        ("again", "canary"),
        *(pytest.param("again", name, marks=pytest.mark.slow) for name in OTHERS),
        *(pytest.param(V1 + "-again", name, marks=pytest.mark.slow) for name in STRATEGIES),
    ],
)
def test_superseding_at_any_time(strategy: str, after: int, then: str) -> None:
    """A→B→A, A→B→C and A→B→B′: the last requested version serves in the end, and no user's request is lost."""
    rollout = STRATEGIES[strategy]
    cluster = serving(rollout)
    begin(cluster, V2, rollout)
    cluster.run(after, check=Laws(cluster).check)
    uri, annotation = (V2, {"podAnnotations": {"again": "1"}}) if then == "again" else (then, {})
    begin(cluster, uri, rollout, **annotation)
    cluster.run(3, check=Laws(cluster).check)
    for _ in range(2):
        if cluster.newest().status.outcome is None:
            cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.reason == "PausedAtStep")
            if cluster.newest().status.outcome is None:
                cluster.asks("Resume")
                until_end(cluster)
    cluster.run(150, check=Laws(cluster).check)
    assert cluster.condition("Current")["status"] == "True", cluster.condition("Current")
    assert len(cluster.weights()) == 1
    only_one_left(cluster)
    assert cluster.lost == 0 or strategy == "recreate"


@pytest.mark.parametrize("strategy", CANARY_FIRST)
def test_changes_in_the_middle_leave_a_release_with_its_own_rules(strategy: str) -> None:
    rollout = STRATEGIES[strategy]
    cluster = serving(rollout)
    begin(cluster, V2, rollout)
    cluster.run(8, check=Laws(cluster).check)
    running = cluster.newest()
    cluster.shared["RolloutPolicy", "default"]["spec"]["bakeSeconds"] = 9999
    other = {"strategy": "Canary"} if strategy != "canary" else BLUE_GREEN
    begin(cluster, V2, other, replicas=2, routing={"hostnames": ["other.example.com"]})
    cluster.run(20, check=Laws(cluster).check)
    assert cluster.newest().metadata.name == running.metadata.name
    assert cluster.newest().spec.strategy is running.spec.strategy
    cluster.run(600, check=Laws(cluster).check, until=lambda: cluster.newest().status.reason == "PausedAtStep")
    if cluster.newest().status.outcome is None:
        cluster.asks("Resume")
    until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.objects["HTTPRoute", "digits"]["spec"]["hostnames"] == ["other.example.com"]
    assert cluster.lost == 0 or strategy == "recreate"
