"""Rules for every release, with steps or arms: intents, clocks and the record."""

from collections.abc import Callable
from typing import Final, TypeAlias

import pytest

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ArmStatus, ModelRolloutStatus, Outcome, TimelineEntry
from sluice_core.rollout import stepping
from sluice_core.rollout.abtest import abtest
from sluice_core.rollout.engine import Moved
from tests.simulation import test_abtest
from tests.simulation.test_freeze import open_window
from tests.support.cases import changes, moments
from tests.support.cases.moments import Change, at, make_comparison, make_moment, make_pod
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2

Start: TypeAlias = Callable[[], Cluster]
Move: TypeAlias = Callable[[Change, Change], tuple[ModelRolloutStatus, ModelRolloutStatus | ArmStatus]]
SECONDS: Final = 60
"""How long a release may go without a decision, and a test without a separation."""

LATE: Final[Change] = {"status": {"deadlineTime": at(0)}}
BETTER: Final[Change] = {"arm": {"verdict": "Better", "ratio": "1.2"}}


def steps() -> Cluster:
    """A release of the second version by steps; at one request a second nothing is decided for a long time."""
    cluster = scenarios.serving_cluster(warm_seconds=30, requests_per_second=1)
    rollout = {"progressDeadlineSeconds": SECONDS, "onDeadline": "RollBack"}
    cluster.user_applies(scenarios.manifest(V2, rollout=rollout))
    return cluster


def arms() -> Cluster:
    """The second version is an arm that is as good as the stable one."""
    cluster = test_abtest.comparing_cluster(test_abtest.rollout(("b", V2, 50), seconds=SECONDS))
    cluster.requests_per_second = 10
    return cluster


def run(cluster: Cluster, seconds: float) -> None:
    cluster.run(seconds, check=Laws(cluster).check)


def begun(start: Start) -> Cluster:
    """A release that is in its first step."""
    cluster = start()
    run(cluster, 15)
    assert cluster.newest().status.step == 1
    return cluster


def entries(cluster: Cluster, what: str) -> list[TimelineEntry]:
    return [entry for entry in cluster.newest().status.timeline if entry.what == what]


def pause(cluster: Cluster, seconds: float) -> None:
    cluster.asks("Pause")
    run(cluster, seconds)
    assert cluster.newest().status.reason == "Paused"
    cluster.asks("Resume")


@pytest.mark.parametrize("start", [steps, arms])
def test_an_abort_may_have_a_reason(start: Start) -> None:
    cluster = begun(start)
    cluster.asks("Abort", note="too slow on the phone")
    run(cluster, 3)
    ended = cluster.newest().status
    assert ended.outcome is Outcome.ABORTED
    assert "too slow on the phone" in ended.message
    assert "too slow on the phone" in ended.timeline[-1].why


@pytest.mark.parametrize("start", [steps, arms])
def test_a_refused_intent_is_in_the_timeline_and_an_event(start: Start) -> None:
    cluster = begun(start)
    open_window(cluster, seconds=600)
    run(cluster, 2)
    cluster.asks("Promote")
    run(cluster, 3)
    asked = entries(cluster, "Promote")
    assert [entry.actor for entry in asked] == ["alice"]
    assert asked[0].why.startswith("refused: freeze window")
    assert asked[0].why in [event.message for event in cluster.events if event.reason == "Promote"]


def test_an_intent_that_is_ignored_in_the_bake_is_in_the_timeline() -> None:
    cluster = scenarios.serving_cluster(warm_seconds=10)
    cluster.user_applies(scenarios.manifest(V2, rollout={"bakeSeconds": 600}))
    run(cluster, 10)
    cluster.asks("Promote")
    run(cluster, 10)
    assert cluster.newest().status.permille == 1000
    cluster.asks("SkipStep")
    run(cluster, 3)
    asked = entries(cluster, "SkipStep")
    assert [entry.actor for entry in asked] == ["alice"]
    assert asked[0].why.startswith("ignored: there is no step after the bake")


@pytest.mark.parametrize("start", [steps, arms])
def test_the_deadline_waits_in_a_pause(start: Start) -> None:
    cluster = begun(start)
    pause(cluster, SECONDS * 2)
    run(cluster, 30)
    assert cluster.newest().status.outcome is None
    run(cluster, SECONDS)
    assert cluster.newest().status.outcome is not None


@pytest.mark.parametrize("start", [steps, arms])
def test_the_deadline_waits_for_the_end_of_a_window_that_holds_the_release(start: Start) -> None:
    cluster = start()
    cluster.ready_seconds = 10
    run(cluster, 2)
    assert cluster.newest().status.start_time is not None
    open_window(cluster, seconds=SECONDS * 2)
    run(cluster, SECONDS * 2 - 1)
    assert (cluster.newest().status.step, cluster.newest().status.reason) == (0, "Frozen")
    run(cluster, 30)
    assert (cluster.newest().status.step, cluster.newest().status.outcome) == (1, None)


