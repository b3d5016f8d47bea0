"""After the promotion: a stable version that becomes worse is noticed and named, and nothing else is."""

import copy
import json
from typing import Any

import pytest

from sluice_core.kernel.plan import Notice, Plan
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.scenarios import FAILING, V1, V2

HOUR = 3600.0
ERRORS: dict[str, Any] = {
    "name": "errors",
    "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "1%", "maximum": "2%"},
}
"""With a maximum there is a limit from the first minute on."""
KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n"
FAILS = Behaviour(error=0.1)
GOOD = Behaviour()


def watched_cluster(*, watch: dict[str, Any] | None = None, **settings: Any) -> Cluster:
    """One model at rest whose policy has a watch."""
    policy = {"objectives": [ERRORS], "watch": {"objectives": ["errors"], **(watch or {})}}
    return scenarios.serving_cluster(policy_changes=policy, requests_per_second=20, **settings)


def is_alarmed(cluster: Cluster) -> bool:
    return bool(cluster.condition("Healthy")["status"] == "False")


def released(cluster: Cluster, uri: str) -> None:
    """A person promotes the version at once."""
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(60, until=lambda: cluster.newest().status.permille > 0)
    cluster.asks("Promote")
    cluster.run(120, until=lambda: cluster.newest().status.outcome is not None)


def test_without_a_watch_nothing_is_asked_written_or_said() -> None:
    cluster = scenarios.serving_cluster()
    before = cluster.asked, len(cluster.writes)
    cluster.behaviours[V1] = FAILS
    cluster.run(600)
    assert (cluster.asked, len(cluster.writes), cluster.watch_asked) == (*before, 0)
    assert "watch" not in cluster.status()
    assert all(condition["type"] != "Healthy" for condition in cluster.status()["conditions"])


def test_a_version_that_begins_to_fail_is_noticed_with_since_when_and_how_much() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    assert cluster.condition("Healthy")["reason"] == "Steady"
    began = cluster.now
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    assert cluster.now - began < 180
    alarm = cluster.status()["watch"]["alarm"]
    assert alarm["objective"] == "errors"
    assert float(alarm["low"].rstrip("%")) > 2 < float(alarm["share"].rstrip("%")) < float(alarm["high"].rstrip("%"))
    healthy = cluster.condition("Healthy")
    assert (healthy["reason"], alarm["since"] in healthy["message"]) == ("WorseThanBefore", True)
    cluster.run(600)
    told = [event for event in cluster.events if event.reason == "WorseThanBefore"]
    assert [event.warning for event in told] == [True], "once, however long it lasts"
    assert cluster.condition("Ready")["status"] == "True"


def test_it_is_over_an_hour_after_it_was_mended() -> None:
    cluster = watched_cluster()
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    since = cluster.status()["watch"]["alarm"]["since"]
    cluster.behaviours[V1] = GOOD
    cluster.run(2 * HOUR, until=lambda: not is_alarmed(cluster))
    cluster.run(600)
    assert cluster.condition("Healthy")["reason"] == "Steady"
    assert "alarm" not in cluster.status()["watch"]
    [told] = [event for event in cluster.events if event.reason == "NoLongerWorse"]
    assert not told.warning
    assert told.message.startswith(f"errors: what began at {since} is over; digits-")


def test_the_end_of_an_alarm_goes_to_its_receivers() -> None:
    cluster = watched_cluster()
    hook = {"name": "hook", "urlSecretRef": {"name": "hooks"}, "events": ["WorseThanBefore", "NoLongerWorse"]}
    cluster.shared["RolloutPolicy", "default"]["spec"]["notifications"] = [hook]
    told: dict[str, Notice] = {}

    def collect(plan: Plan) -> None:
        told.update((notice.id, notice) for notice in plan.notices)

    cluster.behaviours[V1] = FAILS
    cluster.run(600, check=collect, until=lambda: is_alarmed(cluster))
    cluster.behaviours[V1] = GOOD
    cluster.run(2 * HOUR, check=collect, until=lambda: not is_alarmed(cluster))
    cluster.run(600, check=collect)
    assert [(notice.reason, notice.warning) for notice in told.values()] == [
        ("WorseThanBefore", True),
        ("NoLongerWorse", False),
    ]


