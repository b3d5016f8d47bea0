"""When Prometheus is asked, and what a look writes."""

import math

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.decide import decide, passing, prepare
from sluice_core.kernel.plan import Apply, ApplyStatus, Plan
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.rollout.routing import address
from sluice_judge import carried
from sluice_judge.schema.verdict import Verdict
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2, WRONG
from tests.support.simulated.twins import made_once

BLUE_GREEN = {"rollout": {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 15}}}


@made_once
def released(**settings: object) -> Cluster:
    """A good version is in its first step, and its samples have been read."""
    cluster = scenarios.serving_cluster(**{"requests_per_second": 20.0, **settings})  # type: ignore[arg-type]
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(30)
    assert cluster.newest().status.reason == "GatheringEvidence"
    return cluster


def sparsely(cluster: Cluster, seconds: float) -> None:
    """The same as `run`, with a reconcile after each scrape."""
    for _ in range(int(seconds / cluster.scrape_seconds)):
        cluster.tick(cluster.scrape_seconds)
        cluster.reconcile()


def inquiry(cluster: Cluster) -> prepare.Inquiry:
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    return prepare.prepare(snapshot).inquiry


def unprogrammed(cluster: Cluster) -> None:
    """The gateway stops programming routes, and the release advances by one step."""
    cluster.programmed_seconds = math.inf
    cluster.asks("SkipStep")
    cluster.run(passing.LASTS_SECONDS + 1)
    assert cluster.newest().status.reason == "RouteChanging"


def test_a_route_that_stays_in_flight_is_reported() -> None:
    cluster = released()
    cluster.programmed_seconds = math.inf
    cluster.asks("SkipStep")
    cluster.run(passing.LASTS_SECONDS - 2)
    assert (cluster.newest().status.step, cluster.newest().status.reason) == (2, "SkippedByPerson")
    assert cluster.condition("RoutesProgrammed")["status"] == "True"
    cluster.run(4)
    assert (cluster.newest().status.step, cluster.newest().status.reason) == (2, "RouteChanging")
    assert cluster.condition("RoutesProgrammed")["reason"] == "WaitingForGateway"


def test_a_gateway_that_has_not_answered_is_not_looked_at_by_time() -> None:
    """Its answer wakes the model. A change in two writes used to be looked at every two seconds until then."""
    cluster = scenarios.serving_cluster(requests_per_second=0.0, spec=BLUE_GREEN)
    cluster.user_applies(scenarios.manifest(V2, **BLUE_GREEN))
    cluster.run(60, until=lambda: cluster.newest().status.step == 2)
    cluster.programmed_seconds = math.inf
    cluster.run(passing.LASTS_SECONDS + 5)
    route = cluster.objects["HTTPRoute", "digits"]
    assert address.ANNOTATION_SETTLE_UNTIL in route["metadata"]["annotations"], "the first of two writes"
    plan = cluster.plan()
    assert (plan.writes, cluster.newest().status.reason) == ((), "RouteChanging")
    assert plan.requeue_after is not None
    assert plan.requeue_after > 60
    cluster.programmed_seconds = 1.0
    cluster.recovers()
    cluster.run(15)
    assert cluster.weights()[cluster.newest().spec.target.revision] == 1000


def test_the_record_of_a_release_that_ends_with_its_route_in_flight_has_its_objectives() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=20.0)
    cluster.programmed_seconds = math.inf
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(30, until=lambda: cluster.newest().status.step == 1)
    cluster.run(2)
    cluster.asks("Abort")
    cluster.run(5)
    assert cluster.newest().status.outcome is Outcome.ABORTED
    assert [each.name for each in cluster.newest().status.objectives] != []