@pytest.mark.parametrize("start", [steps, arms])
def test_no_rollback_goes_to_a_version_that_never_existed(start: Start) -> None:
    cluster = begun(start)
    cluster.asks("Rollback", toRevision="digits-nowhere")
    run(cluster, 3)
    status = cluster.newest().status
    assert status.outcome is None
    assert status.observed_intent is not None
    assert status.observed_intent.result.startswith("refused: there is no revision digits-nowhere")


@pytest.mark.parametrize("start", [steps, arms])
def test_an_intent_is_signed_by_the_person_and_what_follows_by_sluice(start: Start) -> None:
    cluster = begun(start)
    pause(cluster, 3)
    assert [entry.actor for entry in entries(cluster, "Pause")] == ["alice"]
    assert [entry.actor for entry in entries(cluster, "Paused")] == ["sluice"]


@pytest.mark.parametrize("start", [steps, arms])
def test_a_release_begins_when_it_is_created(start: Start) -> None:
    """So that an operator that dies in between gives it no more time than others."""
    cluster = start()
    _die_once_it_is_created(cluster)
    cluster.now += 60
    run(cluster, 1)
    release = cluster.newest()
    assert release.status.start_time == release.metadata.creation_timestamp


def _die_once_it_is_created(cluster: Cluster) -> None:
    for write in cluster.plan().writes:
        cluster.apply(write)
        if len(cluster.rollouts()) > 1:
            return
    raise AssertionError("no release was created")


@pytest.mark.parametrize("start", [steps, arms])
def test_the_loss_of_the_stable_version_is_reported(start: Start) -> None:
    cluster = begun(start)
    end = cluster.newest().spec.source
    assert end is not None
    del cluster.objects["ControllerRevision", end.revision]
    run(cluster, 3)
    assert cluster.newest().status.reason == "StableVersionLost"


# --- what the simulated world cannot show: single pods, and a gateway that splits wrongly ---------------------------


def moved_steps(judged: Change, pods: Change) -> tuple[ModelRolloutStatus, ModelRolloutStatus]:
    status = stepping.move(make_moment({"judged": judged, "candidate": pods})).rollout.status
    return status, status


def moved_arms(judged: Change, pods: Change) -> tuple[ModelRolloutStatus, ArmStatus]:
    status = abtest.move(make_comparison({"judged": judged, "revision": pods})).rollout.status
    return status, status.arms[0]


@pytest.mark.parametrize("move", [moved_steps, moved_arms])
def test_a_version_whose_server_restarts_ends_with_what_its_pods_say(move: Move) -> None:
    _, candidate = move({}, {"pods": (make_pod(3, moments.CRASHING),)})
    assert candidate.reason == moments.CRASHING.reason
    assert moments.CRASHING.message in candidate.message


@pytest.mark.parametrize("move", [moved_steps, moved_arms])
def test_a_route_that_splits_wrongly_is_written_once_more(move: Move) -> None:
    release, _ = move({"split_mismatch": "50 of 100 instead of 5 %"}, {})
    assert release.reason == "SplitMismatch"
    assert release.split_mismatch_since == at(0)


@pytest.mark.parametrize("move", [moved_steps, moved_arms])
def test_a_single_bad_pod_is_replaced_first(move: Move) -> None:
    release, candidate = move({"rollback_log": 3.0, "bad_pod": "pod-0"}, {})
    assert release.replaced_pod == "pod-0"
    assert candidate.reason != "WorseThanStable"


@pytest.mark.parametrize(
    "moved",
    [
        lambda: stepping.move(make_moment(changes.WORSE, changes.asked(Action.PAUSE))),
        lambda: abtest.move(make_comparison(LATE, changes.asked(Action.RESUME))),
    ],
    ids=["steps", "arms"],
)
def test_an_end_by_evidence_is_signed_by_sluice(moved: Callable[[], Moved]) -> None:
    asked, ended = moved().news
    assert (asked.actor, ended.actor) == ("alice", "sluice")
    assert ended.what in (Outcome.ROLLED_BACK, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    "moved",
    [
        lambda: stepping.move(make_moment(changes.WORSE, changes.asked(Action.ABORT))),
        lambda: stepping.move(make_moment(changes.BAKING, changes.asked(Action.PROMOTE))),
        lambda: stepping.move(make_moment(changes.asked(Action.SKIP_STEP))),
        lambda: abtest.move(make_comparison(LATE, changes.asked(Action.ABORT))),
        lambda: abtest.move(make_comparison(BETTER, changes.asked(Action.PROMOTE))),
    ],
    ids=["abort", "promote", "skip", "abort of a test", "promote the winner"],
)
def test_the_author_of_an_intent_signs_its_consequences(moved: Callable[[], Moved]) -> None:
    assert [entry.actor for entry in moved().news] == ["alice", "alice"]
