"""After the promotion: a stable version that becomes worse is noticed and named, and nothing else is."""

from typing import Any

import pytest

from tests.support import scenarios
from tests.support.cluster import Cluster, OperatorKilled
from tests.support.controllers import Behaviour
from tests.support.scenarios import FAILING, V1, V2

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
    """A person lets the version through at once."""
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
    cluster.behaviours[V1] = GOOD
    cluster.run(2 * HOUR, until=lambda: not is_alarmed(cluster))
    assert cluster.condition("Healthy")["reason"] == "Steady"
    assert "alarm" not in cluster.status()["watch"]


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
    """Pods of the version before fetch its model again, and must ask for the signatures that are wanted today."""
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
    """Whatever makes the stable version fail makes the one before fail even more."""
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


def test_without_prometheus_it_is_said_that_nothing_can_be_seen_and_nobody_is_alarmed() -> None:
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


def test_a_release_teaches_nothing_and_alarms_nobody() -> None:
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


def test_a_policy_that_loses_its_watch_leaves_nothing_behind() -> None:
    cluster = watched_cluster()
    cluster.run(300)
    del cluster.shared["RolloutPolicy", "default"]["spec"]["watch"]
    cluster.run(60)
    assert cluster.watched == {}
    assert "watch" not in cluster.status()
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
