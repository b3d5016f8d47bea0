"""Releases where one Service over pods shares the requests (`routing: Service`)."""

from typing import Any

import pytest

from sluice_core.api.config import RoutingMode
from sluice_core.kernel import naming
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import FAILING, V1, V2, WRONG
from tests.support.simulated.twins import made_once

SERVED = 'served_total{revision="{{revision}}"}'
FAILED = 'served_total{revision="{{revision}}",failed="true"}'
ERRORS: dict[str, Any] = {
    "name": "errors",
    "failureRatio": {"source": "Query", "total": SERVED, "failures": FAILED, "ignoreBelow": "2%"},
}
QUERY = {"objectives": [ERRORS]}
STEPS = {"canary": {"steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}]}}


class Watcher:
    """Where the model's Service led to, and a law for every reconcile."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.seen: list[tuple[str, ...]] = []

    def look(self, _: object = None) -> None:
        service = self.cluster.objects.get(("Service", "digits"))
        if service is None:
            return
        selector = service["spec"]["selector"]
        with_pods = sorted(name for name, ready in self.cluster.ready.items() if ready)
        taking = (selector[naming.LABEL_REVISION],) if naming.LABEL_REVISION in selector else tuple(with_pods)
        if naming.LABEL_REVISION not in selector:
            assert len(with_pods) <= 2, "a third version's pods get requests"
        if not self.seen or self.seen[-1] != taking:
            self.seen.append(taking)


@made_once
def serving(uri: str = V1, *, policy: dict[str, Any] = QUERY, replicas: int = 4, **settings: Any) -> Cluster:
    return scenarios.serving_cluster(
        uri,
        policy_changes=policy,
        spec={"replicas": replicas, "rollout": STEPS},
        routing=RoutingMode.SERVICE,
        **settings,
    )


def release(cluster: Cluster, uri: str, **spec: Any) -> Watcher:
    watcher = Watcher(cluster)
    cluster.user_applies(scenarios.manifest(uri, **{"replicas": 4, "rollout": STEPS, **spec}))
    cluster.run(900, check=watcher.look, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(60, check=watcher.look)
    return watcher


def names(cluster: Cluster) -> tuple[str, str]:
    """(stable before, candidate) of the newest release."""
    spec = cluster.newest().spec
    assert spec.source is not None
    return spec.source.revision, spec.target.revision


def test_the_first_version_gets_the_models_service() -> None:
    cluster = serving()
    service = cluster.objects["Service", "digits"]
    assert service["spec"]["selector"] == {
        naming.LABEL_OWNER: "digits",
        naming.LABEL_REVISION: cluster.newest().spec.target.revision,
    }
    assert cluster.status()["url"] == "http://digits.default.svc"
    assert cluster.condition("Ready")["status"] == "True"
    routed = cluster.condition("RoutesProgrammed")
    assert (routed["status"], routed["reason"]) == ("True", "Approximate")
    assert not [key for key in cluster.objects if key[0] == "HTTPRoute"]


def test_a_good_version_gets_more_and_more_pods_and_then_all() -> None:
    cluster = serving()
    lost = cluster.lost
    watcher = release(cluster, V2)
    old, new = names(cluster)
    assert cluster.newest().status.outcome == "Promoted"
    assert watcher.seen == [(old,), tuple(sorted((old, new))), (new,)]
    assert cluster.lost == lost
    begun = [record.permille for record in cluster.newest().status.steps]
    assert begun == [200, 500, 1000]
    assert ("Deployment", old) not in cluster.objects


def test_shares_are_ratios_of_pods_and_the_condition_says_so() -> None:
    cluster = serving()
    cluster.user_applies(
        scenarios.manifest(V2, replicas=4, rollout={"canary": {"steps": [{"weight": 20}, {"weight": 100}]}})
    )
    cluster.run(200, until=lambda: cluster.newest().status.permille == 200)
    old, new = names(cluster)
    before = dict(cluster.sent)
    cluster.run(15)
    got = cluster.sent[new] - before.get(new, 0)
    share = got / (got + cluster.sent[old] - before[old])
    assert (cluster.ready[old], cluster.ready[new]) == (4, 1)
    assert share == pytest.approx(0.2, abs=0.03)
    routed = cluster.condition("RoutesProgrammed")
    assert routed["reason"] == "Approximate"
    assert "1 of 5 ready pods" in routed["message"]
    assert "the target is 20 %" in routed["message"]


def test_a_bad_version_is_taken_out_by_the_selector() -> None:
    cluster = serving()
    watcher = release(cluster, FAILING)
    old, new = names(cluster)
    assert cluster.newest().status.outcome == "RolledBack"
    assert watcher.seen == [(old,), tuple(sorted((old, new))), (old,)]
    assert cluster.condition("Ready")["status"] == "True"


def test_without_a_counter_of_its_own_nothing_advances_and_the_message_says_what_to_do() -> None:
    cluster = serving(policy={"objectives": scenarios.OBJECTIVES[:2]})
    cluster.user_applies(scenarios.manifest(V2, replicas=4, rollout=STEPS))
    cluster.run(120)
    status = cluster.newest().status
    assert (status.step, status.reason) == (1, "MetricsUnavailable")
    assert "source Query" in status.message
    cluster.asks("Promote")
    cluster.run(120, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.permille == 1000


def test_an_objective_of_the_gateway_beside_a_counted_one_holds() -> None:
    cluster = serving(policy={"objectives": [ERRORS, scenarios.OBJECTIVES[1]]})
    cluster.user_applies(scenarios.manifest(V2, replicas=4, rollout=STEPS))
    cluster.run(300)
    status = cluster.newest().status
    assert (status.step, status.outcome) == (1, None)
    assert "latency: there is no gateway to count requests" in status.message


def test_silence_is_no_proof_without_a_count_of_requests_in_flight() -> None:
    cluster = serving()
    cluster.requests_per_second = 0
    cluster.user_applies(scenarios.manifest(V2, replicas=4, rollout=STEPS))
    cluster.run(1200)
    assert cluster.newest().status.step == 1
    assert not cluster.newest().status.idle_advance


def test_blue_green_flips_at_once() -> None:
    cluster = serving()
    rollout = {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 20}}
    lost = cluster.lost
    watcher = release(cluster, V2, rollout=rollout)
    old, new = names(cluster)
    assert cluster.newest().status.outcome == "Promoted"
    assert watcher.seen == [(old,), (new,)]
    assert cluster.lost == lost


def test_recreate() -> None:
    cluster = serving()
    watcher = release(cluster, V2, rollout={"strategy": "Recreate"})
    old, new = names(cluster)
    assert cluster.newest().status.outcome == "Promoted"
    assert watcher.seen == [(old,), (new,)]


def test_users_cannot_be_kept_with_an_arm() -> None:
    cluster = serving()
    test = {"arms": [{"name": "b", "weight": 20, "model": {"uri": V2}}], "metric": "errors", "maximumSeconds": 600}
    cluster.user_applies(scenarios.manifest(V1, replicas=4, rollout={"strategy": "ABTest", "abTest": test}))
    cluster.run(30)
    assert cluster.condition("Stalled")["reason"] == "GatewayNeeded"
    assert len(cluster.rollouts()) == 1


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"rollout": {"strategy": "Shadow", "shadow": {"percent": 100}}}, "spec.rollout.shadow"),
        ({"rollout": {**STEPS, "shadow": {"percent": 100}}}, "spec.rollout.shadow"),
        ({"rollout": {**STEPS, "capacity": "ShrinkStable"}}, "spec.rollout.capacity"),
        ({"routing": {"candidateHeader": {"name": "x-try", "value": "yes"}}}, "spec.routing.candidateHeader"),
    ],
)
def test_what_needs_a_gateway_is_refused_while_stable_serves(spec: dict[str, Any], field: str) -> None:
    cluster = serving()
    cluster.user_applies(scenarios.manifest(V2, **{"replicas": 4, "rollout": STEPS, **spec}))
    cluster.run(30)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "GatewayNeeded")
    assert field in stalled["message"]
    assert cluster.condition("Ready")["status"] == "True"
    assert len(cluster.rollouts()) == 1


def test_a_third_version_waits_until_the_pods_of_the_second_have_ended() -> None:
    cluster = serving()
    cluster.user_applies(scenarios.manifest(V2, replicas=4, rollout=STEPS))
    cluster.run(200, until=lambda: cluster.newest().status.permille == 200)
    watcher = release(cluster, WRONG)
    old, new = names(cluster)
    assert cluster.newest().status.outcome == "Promoted", "nothing but errors is judged here"
    assert watcher.seen[-3:] == [(old,), tuple(sorted((old, new))), (new,)]


def test_a_skipped_step_sends_no_requests_to_the_pods_of_a_third_version() -> None:
    cluster = serving(replicas=4)
    cluster.user_applies(scenarios.manifest(WRONG, replicas=4, drainSeconds=60, rollout=STEPS))
    cluster.run(900, until=lambda: cluster.newest().status.permille == 200)
    cluster.user_applies(scenarios.manifest(V2, replicas=4, drainSeconds=60, rollout=STEPS))
    cluster.run(30, until=lambda: cluster.newest().spec.target.uri == V2)
    watcher = Watcher(cluster)
    cluster.run(20, check=watcher.look)
    cluster.asks("SkipStep")
    cluster.run(30, check=watcher.look)
    old, new = names(cluster)
    assert cluster.newest().status.permille == 200
    assert watcher.seen == [(old,)]
    assert "must end first" in cluster.newest().status.message
    cluster.run(120, check=watcher.look)
    assert watcher.seen[1] == tuple(sorted((old, new)))


def test_the_mode_may_change_while_a_model_serves() -> None:
    cluster = scenarios.serving_cluster()
    cluster.routing = RoutingMode.SERVICE
    cluster.run(30)
    kinds = {kind for kind, _ in cluster.objects}
    assert "HTTPRoute" not in kinds
    assert ("Service", "digits") in cluster.objects
    cluster.routing = RoutingMode.GATEWAY
    cluster.run(30)
    assert ("HTTPRoute", "digits") in cluster.objects
    assert ("Service", "digits") not in cluster.objects
    assert cluster.condition("RoutesProgrammed")["reason"] == "Programmed"


def test_a_changed_selector_is_put_back() -> None:
    cluster = serving()
    cluster.objects["Service", "digits"]["spec"]["selector"].pop(naming.LABEL_REVISION)
    cluster.run(5)
    assert naming.LABEL_REVISION in cluster.objects["Service", "digits"]["spec"]["selector"]
    assert "DriftCorrected" in {event.reason for event in cluster.events}


def test_nothing_is_written_at_rest() -> None:
    cluster = serving()
    cluster.run(30)
    writes = len(cluster.writes)
    cluster.run(60)
    assert len(cluster.writes) == writes
