"""What a person reads in each phase of a release, strategy by strategy: the headline of status, and `Ready`."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from kubectl_sluice.views.releases import explain
from kubectl_sluice.views.releases.release import release_view
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from tests.simulation import test_abtest, test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import DEAD, V2

SERVES: Final = "serves the requested version"
NOT_REQUESTED: Final = "serves, but not the requested version"
STARTS: Final = "the candidate is starting"
WARM: Final = "at 100 %, the old version stays warm for # more"
DOWN: Final = "DOWN, no version answers"
FLIPS: Final = "releasing: step 2 of 2, 100 %"

PROMOTED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "canary": (
        (STARTS, "stable"),
        ("releasing: step # of 3, # %", "stable"),
        (WARM, "stable"),
        (SERVES, "candidate"),
    ),
    "bluegreen": (
        (STARTS, "stable"),
        ("releasing: step 1 of 2, preview", "stable"),
        (FLIPS, "stable"),
        (WARM, "stable"),
        (SERVES, "candidate"),
    ),
    "shadow": (
        (STARTS, "stable"),
        ("releasing: step 1 of 2, mirror 100 %", "stable"),
        (FLIPS, "stable"),
        (WARM, "stable"),
        (SERVES, "candidate"),
    ),
    "mirrored-canary": (
        (STARTS, "stable"),
        ("releasing: step 1 of 4, mirror 100 %", "stable"),
        ("releasing: step # of 4, # %", "stable"),
        (WARM, "stable"),
        (SERVES, "candidate"),
    ),
    "mirrored-bluegreen": (
        (STARTS, "stable"),
        ("releasing: step 1 of 3, mirror 100 %", "stable"),
        ("releasing: step 2 of 3, preview", "stable"),
        ("releasing: step # of 3, # %", "stable"),
        (WARM, "stable"),
        (SERVES, "candidate"),
    ),
    "recreate": (
        (f"{DOWN}; {STARTS}", "False: no pod of stable is ready"),
        ("at 100 %, the bake lasts # more, and the old version has no pods", "candidate, and stable has no pods"),
        (SERVES, "candidate"),
    ),
}
"""(headline, readiness) of every phase that lasts for five seconds, in order."""
ROLLED_BACK: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    **{
        strategy: (*PROMOTED[strategy][:2], (NOT_REQUESTED, "stable"))
        for strategy in PROMOTED
        if strategy != "recreate"
    },
    "recreate": (
        *PROMOTED["recreate"][:2],
        (DOWN, "False: no pod of stable is ready"),
        (NOT_REQUESTED, "stable"),
    ),
}


def phases(cluster: Cluster, *, lasting: int = 5) -> list[tuple[str, str]]:
    """Texts shown for at least this many seconds, until nothing has happened for a while."""
    seen: list[tuple[str, str]] = []
    found: list[tuple[str, str]] = []
    for _ in range(900):
        cluster.run(1, check=Laws(cluster).check)
        if cluster.newest().status.reason == "PausedAtStep":
            cluster.asks("Resume")
        seen.append(words(cluster))
        if len(set(seen[-lasting:])) == 1 and len(seen) >= lasting and seen[-1] not in found[-1:]:
            found.append(seen[-1])
        if cluster.newest().status.outcome is not None and len(set(seen[-60:])) == 1:
            return found
    raise AssertionError(found)


def words(cluster: Cluster) -> tuple[str, str]:
    model = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    headline = release_view(model, cluster.rollouts(), now=cluster.now).headline.partition("; against it")[0]
    headline = re.sub(
        r"for [0-9a-z]+ more|lasts [0-9a-z]+ more", lambda found: f"{found[0].split()[0]} # more", headline
    )
    headline = re.sub(r"step \d of ([34]), [\d.]+ %", r"step # of \1, # %", headline)
    ready, who = cluster.condition("Ready"), {}
    for role, rollout in zip(("stable", "candidate"), cluster.rollouts(), strict=False):
        who[rollout.spec.target.revision] = role
    message = re.sub("|".join(who), lambda found: who[found[0]], ready["message"])
    if ready["status"] == "False":
        return headline, f"False: {message}"
    return headline, re.sub(r" serves at \S+?(;|$)", r"\1", message).replace(";", ", and").removesuffix(
        " to make room for it"
    )


def released(strategy: str, uri: str) -> Cluster:
    rollout = {**test_strategies.STRATEGIES[strategy], "bakeSeconds": 90}
    cluster = scenarios.serving_cluster(spec={"rollout": rollout}, ready_seconds=12, preview_per_second=20)
    cluster.user_applies(scenarios.manifest(uri, rollout=rollout))
    return cluster


@pytest.mark.parametrize("strategy", PROMOTED)
def test_of_a_release_that_is_promoted(strategy: str) -> None:
    assert tuple(phases(released(strategy, V2))) == PROMOTED[strategy]


@pytest.mark.parametrize("strategy", ROLLED_BACK)
def test_of_a_release_that_is_rolled_back(strategy: str) -> None:
    assert tuple(phases(released(strategy, DEAD))) == ROLLED_BACK[strategy]


def test_recreate_that_never_comes_up_says_down_until_the_old_version_is_back() -> None:
    cluster = released("recreate", "s3://models/digits/stuck")
    cluster.behaviours["s3://models/digits/stuck"] = scenarios.Behaviour(ready=False)
    assert phases(cluster) == [PROMOTED["recreate"][0], *ROLLED_BACK["recreate"][-2:]]


def test_what_others_answer_is_not_down() -> None:
    rollout: dict[str, Any] = {"canary": {"steps": [{"weight": 20, "minimumSeconds": 900}, {"weight": 100}]}}
    cluster = scenarios.serving_cluster(spec={"rollout": rollout}, policy_changes={"maximumRequestsAtRisk": 0})
    stable = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(V2, rollout=rollout))
    cluster.run(60, until=lambda: cluster.newest().status.permille == 200)
    cluster.run(10)
    cluster.crash(stable)
    cluster.run(10)
    assert words(cluster)[0] == "not ready; releasing: step 1 of 2, 20 %"
    cluster.asks("Abort")
    cluster.run(10)
    assert words(cluster)[0] == "not ready"
    cluster.crash(cluster.newest().spec.target.revision)
    cluster.run(10)
    assert words(cluster)[0] == DOWN


TESTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Report": ("the arms of the A/B test are starting", "A/B test of 1 arm on conversion", SERVES),
    "Promote": ("the arms of the A/B test are starting", "A/B test of 1 arm on conversion", WARM, NOT_REQUESTED),
}
"""Texts of a test by the fate of its winner. The winner serves, while spec.model still names the other one."""


@pytest.mark.parametrize("on_winner", TESTS)
def test_of_an_ab_test(on_winner: str) -> None:
    wanted = test_abtest.rollout(("small", V2, 50), on_winner=on_winner, seconds=3600)
    cluster = test_abtest.comparing_cluster(wanted, v2=0.2)
    assert tuple(headline for headline, _ in phases(cluster, lasting=3)) == TESTS[on_winner]


@pytest.mark.parametrize(
    ("strategy", "goal"),
    [("canary", "6.5 %"), ("shadow", "a copy of 100 % of the requests"), ("bluegreen", "the preview")],
)
def test_the_route_is_on_its_way_to_what_the_step_gives(strategy: str, goal: str) -> None:
    cluster = released(strategy, V2)
    said: list[str] = []
    while cluster.newest().status.step < 2 and len(said) < 300:
        cluster.run(1)
        said.append(explained(cluster))
    on_its_way = next(each for each in said if "on its way" in each)
    assert f"the route is on its way to {goal};" in on_its_way


def explained(cluster: Cluster) -> str:
    model = ModelDeployment.model_validate(cluster.objects["ModelDeployment", "digits"])
    return " ".join(explain.explain(model, cluster.rollouts(), cluster.newest(), now=cluster.now).answer)