def test_the_end_of_an_alarm_is_notified_even_if_its_first_write_fails() -> None:
    cluster = watched_cluster()
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    cluster.behaviours[V1] = GOOD
    cluster.run(30)
    cluster.kill_after = 0
    with pytest.raises(OperatorKilled):
        cluster.run(2 * HOUR)
    cluster.run(2 * HOUR, until=lambda: not is_alarmed(cluster))
    cluster.run(120)
    assert len([event for event in cluster.events if event.reason == "NoLongerWorse"]) == 1


def test_while_nothing_happens_it_is_written_once_an_hour() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    before = len(cluster.writes)
    cluster.run(2 * HOUR)
    assert len(cluster.writes) - before == 2


def test_many_models_are_asked_for_together() -> None:
    cluster = watched_cluster()
    cluster.run(120)
    alone = cluster.watch_asked
    cluster.run(60)
    alone = cluster.watch_asked - alone
    for name in ("wine", "iris"):
        cluster.user_applies(scenarios.manifest(name=name))
    for _ in range(120):
        cluster.run(1)
        for name in ("wine", "iris"):
            cluster.reconcile(name)
    before = cluster.watch_asked
    cluster.run(60)
    assert len(cluster.watched) == 3
    assert cluster.watch_asked - before == alone


def test_the_version_before_comes_back_as_a_judged_release() -> None:
    cluster = watched_cluster(watch={"onAlarm": "RollBack"})
    old = cluster.newest().spec.target.revision
    released(cluster, V2)
    new = cluster.newest().spec.target.revision
    cluster.run(300)
    cluster.behaviours[V2] = FAILS
    cluster.run(1200, until=lambda: cluster.newest().spec.rollback)
    back = cluster.newest()
    assert (back.spec.target.revision, back.spec.analysed) == (old, True)
    assert back.spec.alarm.startswith("errors: since ")
    cluster.run(HOUR, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome == "Promoted"
    cluster.run(60)
    assert cluster.status()["stable"]["revision"] == old
    assert cluster.condition("Current")["reason"] == "RolledBackByWatch"
    assert new in cluster.condition("Current")["message"]
    count = len(cluster.rollouts())
    cluster.run(600)
    assert len(cluster.rollouts()) == count


@pytest.mark.parametrize("signed", [True, False])
def test_no_version_comes_back_that_was_not_verified(signed: bool) -> None:
    """Pods of the version before fetch its model again, and must require today's signatures."""
    cluster = watched_cluster(watch={"onAlarm": "RollBack"}, signers=(KEY,) if signed else ())
    released(cluster, V2)
    new, count = cluster.newest().spec.target.revision, len(cluster.rollouts())
    cluster.signers = (KEY,)
    cluster.run(300)
    cluster.behaviours[V2] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    cluster.run(600, until=lambda: cluster.newest().spec.rollback)
    assert (len(cluster.rollouts()) > count) is signed
    if not signed:
        assert cluster.status()["stable"]["revision"] == new
        assert is_alarmed(cluster), "it is still told"
        writes = len(cluster.writes)
        cluster.run(300)
        assert len(cluster.writes) == writes, "nobody asks again and again"


def test_the_judge_may_refuse_the_version_before_and_is_asked_once() -> None:
    """The cause of the stable version's failures makes the one before fail even more."""
    cluster = watched_cluster(watch={"onAlarm": "RollBack"})
    released(cluster, V2)
    new = cluster.newest().spec.target.revision
    cluster.run(300)
    cluster.behaviours |= {V2: FAILS, V1: Behaviour(error=0.9)}
    cluster.run(2 * HOUR, until=lambda: cluster.newest().spec.rollback and cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome == "RolledBack"
    count = len(cluster.rollouts())
    cluster.run(HOUR)
    assert (len(cluster.rollouts()), cluster.status()["stable"]["revision"]) == (count, new)


def test_without_prometheus_blindness_is_reported_without_an_alarm() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    cluster.prometheus_up = False
    cluster.behaviours[V1] = FAILS
    cluster.run(900)
    healthy = cluster.condition("Healthy")
    assert (healthy["status"], healthy["reason"]) == ("Unknown", "WatchBlind")
    assert "prometheus is down" in healthy["message"]
    assert not [event for event in cluster.events if event.reason == "WorseThanBefore"]
    cluster.prometheus_up = True
    cluster.behaviours[V1] = GOOD
    cluster.run(600)
    assert cluster.condition("Healthy")["reason"] == "Steady"


@pytest.mark.parametrize("after", [60, 240])
def test_a_restart_loses_nothing_that_was_written(after: float) -> None:
    cluster = watched_cluster()
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    since = cluster.status()["watch"]["alarm"]["since"]
    cluster.watched.clear()
    cluster.remembered.clear()
    cluster.reconcile()
    cluster.run(after)
    assert cluster.status()["watch"]["alarm"]["since"] == since
    assert len([event for event in cluster.events if event.reason == "WorseThanBefore"]) == 1


def test_a_replica_that_leads_again_goes_on_from_what_the_other_one_has_written() -> None:
    """It remembers a healthy stable version; meanwhile it has become worse."""
    cluster = watched_cluster()
    cluster.run(300)
    remembered = dict(cluster.watched)
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    since = cluster.status()["watch"]["alarm"]["since"]
    cluster.watched |= remembered
    cluster.reconcile()
    assert is_alarmed(cluster)
    cluster.run(600)
    assert cluster.status()["watch"]["alarm"]["since"] == since
    assert [event.reason for event in cluster.events if "Worse" in event.reason] == ["WorseThanBefore"]


def test_an_operator_that_restarts_every_half_hour_learns_and_notices() -> None:
    cluster = watched_cluster()
    for _ in range(6):
        cluster.run(HOUR / 2)
        cluster.watched.clear()
        cluster.remembered.clear()
        cluster.reconcile()
    assert not [event for event in cluster.events if event.reason == "WorseThanBefore"]
    seen = json.loads(cluster.status()["watch"]["state"])["obj"]["errors"]["p"]["n"]
    assert seen > 30, "each life has written what it saw up to its full hour"
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    assert is_alarmed(cluster)


def test_releases_in_between_keep_what_was_learnt_and_raise_no_alarm() -> None:
    """Each fails in every request, and is rolled back: the stable version has the same past as before."""
    cluster = watched_cluster()
    revision = cluster.newest().spec.target.revision
    for number in range(3):
        cluster.run(HOUR / 2)
        cluster.user_applies(scenarios.manifest(FAILING if number % 2 == 0 else f"{FAILING}{number}"))
        cluster.behaviours[f"{FAILING}{number}"] = Behaviour(error=0.5)
        cluster.run(900, until=lambda: cluster.newest().status.outcome is not None)
        assert cluster.newest().status.outcome == "RolledBack"
        cluster.user_applies(scenarios.manifest(V1))
    cluster.run(300)
    assert cluster.status()["watch"]["revision"] == revision
    assert cluster.condition("Healthy")["reason"] == "Steady"
    assert not [event for event in cluster.events if event.reason == "WorseThanBefore"]
    assert json.loads(cluster.status()["watch"]["state"])["obj"]["errors"]["p"]["n"] > 30


def test_a_status_from_a_backup_accuses_no_version_and_continues() -> None:
    cluster = watched_cluster()
    cluster.run(HOUR)
    backup = copy.deepcopy(cluster.objects["ModelDeployment", "digits"]["status"])
    cluster.run(1.5 * HOUR)
    cluster.objects["ModelDeployment", "digits"]["status"] = backup
    cluster.watched.clear()
    cluster.remembered.clear()
    cluster.reconcile()
    cluster.run(HOUR)
    assert cluster.condition("Healthy")["reason"] == "Steady"
    assert not [event for event in cluster.events if event.reason == "WorseThanBefore"]
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    assert is_alarmed(cluster)


def test_a_status_from_a_backup_with_an_alarm_that_is_over_ends_once_more() -> None:
    cluster = watched_cluster()
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    backup = copy.deepcopy(cluster.objects["ModelDeployment", "digits"]["status"])
    cluster.behaviours[V1] = GOOD
    cluster.run(2 * HOUR, until=lambda: not is_alarmed(cluster))
    cluster.objects["ModelDeployment", "digits"]["status"] = backup
    cluster.watched.clear()
    cluster.reconcile()
    cluster.run(2 * HOUR, until=lambda: not is_alarmed(cluster))
    assert cluster.condition("Healthy")["reason"] == "Steady"


@pytest.mark.parametrize("step", [-600.0, -2 * 86_400.0, 600.0], ids=["back", "back by days", "forth"])
def test_a_clock_step_accuses_no_version_and_blinds_for_an_hour_at_most(step: float) -> None:
    cluster = watched_cluster()
    cluster.run(1200)
    cluster.clock_ahead_seconds += step
    cluster.run(HOUR)
    assert not [event for event in cluster.events if event.reason == "WorseThanBefore"]
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    assert is_alarmed(cluster)


def test_a_release_teaches_nothing_and_raises_no_alarm() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    cluster.user_applies(scenarios.manifest(FAILING))
    cluster.run(60, until=lambda: cluster.newest().status.permille > 0)
    assert cluster.condition("Healthy")["reason"] == "WatchRests"
    asked = cluster.watch_asked
    cluster.run(600, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome == "RolledBack"
    assert cluster.watch_asked == asked
    cluster.run(300)
    assert cluster.condition("Healthy")["reason"] == "Steady"
    assert not [event for event in cluster.events if event.reason == "WorseThanBefore"]


def test_the_next_version_begins_with_a_past_of_its_own() -> None:
    cluster = watched_cluster()
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    released(cluster, V2)
    cluster.run(300)
    assert cluster.condition("Healthy")["reason"] == "Steady"
    assert cluster.status()["watch"]["revision"] == cluster.newest().spec.target.revision
    assert len([event for event in cluster.events if event.reason == "NoLongerWorse"]) == 1


def test_a_policy_that_loses_its_watch_leaves_nothing_behind() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    del cluster.shared["RolloutPolicy", "default"]["spec"]["watch"]
    cluster.run(60)
    assert cluster.watched == {}
    assert "watch" not in cluster.status()
    assert all(condition["type"] != "Healthy" for condition in cluster.status()["conditions"])


def test_a_policy_that_loses_its_watch_in_an_alarm_ends_that_and_says_so() -> None:
    cluster = watched_cluster()
    cluster.behaviours[V1] = FAILS
    cluster.run(600, until=lambda: is_alarmed(cluster))
    del cluster.shared["RolloutPolicy", "default"]["spec"]["watch"]
    cluster.run(600)
    [told] = [event for event in cluster.events if event.reason == "NoLongerWorse"]
    assert told.message.endswith(" is over; nothing is watched any more")
    assert all(condition["type"] != "Healthy" for condition in cluster.status()["conditions"])


def test_an_operator_that_dies_before_it_has_written_the_alarm_finds_it_again() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    cluster.behaviours[V1] = FAILS
    cluster.kill_after = 0
    with pytest.raises(OperatorKilled):
        cluster.run(600)
    cluster.run(600, until=lambda: is_alarmed(cluster))
    assert is_alarmed(cluster)