def test_a_gateway_that_answers_soon_costs_no_status() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=0.0)
    before = len(cluster.writes)
    cluster.user_applies(scenarios.manifest(V2, rollout={"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 15}}))
    cluster.run(700, until=lambda: cluster.newest().status.reason == "BakingWithoutTraffic")
    assert cluster.newest().status.reason == "BakingWithoutTraffic"
    written = [write.manifest["kind"] for write in cluster.writes[before:] if isinstance(write, ApplyStatus)]
    assert len(written) <= 12, written


def test_nothing_is_asked_or_written_while_the_route_is_not_programmed() -> None:
    cluster = released()
    unprogrammed(cluster)
    asked, written = cluster.asked, len(cluster.writes)
    sparsely(cluster, seconds=500)
    assert (cluster.asked, len(cluster.writes)) == (asked, written)
    after = cluster.plan().requeue_after
    assert after is not None
    assert 60 < after <= 120, "the next look is before samples are out of reach"
    assert "the gateway has not responded" in cluster.condition("RoutesProgrammed")["message"]


def test_what_is_counted_meanwhile_is_not_lost() -> None:
    """The gateway may send requests all the time, and only not report it."""
    cluster = released(requests_per_second=5.0)
    unprogrammed(cluster)
    sparsely(cluster, seconds=1500)
    cluster.programmed_seconds = 1.0
    cluster.recovers()
    cluster.run(12)
    status = cluster.newest().status
    assert status.reason == "GatheringEvidence"
    counted = next(objective.candidate for objective in status.objectives if objective.name == "errors")
    assert counted.requests >= 0.98 * cluster.sent[cluster.newest().spec.target.revision]


@pytest.mark.parametrize("on_deadline", ["RollBack", "Hold"])
def test_the_deadline_holds_while_the_route_is_not_programmed(on_deadline: str) -> None:
    cluster = released(policy_changes={"progressDeadlineSeconds": 300, "onDeadline": on_deadline})
    unprogrammed(cluster)
    sparsely(cluster, seconds=330)
    status = cluster.newest().status
    if on_deadline == "RollBack":
        assert (status.outcome, status.reason) == (Outcome.ROLLED_BACK, "DeadlineExceeded")
    else:
        assert (status.outcome, status.reason) == (None, "RouteChanging")


def test_a_blind_release_stays_blind_while_the_route_is_not_programmed() -> None:
    """Its clocks stand still, and the model says why, whatever a person requests meanwhile."""
    cluster = released()
    cluster.prometheus_up = False
    cluster.run(150)
    before = cluster.condition("MetricsAvailable")
    assert before["status"] == "False"
    since = cluster.newest().status.blind_since
    cluster.programmed_seconds = math.inf
    cluster.asks("SkipStep")
    cluster.run(60)
    status = cluster.newest().status
    assert (status.step, status.blind_since, status.verdict) == (2, since, Verdict.BLIND)
    assert cluster.condition("MetricsAvailable") == before


@pytest.mark.parametrize("action", ["Abort", "Rollback", "Promote", "SkipStep", "Pause"])
def test_an_intent_waits_for_no_samples(action: str) -> None:
    cluster = released()
    assert inquiry(cluster).metrics
    cluster.asks(action)
    assert inquiry(cluster).metrics == ()
    asked = cluster.asked
    plan = cluster.plan()
    Laws(cluster).check(plan)
    for write in plan.writes:
        cluster.apply(write)
    assert cluster.asked == asked
    assert cluster.newest().status.observed_intent is not None
    if action in ("Abort", "Rollback"):
        assert cluster.newest().status.outcome is Outcome.ABORTED
    else:
        assert plan.requeue_after is not None
        assert plan.requeue_after <= 0.5, "then it is looked"


@pytest.mark.parametrize("uri", [V2, WRONG])
@pytest.mark.parametrize("stepping", ["Fixed", "Auto"])
def test_a_restarted_operator_counts_the_same_again(uri: str, stepping: str) -> None:
    """An operator that dies between two records, again and again, beside one that lives."""
    lives, forgets = (scenarios.serving_cluster(requests_per_second=20.0) for _ in range(2))
    for cluster in (lives, forgets):
        cluster.shared["RolloutPolicy", "default"]["spec"]["stepping"] = stepping
        cluster.user_applies(scenarios.manifest(uri))
    remembered = 0
    for _ in range(900):
        lives.run(1)
        forgets.remembered.clear()
        forgets.run(1)
        remembered += bool(lives.remembered["digits"].counted)
        assert lives.newest().status == forgets.newest().status
    assert lives.newest().status.outcome is not None
    assert remembered > 0


def pending(cluster: Cluster) -> Plan:
    """Decisions while samples are in flight."""
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    prepared = prepare.prepare(snapshot)
    assert prepared.inquiry.metrics
    return decide.decide(prepared, prepare.read(prepared, prepare.Replies(pending=True)))


def test_evidence_decides_nothing_while_samples_are_in_flight() -> None:
    """At the moment when the last samples would have proven the candidate."""
    cluster = released(requests_per_second=100.0)
    for _ in range(120):
        cluster.tick()
        if decides(cluster.plan()):
            break
        cluster.reconcile()
    assert decides(cluster.plan())
    assert pending(cluster).writes == ()


def decides(plan: Plan) -> bool:
    return any(isinstance(write, Apply) for write in plan.writes)


def test_a_version_that_has_lost_its_pods_does_not_wait_for_samples() -> None:
    cluster = released()
    candidate = cluster.newest().spec.target.revision
    assert cluster.weights()[candidate] > 0
    cluster.crash(candidate)
    plan = pending(cluster)
    Laws(cluster).check(plan)
    for write in plan.writes:
        cluster.apply(write)
    assert cluster.weights()[candidate] == 0
    assert plan.requeue_after is not None
    assert 1 <= plan.requeue_after <= 60


def test_the_first_weight_waits_for_its_forecast() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.tick()
    for write in cluster.plan().writes:
        cluster.apply(write)
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    assert prepare.waits_for_samples(prepare.prepare(snapshot))
    cluster.run(10)
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    assert not prepare.waits_for_samples(prepare.prepare(snapshot))


@pytest.mark.parametrize("action", ["Resume", "Retry"])
def test_an_intent_after_which_evidence_decides_asks_first(action: str) -> None:
    cluster = released()
    cluster.asks(action)
    assert inquiry(cluster).metrics


def test_an_intent_that_is_refused_decides_nothing_else() -> None:
    """The bake is over at the same moment, and the last samples speak against the version: they are read first."""
    cluster = released()
    cluster.asks("Promote")
    cluster.run(30, until=lambda: cluster.newest().status.reason == "Baking")
    cluster.tick(60.0)
    cluster.asks("SkipStep")
    plan = cluster.plan()
    for write in plan.writes:
        cluster.apply(write)
    status = cluster.newest().status
    assert status.observed_intent is not None
    assert status.observed_intent.result.startswith("ignored")
    assert (status.outcome, status.reason) == (None, "Baking")


def test_an_intent_before_the_first_look_needs_no_forecast_either() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.tick()
    cluster.reconcile()
    assert cluster.newest().status.step == 0
    cluster.asks("Abort")
    assert inquiry(cluster).metrics == ()
    cluster.reconcile()
    assert cluster.newest().status.outcome is Outcome.ABORTED


def whole_release(uri: str) -> tuple[Cluster, float, int]:
    """(cluster, seconds, status writes) of a release to its end."""
    cluster = scenarios.serving_cluster()
    before = len(cluster.writes)
    cluster.user_applies(scenarios.manifest(uri))
    laws = Laws(cluster)

    def is_over() -> bool:
        return len(cluster.rollouts()) == 2 and cluster.newest().status.outcome is not None

    seconds = cluster.run(600, check=laws.check, until=is_over)
    return cluster, seconds, sum(isinstance(write, ApplyStatus) for write in cluster.writes[before:])


@pytest.mark.parametrize(("uri", "outcome"), [(V2, Outcome.PROMOTED), (WRONG, Outcome.ROLLED_BACK)])
def test_a_look_that_only_counts_is_not_written_and_nothing_else_changes(
    uri: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, seconds, writes = whole_release(uri)
    monkeypatch.setattr(carried, "COUNTED_SECONDS", 0.0)
    every, seconds_of_every, writes_of_every = whole_release(uri)
    status, reference = cluster.newest().status, every.newest().status
    assert (status.outcome, seconds) == (outcome, seconds_of_every)
    assert (status.timeline, status.state, status.objectives) == (
        reference.timeline,
        reference.state,
        reference.objectives,
    )
    assert writes < writes_of_every
    if outcome is Outcome.PROMOTED:
        assert writes <= 45
        assert writes_of_every >= 2 * writes


def test_while_evidence_is_gathered_one_look_a_minute_is_written() -> None:
    """A version with so few requests that its first step takes long."""
    cluster = released(requests_per_second=2.0)
    before = len(cluster.writes)
    sparsely(cluster, seconds=600)
    assert cluster.newest().status.step == 1
    written = [write.manifest["kind"] for write in cluster.writes[before:] if isinstance(write, ApplyStatus)]
    assert 10 <= written.count("ModelRollout") <= 14
    assert written.count("ModelDeployment") <= written.count("ModelRollout")


def test_a_problem_is_written_at_once_also_between_two_minutes() -> None:
    cluster = released()
    cluster.run(7)
    cluster.crash(cluster.newest().spec.target.revision)
    cluster.run(2)
    assert cluster.newest().status.reason == "CandidateNotReady"
    assert cluster.status()["rollout"]["reason"] == "CandidateNotReady"


def test_a_day_without_requests_is_asked_for_once_a_minute() -> None:
    cluster = scenarios.serving_cluster(requests_per_second=0.0)
    cluster.ready_seconds = math.inf
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(5)
    asked = []
    for _ in range(300):
        before = cluster.asked
        cluster.tick()
        cluster.plan()
        asked.append(cluster.asked > before)
    assert sum(asked) == 5, "the candidate is awaited for five minutes"
    cluster.requests_per_second = 20.0
    cluster.run(65)
    assert cluster.newest().status.plan, "what the steps need is told as soon as there are requests"


@pytest.mark.parametrize("uri", [V2, WRONG])
def test_a_look_by_time_alone_judges_like_a_whole_reconcile(uri: str) -> None:
    """As in a release that waits for its turn to be written: the comparison is kept, and only the judge reads on."""
    cluster = scenarios.serving_cluster(requests_per_second=50.0)
    cluster.user_applies(scenarios.manifest(uri))
    kept: prepare.Compared | None = None
    looked, accused = 0, 0
    for _ in range(120):
        cluster.tick(1.0)
        snapshot, before = cluster.snapshot(), cluster.remembered.get("digits", prepare.NOTHING)
        assert isinstance(snapshot, Snapshot)
        prepared = prepare.prepare(snapshot, before)
        if prepared.inquiry.judges and kept is not None and kept.running is not None:
            later = kept.later(cluster.now, before)
            if later == prepared.compared:  # nothing was written in between
                assert later.inquiry() == prepared.inquiry
                replies = prepare.Replies(metrics=cluster.answer(prepared.inquiry.metrics))
                found = later.read(replies)
                assert found == prepare.read(prepared, replies)
                looked, accused = looked + 1, accused + found.accuse
                whole = prepare.read(prepare.prepare(snapshot, found.remembered), replies)
                assert whole.accuse == found.accuse, (
                    "the same samples, once more, by a reconcile that goes on from this look"
                )
        kept = prepared.compared
        cluster.reconcile()
    assert looked > 10
    assert bool(accused) == (uri == WRONG)
