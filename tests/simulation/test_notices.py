"""An endpoint's notices over a whole release: everything that matters, once, and under an id that survives a
restart."""

from typing import Any

from sluice_core.decide import notify
from sluice_core.kernel.plan import Notice, Plan
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import FAILING, V2

HOOK: dict[str, Any] = {"name": "hook", "urlSecretRef": {"name": "hooks"}}


def notified_cluster(*, events: list[str] | None = None) -> Cluster:
    """A serving cluster whose policy has an endpoint from now on."""
    cluster = scenarios.serving_cluster()
    hook = HOOK if events is None else {**HOOK, "events": events}
    cluster.shared["RolloutPolicy", "default"]["spec"]["notifications"] = [hook]
    return cluster


def told(cluster: Cluster, seconds: float = 400) -> list[Notice]:
    """All notices until the release has ended, and for a while after it; repeated ones count once."""
    notices: list[Notice] = []

    def collect(plan: Plan) -> None:
        had = {notice.id for notice in notices}
        notices.extend(each for each in plan.notices if each.id not in had and each.rollout == name(cluster))

    before = len(cluster.rollouts())
    cluster.run(
        seconds,
        check=collect,
        until=lambda: len(cluster.rollouts()) >= before and cluster.newest().status.outcome is not None,
    )
    cluster.run(30, check=collect)
    return notices


def name(cluster: Cluster) -> str:
    """The newest release's name: recent news of the first version are listed, too."""
    return cluster.newest().metadata.name


def test_a_promotion_is_notified_step_by_step_and_each_event_once() -> None:
    cluster = notified_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.reconcile()
    notices = told(cluster)
    reasons = [notice.reason for notice in notices]
    assert [reason for reason in reasons if reason.startswith(("Weight", "Promoted"))] == [
        "Weight5",
        "Weight25",
        "Weight50",
        "Weight100",
        "Promoted",
    ]
    assert len({notice.id for notice in notices}) == len(notices)
    assert {notice.rollout for notice in notices} == {cluster.newest().metadata.name}
    last = notices[-1]
    assert (last.reason, last.outcome, last.weight_percent) == ("Promoted", "Promoted", 100.0)


def test_only_subscribed_events_are_notified() -> None:
    cluster = notified_cluster(events=["RolledBack", "Weight"])
    cluster.user_applies(scenarios.manifest(FAILING))
    cluster.reconcile()
    notices = told(cluster)
    assert [notice.reason for notice in notices] == ["Weight5", "RolledBack"]
    assert notices[-1].warning
    assert notices[-1].message.startswith("errors")
    assert notify.cloud_event(notices[-1])["data"]["outcome"] == "RolledBack"


def test_the_beginning_is_notified() -> None:
    cluster = notified_cluster(events=["RolloutStarted"])
    cluster.user_applies(scenarios.manifest(V2))
    [started] = cluster.plan().notices
    cluster.reconcile()
    begun = cluster.newest()
    assert [notice.id for notice in cluster.plan().notices] == [started.id], "it is listed as long as it may be lost"
    assert (started.rollout, started.to_revision, started.step) == (
        begun.metadata.name,
        begun.spec.target.revision,
        0,
    )


def test_a_decision_that_is_made_again_after_a_restart_has_the_same_ids() -> None:
    """The operator dies before its first write: its later decision is the same piece of news."""
    cluster = notified_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    compared = 0

    def restarted(plan: Plan) -> None:
        nonlocal compared
        if plan.notices:
            cluster.now += 0.25
            assert [notice.id for notice in cluster.plan().notices] == [notice.id for notice in plan.notices]
            cluster.now -= 0.25
            compared += 1

    cluster.run(400, check=restarted, until=lambda: len(cluster.rollouts()) > 1 and _ended(cluster))
    assert _ended(cluster)
    assert compared >= 5


def test_drift_at_rest_is_about_the_model_and_notified_now_and_then() -> None:
    cluster = notified_cluster()
    notices: list[Notice] = []

    def collect(plan: Plan) -> None:
        notices.extend(plan.notices)

    for _ in range(2):
        route = cluster.objects["HTTPRoute", "digits"]
        route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
        route["metadata"]["generation"] += 1
        cluster.run(2, check=collect)
    drifts = [notice for notice in notices if notice.reason == "DriftCorrected"]
    assert len(drifts) == 2
    assert len({notice.id for notice in drifts}) == 1
    assert {(notice.rollout, notify.cloud_event(notice)["type"]) for notice in drifts} == {
        (None, "dev.sluice.model.DriftCorrected")
    }


def _ended(cluster: Cluster) -> bool:
    return cluster.newest().status.outcome is not None
