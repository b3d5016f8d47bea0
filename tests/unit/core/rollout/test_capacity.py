"""Replicas of each side in one reconcile: the arithmetic, every mode, and what is asked and said."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.rollout.capacity import capacity, needs, pods, shares
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.steps import Step
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_core.situation.situation import Situation
from tests.support.cases import builders
from tests.support.cases.moments import Change, make_capacity, make_moment
from tests.unit.core.rollout.scarcity import (
    CANDIDATE,
    GPU,
    STABLE,
    make_devices,
    make_release,
    make_situation,
    running,
    with_devices,
)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_share_by_ready_pods_needs_no_more_pods_than_these(pods: int, replicas: int) -> None:
    share = shares.permille_for(pods, replicas)
    assert shares.pods_for(share, replicas) <= max(1, min(pods, replicas))


LATENCY = {"objectives": [{"name": "latency", "latency": {"relativeTolerance": "25%"}}]}


@pytest.mark.parametrize(
    ("permille", "following", "replicas", "pods"),
    [
        pytest.param(500, 1000, 4, 4, id="half of the requests on as many pods"),
        pytest.param(250, 500, 4, 1, id="a quarter on the one that it needs"),
        pytest.param(250, 500, 12, 4, id="and on as many as a third of stable's"),
        pytest.param(50, 100, 20, 1, id="no more than the next step needs"),
        pytest.param(1000, 1000, 4, 4, id="all requests"),
    ],
)
def test_pods_with_which_latency_is_compared_at_equal_load(
    permille: int, following: int, replicas: int, pods: int
) -> None:
    assert shares.even_pods(Step(permille), Step(following), replicas) == pods


@pytest.mark.parametrize(
    ("change", "pods"),
    [
        pytest.param({}, 4, id="created for the next step anyway"),
        pytest.param({"capacity": make_capacity(CapacityMode.SHRINK_STABLE)}, 2, id="stable gives its pods up"),
        pytest.param({"spec": {"objectives": []}}, 2, id="nothing compares pods"),
    ],
)
def test_half_of_the_requests_wait_for_as_many_pods(change: Change, pods: int) -> None:
    moment = make_moment({"spec": LATENCY}, change)
    assert moment.pods_needed(moment.step_at(2)) == pods


@pytest.mark.parametrize(
    ("step", "pods"),
    [
        pytest.param(0, 1, id="before the first step"),
        pytest.param(1, 4, id="as soon as the step before runs"),
        pytest.param(2, 4, id="at half of the requests"),
    ],
)
def test_pods_for_an_equal_load_are_created_in_time(step: int, pods: int) -> None:
    release = make_release(weights=(5, 50, 100), status={"step": step}, **LATENCY)
    assert needs.evenly_ahead(release, 4, by_service=False) == pods


@pytest.mark.parametrize(
    ("permille", "replicas", "pods"),
    [(50, 1, 1), (50, 20, 1), (200, 4, 1), (250, 20, 7), (333, 2, 1), (500, 4, 4), (900, 4, 4), (1000, 4, 4)],
)
def test_pods_that_make_a_share_behind_one_service(permille: int, replicas: int, pods: int) -> None:
    assert shares.pods_for(permille, replicas, by_service=True) == pods


@given(st.integers(1, 499), st.integers(1, 1000))
def test_no_other_number_of_pods_is_nearer_to_the_share(permille: int, replicas: int) -> None:
    pods = shares.pods_for(permille, replicas, by_service=True)
    wanted = permille * replicas / (1000 - permille)
    assert abs(pods - wanted) <= 0.5 or (pods == 1 and wanted < 1)


@given(st.integers(1, 1000), st.data())
def test_the_share_of_whole_pods_frees_as_many_of_stable(replicas: int, data: st.DataObject) -> None:
    pods = data.draw(st.integers(0, replicas - 1))
    assert shares.pods_left(shares.permille_for(pods, replicas), replicas) == replicas - pods


@given(st.integers(0, 999), st.integers(1, 1000))
def test_one_pod_more_than_at_rest_is_always_room_for_a_larger_share(permille: int, replicas: int) -> None:
    candidates = replicas + pods.EXTRA - shares.pods_left(permille, replicas)
    assert shares.permille_for(candidates, replicas) > permille


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_what_is_left_of_stable_carries_its_share_to_a_permille(permille: int, replicas: int) -> None:
    left = shares.pods_left(permille, replicas)
    assert left * 1000 > (1000 - permille - 1) * replicas


def test_without_accelerators_the_candidate_comes_beside_stable_and_nothing_is_asked() -> None:
    situation = make_situation(make_release(), stable=running(STABLE, 4), candidates=(CANDIDATE,))
    assert needs.question(situation) is None
    assert capacity.plan(situation, None) == Capacity(4, 2, "", CapacityMode.SURGE)


def test_the_question_comes_from_the_candidates_pinned_pods() -> None:
    tolerations = [{"key": GPU, "operator": "Exists"}]
    candidate = with_devices(CANDIDATE, count=2, nodeSelector={"gpu": "l4"}, tolerations=tolerations)
    situation = make_situation(make_release(), stable=running(with_devices(STABLE), 4), candidates=(candidate,))
    assert needs.question(situation) == DevicesQuestion(
        GPU, 2, builders.NAMESPACE, builders.NAME, {"gpu": "l4"}, tuple(tolerations)
    )


@pytest.mark.parametrize(
    ("mode", "ready", "asked"),
    [
        (CapacityMode.AUTO, 0, True),
        (CapacityMode.AUTO, 1, True),
        (CapacityMode.AUTO, 2, False),  # the first step needs two of four
        (CapacityMode.SHRINK_STABLE, 0, True),
        (CapacityMode.RECREATE, 0, True),
        (CapacityMode.SURGE, 0, False),  # the scheduler decides, and a node autoscaler may hear of it
    ],
)
def test_devices_are_asked_for_only_while_pods_are_missing(mode: CapacityMode, ready: int, asked: bool) -> None:
    candidate = running(with_devices(CANDIDATE), ready)
    situation = make_situation(
        make_release(mode=mode), stable=running(with_devices(STABLE), 4), candidates=(candidate,)
    )
    assert (needs.question(situation) is not None) == asked


@pytest.mark.parametrize(
    ("name", "mode", "devices", "want"),
    [
        ("room for all", CapacityMode.AUTO, make_devices(2, 1), Capacity(4, 2, "", CapacityMode.SURGE)),
        ("room for one", CapacityMode.AUTO, make_devices(1), Capacity(4, 1, "", CapacityMode.SHRINK_STABLE)),
        ("no room", CapacityMode.AUTO, make_devices(0, 0, 0), Capacity(
            4, 0, f"needs 1 {GPU}; 0 free on 3 nodes", CapacityMode.SHRINK_STABLE)),
        ("a pod of stable is missing and goes first", CapacityMode.AUTO, make_devices(1, stable=3), Capacity(
            4, 0, f"needs 1 {GPU}; 1 free on 1 node, but not 1 for each pod on one node", CapacityMode.SHRINK_STABLE)),
        ("may not look", CapacityMode.AUTO, Devices(unknown="nodes may not be listed"), Capacity(
            4, 2, "", CapacityMode.SURGE)),
        ("nobody has looked yet", CapacityMode.AUTO, None, Capacity(4, 0, "", CapacityMode.SURGE)),
        ("explicitly beside", CapacityMode.SURGE, None, Capacity(4, 2, "", CapacityMode.SURGE)),
        ("room for all, but one extra is wanted", CapacityMode.SHRINK_STABLE, make_devices(9), Capacity(
            4, 1, "", CapacityMode.SHRINK_STABLE)),
        ("stable goes first", CapacityMode.RECREATE, make_devices(0), Capacity(0, 0, "", CapacityMode.RECREATE)),
    ],
)  # fmt: skip
def test_the_first_pods_of_a_candidate(name: str, mode: CapacityMode, devices: Devices | None, want: Capacity) -> None:
    situation = make_situation(
        make_release(mode=mode), stable=running(with_devices(STABLE), 4), candidates=(with_devices(CANDIDATE),)
    )
    assert capacity.plan(situation, devices) == want, name


def test_the_sentence_names_the_profile_and_what_is_free() -> None:
    config = builders.CONFIG.model_validate({"acceleratorProfiles": [{"name": "nvidia-l4", "resource": GPU}]})
    situation = make_situation(
        make_release(),
        stable=running(with_devices(STABLE, count=2), 4),
        candidates=(with_devices(CANDIDATE, count=2),),
        spec={"accelerator": {"profile": "nvidia-l4", "count": 2}},
    )
    situation = replace(situation, snapshot=replace(situation.snapshot, config=config))
    wait = capacity.plan(situation, make_devices(1, 0, 0)).wait
    assert wait == "needs 2 nvidia.com/gpu with profile nvidia-l4; 1 free on 3 nodes"


@pytest.mark.parametrize(
    ("name", "fields", "want"),
    [
        ("a pod of the candidate starts", {"ready": 0}, 4),
        ("the route is on its way", {"programmed": False}, 4),
        ("a pod of stable still ends", {"terminating": 1}, 4),
        ("its weight is not there yet", {"permille": 0}, 4),
        ("all is quiet", {}, 3),
    ],
)
def test_stable_gives_a_pod_only_when_the_turn_before_is_over(name: str, fields: dict[str, Any], want: int) -> None:
    release = make_release(mode=CapacityMode.SHRINK_STABLE, status={"step": 1, "permille": 250})
    candidate = replace(running(with_devices(CANDIDATE), 1), ready_endpoints=fields.get("ready", 1))
    situation = make_situation(
        release,
        stable=running(with_devices(STABLE), 4, terminating=fields.get("terminating", 0)),
        candidates=(candidate,),
        permille=fields.get("permille", 250),
        programmed=fields.get("programmed", True),
    )
    planned = capacity.plan(situation, make_devices(3, candidate=1))
    assert (planned.stable_replicas, planned.candidate_replicas) == (want, 1), name


def test_stable_is_not_shrunk_ahead_of_a_proof() -> None:
    """At 50 % with two pods of four; the step to 100 % is not decided on, so the rollback stays as short as it is."""
    release = make_release(mode=CapacityMode.SHRINK_STABLE, status={"step": 1, "permille": 500})
    situation = make_situation(release, stable=running(STABLE, 3), candidates=(running(CANDIDATE, 2),), permille=500)
    assert capacity.plan(situation, None) == Capacity(3, 2, "", CapacityMode.SHRINK_STABLE)


@pytest.mark.parametrize("mode", [CapacityMode.AUTO, CapacityMode.SHRINK_STABLE])
def test_nothing_is_given_away_before_anybody_has_looked(mode: CapacityMode) -> None:
    """Decided to go to 100 % in this reconcile, so that more pods are missing than the question was about."""
    situation = make_situation(
        make_release(mode=mode, status={"step": 2, "permille": 500}),
        stable=running(with_devices(STABLE), 3),
        candidates=(running(with_devices(CANDIDATE), 2),),
        permille=500,
    )
    assert capacity.plan(situation, None) == Capacity(3, 2, "", CapacityMode.SHRINK_STABLE)
    assert capacity.plan(situation, make_devices(0, stable=3, candidate=2)).stable_replicas == 2


def test_pods_of_a_superseded_version_count_and_are_named() -> None:
    release = make_release(mode=CapacityMode.SHRINK_STABLE)
    older = running(builders.make_revision(uri="s3://models/digits/9", number=3), 1)
    situation = make_situation(release, stable=running(STABLE, 4), candidates=(CANDIDATE,), leaving=(older,))
    planned = capacity.plan(situation, None)
    assert (planned.stable_replicas, planned.candidate_replicas) == (4, 0)
    assert planned.wait == "1 pods of an earlier version must end first: capacity ShrinkStable allows 5 pods at a time"


def test_stable_that_uses_other_devices_gives_none() -> None:
    situation = make_situation(
        make_release(),
        stable=running(with_devices(STABLE, resource="nvidia.com/mig-1g.10gb"), 4),
        candidates=(with_devices(CANDIDATE),),
    )
    planned = capacity.plan(situation, make_devices(1, stable=0))
    assert planned == Capacity(4, 0, f"needs 2 {GPU}; 1 free on 1 node", CapacityMode.SURGE)


@pytest.mark.parametrize("step", [{"preview": True}, {"mirrorPercent": 100}])
@pytest.mark.parametrize(("free", "want"), [(4, 4), (3, 0)])
def test_previews_and_mirrors_get_all_of_their_pods_or_none(step: dict[str, Any], free: int, want: int) -> None:
    situation = make_situation(
        make_release(steps=[step, {"weight": 100}]),
        stable=running(with_devices(STABLE), 4),
        candidates=(with_devices(CANDIDATE),),
    )
    planned = capacity.plan(situation, make_devices(free))
    assert (planned.stable_replicas, planned.candidate_replicas, planned.ramps) == (4, want, False)
    assert bool(planned.wait) == (want == 0)


def test_a_first_version_is_left_to_the_scheduler_but_says_what_is_missing() -> None:
    situation = make_situation(make_release(source=None), stable=None, candidates=(with_devices(CANDIDATE),))
    planned = capacity.plan(situation, make_devices(1))
    assert planned == Capacity(4, 4, f"needs 4 {GPU}; 1 free on 1 node", CapacityMode.SURGE)


def test_recreate_waits_for_the_last_pod_of_stable_and_then_for_nothing() -> None:
    release = make_release(mode=CapacityMode.RECREATE, weights=(100,))
    gone = running(STABLE, 0)
    ending = running(STABLE, 0, terminating=1)
    scaled_by_hand = running(STABLE, 2)
    for stable, candidate, want in (
        (running(STABLE, 4), CANDIDATE, (0, 0)),
        (ending, CANDIDATE, (0, 0)),
        (gone, CANDIDATE, (0, 4)),
        (scaled_by_hand, running(CANDIDATE, 4), (0, 4)),
    ):
        planned = capacity.plan(make_situation(release, stable=stable, candidates=(candidate,)), None)
        assert (planned.stable_replicas, planned.candidate_replicas) == want


def make_test(**arguments: Any) -> Situation:
    """An A/B test with two arms, of 25 % and 50 %."""
    arms = tuple(builders.make_revision(uri=f"s3://models/digits/{n}", number=n) for n in (2, 3))
    rules = {
        "arms": [
            {"name": name, "weight": weight, "to": builders.make_end(arm)}
            for name, weight, arm in zip("bc", (25, 50), arms, strict=True)
        ],
        "assignment": {},
        "metric": "clicks",
        "maximumSeconds": 3600,
        "onWinner": "Report",
    }
    release = make_release(weights=(100,), abTest=rules, **arguments)
    return make_situation(release, stable=running(with_devices(STABLE), 4), candidates=tuple(map(with_devices, arms)))


def test_every_arm_has_pods_for_its_share() -> None:
    situation = make_test()
    b, c = (arm.name for arm in situation.candidates)
    planned = capacity.plan(situation, make_devices(3))
    assert (planned.stable_replicas, planned.replicas_of(b), planned.replicas_of(c)) == (4, 1, 2)


def test_arms_start_together_or_not_at_all() -> None:
    planned = capacity.plan(make_test(), make_devices(2))
    assert set(planned.arms.values()) == {0}
    assert planned.wait == f"needs 3 {GPU}; 2 free on 1 node"


def test_arms_are_not_started_before_anybody_has_looked() -> None:
    assert set(capacity.plan(make_test(), None).arms.values()) == {0}


def test_with_autoscaling_the_whole_is_what_stable_has() -> None:
    spec = {"autoscaling": {"minimumReplicas": 2, "maximumReplicas": 10}}
    release = make_release(baseReplicas=3)
    for replicas, want in ((6, 6), (1, 3)):
        situation = make_situation(release, stable=running(STABLE, replicas), candidates=(CANDIDATE,), spec=spec)
        assert shares.whole(situation) == want
    ended = make_release(status={"outcome": "Promoted"})
    at_rest = make_situation(ended, stable=running(STABLE, 6), candidates=(CANDIDATE,), spec=spec)
    assert capacity.plan(at_rest, None).stable_replicas == 2
