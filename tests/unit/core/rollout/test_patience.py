"""How long a version may be without a ready pod."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.snapshot import Object, Pod, Revision
from sluice_core.rollout import patience, stepping
from sluice_core.rollout.gates import harm
from tests.support.cases import builders, changes
from tests.support.cases.builders import NOW
from tests.support.cases.moments import (
    CANDIDATE,
    STABLE,
    THIRD,
    Change,
    at,
    make_comparison,
    make_moment,
    make_test_rules,
)


def pod(server_since: float | None = None, *, load_seconds: float | None = None, terminating: bool = False) -> Pod:
    return Pod(
        "pod", ready=False, restarts=0, terminating=terminating, server_since=server_since, load_seconds=load_seconds
    )


def with_probe(**probe: Any) -> Revision:
    containers = [{"name": "server", "startupProbe": probe}, {"name": "warm-up"}]
    return replace(CANDIDATE, template={"spec": {"containers": containers}})


@pytest.mark.parametrize(
    ("template", "want"),
    [
        pytest.param({}, 0, id="no pod"),
        pytest.param({"spec": {"containers": [{"name": "server"}]}}, 0, id="no probe"),
        pytest.param(with_probe().template, 30, id="Kubernetes' defaults"),
        pytest.param(with_probe(periodSeconds=5, failureThreshold=720).template, 3600, id="an hour"),
        pytest.param(with_probe(initialDelaySeconds=20, periodSeconds=1).template, 23, id="it begins later"),
        pytest.param(with_probe(periodSeconds="5", failureThreshold=-1).template, 30, id="no numbers"),
        pytest.param({"spec": {"containers": [{"startupProbe": "none"}]}}, 0, id="no probe at all"),
        pytest.param(
            {"spec": {**with_probe().template["spec"], "initContainers": [{"name": "a"}, *[{"startupProbe": {}}] * 2]}},
            90,
            id="sidecars come one after the other",
        ),
    ],
)
def test_a_startup_probe_says_how_long_a_server_may_start(template: Object, want: float) -> None:
    assert patience.startup_seconds(template) == want


@pytest.mark.parametrize(
    ("revision", "loads", "want"),
    [
        pytest.param(CANDIDATE, {}, 600, id="nothing is known"),
        pytest.param(with_probe(periodSeconds=1, failureThreshold=600), {}, 1200, id="its probe"),
        pytest.param(CANDIDATE, {CANDIDATE.name: 400}, 800, id="it was seen to load"),
        pytest.param(CANDIDATE, {STABLE.name: 500}, 1000, id="the stable version was seen to load"),
        pytest.param(CANDIDATE, {THIRD.name: 500}, 600, id="a third version was"),
        pytest.param(CANDIDATE, {CANDIDATE.name: 90_000}, 7200, id="it waited for a node for a day"),
    ],
)
def test_a_version_that_never_had_a_pod_has_the_time_to_load(
    revision: Revision, loads: dict[str, float], want: float
) -> None:
    assert patience.to_start(revision, loads, STABLE) == want


@pytest.mark.parametrize(
    ("pods", "load", "want"),
    [
        pytest.param((), 0, 60, id="nothing is known"),
        pytest.param((), 20, 60, id="it loads quickly"),
        pytest.param((), 200, 400, id="it loads slowly"),
        pytest.param((), 90_000, 7200, id="it waited for a node for a day"),
        pytest.param((pod(NOW - 90),), 200, 60, id="its server runs on"),
        pytest.param((pod(NOW - 10),), 200, 400, id="its server was started again"),
        pytest.param((pod(None),), 200, 400, id="its server does not run yet"),
        pytest.param((pod(NOW - 90), pod(None)), 200, 400, id="one of two is loading"),
        pytest.param((pod(NOW - 90), pod(None, terminating=True)), 200, 60, id="the other one goes"),
    ],
)
def test_a_version_that_was_ready_has_the_time_to_load_again(pods: tuple[Pod, ...], load: float, want: float) -> None:
    revision = replace(CANDIDATE, pods=pods)
    assert patience.to_return(revision, at(-60), {CANDIDATE.name: load}) == want


def test_what_has_just_become_unready_may_be_loading() -> None:
    assert patience.loading(replace(CANDIDATE, pods=(pod(NOW - 90),)), None)


def release(**status: Any) -> ModelRollout:
    return builders.make_rollout(target=CANDIDATE, source=STABLE, status={"startTime": at(-500), **status})


def comparison(**arm: Any) -> ModelRollout:
    arms = [{"name": "b", "revision": CANDIDATE.name, **arm}]
    return builders.make_rollout(
        target=STABLE, source=STABLE, abTest=make_test_rules().to_wire(), status={"startTime": at(-500), "arms": arms}
    )


@pytest.mark.parametrize(
    ("rollouts", "want"),
    [
        pytest.param([], {}, id="no release"),
        pytest.param([release()], {CANDIDATE.name: 0}, id="never ready"),
        pytest.param([release(readyTime=at(-200))], {CANDIDATE.name: 300}, id="nobody saw the pods"),
        pytest.param([release(readyTime=at(-200), loadSeconds=250)], {CANDIDATE.name: 250}, id="noted"),
        pytest.param([release(loadSeconds=250), release(loadSeconds=100)], {CANDIDATE.name: 250}, id="the longest"),
        pytest.param([comparison(loadSeconds=70)], {STABLE.name: 0, CANDIDATE.name: 70}, id="an arm of a test"),
        pytest.param([release(startTime=None, readyTime=at(-200))], {CANDIDATE.name: 0}, id="begun nobody knows when"),
    ],
)
def test_releases_tell_how_long_a_model_loads(rollouts: list[ModelRollout], want: dict[str, float]) -> None:
    assert patience.observed_loads(rollouts) == want


@pytest.mark.parametrize(
    ("pods", "begun", "want"),
    [
        pytest.param((), at(-500), None, id="nobody can see pods"),
        pytest.param((pod(),), at(-500), None, id="none is ready"),
        pytest.param((pod(load_seconds=80.5), pod(load_seconds=120)), at(-500), 81, id="the first one"),
        pytest.param((pod(load_seconds=501),), at(-500), None, id="there before the release"),
        pytest.param((pod(load_seconds=80),), None, None, id="not begun"),
    ],
)
def test_what_a_pod_needed_is_seen_in_the_release_that_made_it(
    pods: tuple[Pod, ...], begun: str | None, want: int | None
) -> None:
    assert patience.load_seconds(replace(CANDIDATE, pods=pods), begun, NOW) == want


def test_what_a_pod_needed_is_noted_when_the_candidate_is_ready_first() -> None:
    loaded = {"candidate": {"pods": (pod(load_seconds=80),)}}
    first = stepping.move(make_moment(changes.NOT_BEGUN, loaded)).rollout.status
    assert (first.ready_time, first.load_seconds) == (at(0), 80)
    later = stepping.move(make_moment(loaded, {"status": {"loadSeconds": 40}})).rollout.status
    assert later.load_seconds == 40


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param({}, [], id="it is ready"),
        pytest.param({"unreadySince": at(-20)}, [40], id="a moment"),
        pytest.param(
            {"unreadySince": at(-20), "loadSeconds": 100, "startTime": at(-500)}, [180], id="it loads for long"
        ),
        pytest.param({"unreadySince": at(-20), "readyTime": None}, [580], id="it never was ready"),
    ],
)
def test_a_release_is_looked_at_when_the_patience_with_its_candidate_ends(given: Change, want: list[float]) -> None:
    rollout = make_moment({"status": given}).rollout
    assert list(patience.waits(rollout, [CANDIDATE], STABLE, [rollout], NOW)) == want


@pytest.mark.parametrize(("given", "want"), [({}, []), ({"unreadySince": at(-20)}, [40])])
def test_a_test_is_looked_at_when_the_patience_with_an_arm_ends(given: Change, want: list[float]) -> None:
    rollout = make_comparison({"arm": given}).rollout
    assert list(patience.waits(rollout, [CANDIDATE], STABLE, [], NOW)) == want


def test_a_candidate_that_loads_slowly_outlives_the_loss_of_a_pod() -> None:
    lost = make_moment(changes.unready(120))
    assert harm.fuse_blown(lost) is not None
    assert harm.fuse_blown(replace(lost, loads={CANDIDATE.name: 300.0})) is None
