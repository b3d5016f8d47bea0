"""A/B tests with simulated users over the real gateway: who is answered by which version, and what that proves."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from demo import setup
from tests.support.live.scene import Object, Scene, wait_until
from tests.support.simulated.users import OBJECTIVES, User, Users

CONTROL, GOOD, OTHER, ALWAYS_FAILING = "2", "2b", "2c", "failing"
RATE = 40.0
"""New users a second; each sends three requests."""
ENOUGH = 300
CROWD = 10_000
DEVIATIONS = 4.5
"""Of a share from its weight; chance exceeds them once in 150,000 times."""


@pytest.fixture
def shop(scene: Scene, request: pytest.FixtureRequest) -> Iterator[str]:
    """A model of the test's own that serves its control; nothing of it is left for the next test to stumble over."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:30].rstrip("-")
    scene.deploy(name, CONTROL)
    scene.wait_ready(name)
    yield name
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", name, scene.where, "--wait=false")


@pytest.fixture
def visitors(scene: Scene, shop: str) -> Iterator[Callable[..., Users]]:
    """Lets users arrive, and Prometheus count them. At the end not one of their requests was lost."""
    started: list[Users] = []

    def start(**settings: Any) -> Users:
        users = Users(scene.target(shop), rate=RATE, **settings).start()
        started.append(users)
        setup.connect_feedback(scene.cluster, users, scene.namespace)
        wait_until(lambda: len(users.known) > RATE, "users arrive")
        return users

    yield start
    for users in started:
        total = users.stop().total
        print(f"\nlost {total.lost} of {total.requests}")
        assert total.requests > ENOUGH
        assert total.lost == 0, f"lost requests: {dict(total.problems)}"


def begin(scene: Scene, name: str, *arms: tuple[str, str, int], **settings: Any) -> str:
    """The test of these arms (name, version, weight); the release that it is."""
    wanted = {
        "arms": [
            {"name": arm, "weight": weight, "model": {"uri": f"s3://{setup.BUCKET}/{setup.NAME}/{version}"}}
            for arm, version, weight in arms
        ],
        "metric": "conversion",
        **settings,
    }
    rollout = {"strategy": "ABTest", "objectives": OBJECTIVES, "abTest": wanted}
    return scene.begun(name, lambda: scene.deploy(name, CONTROL, rollout=rollout), CONTROL)


def wait_split(scene: Scene, rollout: str) -> dict[str, str]:
    """Revisions by arm, once users are split."""
    status = scene.wait_status(rollout, lambda status: status.get("step") == 1, "users are split")
    return {arm["name"]: arm["revision"] for arm in status["arms"]}


def arms_of(status: Object) -> dict[str, Object]:
    return {arm["name"]: arm for arm in status["arms"]}


def stable_of(scene: Scene, name: str) -> str:
    return str(scene.deployment(name)["status"]["stable"]["revision"])


def drawn(users: Users) -> list[User]:
    """Those who came first while the test ran, so that their first answer bound them."""
    return [user for user in users.known if user.drawn]


def wait_drawn(users: Users) -> list[User]:
    return wait_until(lambda: found if len(found := drawn(users)) >= ENOUGH else None, "enough users")


def within_chance(users: Iterable[User], shares: dict[str, float]) -> None:
    """Each revision was drawn as often as its weight says."""
    found = Counter(user.first for user in users)
    assert found.keys() <= shares.keys()
    for revision, share in shares.items():
        deviation = math.sqrt(found.total() * share * (1 - share))
        assert abs(found[revision] - found.total() * share) <= DEVIATIONS * deviation, (revision, found)


def test_users_keep_their_arm_and_a_better_one_is_reported(
    scene: Scene, shop: str, visitors: Callable[..., Users]
) -> None:
    users = visitors()
    rollout = begin(scene, shop, ("b", GOOD, 30))
    arm, stable = wait_split(scene, rollout)["b"], stable_of(scene, shop)
    seen = wait_drawn(users)
    assert not scene.rollout_status(rollout).get("outcome"), "as many buy with either"
    assert all(user.stayed for user in seen)
    within_chance(seen, {stable: 0.7, arm: 0.3})
    users.convert({arm: 0.6})
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], status["reason"]) == ("Inconclusive", "ArmIsBetter")
    b = arms_of(status)["b"]
    assert b["verdict"] == "Better"
    assert float(b["ratioLow"]) >= 1, "an open end: what is written is excluded"
    assert f"b: {b['ratio']} times stable" in status["message"]
    assert not any(user.first == stable and not user.stayed for user in drawn(users)), "nobody came into another arm"
    wait_until(lambda: set(users.visit(seen)) == {stable}, "all are the control's")
    assert scene.condition(shop, "Current")["status"] == "True"


@pytest.mark.slow
def test_a_failing_arm_gives_its_users_to_stable_and_nobody_else_moves(
    scene: Scene, shop: str, visitors: Callable[..., Users]
) -> None:
    users = visitors()
    rollout = begin(scene, shop, ("bad", ALWAYS_FAILING, 20), ("c", OTHER, 30))
    arms, stable = wait_split(scene, rollout), stable_of(scene, shop)
    status = scene.wait_status(rollout, lambda status: arms_of(status)["bad"]["ended"], "bad is out")
    bad = arms_of(status)["bad"]
    assert bad["reason"] == "WorseThanStable"
    assert bad["message"].startswith("errors: ")
    seen = drawn(users)
    assert {user.first for user in seen} == {stable, *arms.values()}
    wait_until(lambda: arms["bad"] not in users.visit(seen), "nobody meets it")
    assert {user.last for user in seen if user.first == arms["bad"]} == {stable}
    assert all(user.stayed for user in seen if user.first != arms["bad"])
    assert not scene.rollout_status(rollout).get("outcome"), "the other arm goes on"
    scene.plugin("abort", shop)
    assert scene.wait_outcome(rollout)["outcome"] == "Aborted"


@pytest.mark.slow
def test_users_are_assigned_by_their_identifier(scene: Scene, shop: str, visitors: Callable[..., Users]) -> None:
    """Of 100 decimal endings an arm of 30 % has 30, and every user of an ending is its own, without any cookie."""
    users = visitors(identified_by="x-user-id")
    rollout = begin(scene, shop, ("b", GOOD, 30), assignment={"type": "Header", "name": "x-user-id"})
    arm, stable = wait_split(scene, rollout)["b"], stable_of(scene, shop)
    crowd = [User(f"user-{number:06d}") for number in range(100)]

    wait_until(lambda: Counter(users.visit(crowd)) == {stable: 70, arm: 30}, "identifiers are dealt")
    for user in crowd:
        user.answered_by.clear()
    for _ in range(3):
        users.visit(crowd)
    assert all(user.stayed for user in crowd)
    homes = {user.identifier[-2:]: user.last for user in crowd}
    others = [User(f"person-{number:04d}-{ending}") for number, ending in enumerate(homes)]
    users.visit(others)
    assert {user.identifier[-2:]: user.last for user in others} == homes
    assert not any(user.cookies for user in crowd)
    scene.plugin("abort", shop)
    assert scene.wait_outcome(rollout)["outcome"] == "Aborted"


@pytest.mark.slow
def test_ten_thousand_users_keep_their_arm(scene: Scene, shop: str, visitors: Callable[..., Users]) -> None:
    users = visitors()
    rollout = begin(scene, shop, ("b", GOOD, 20), ("c", OTHER, 30))
    arms, stable = wait_split(scene, rollout), stable_of(scene, shop)
    wait_until(lambda: {user.first for user in drawn(users)} == {stable, *arms.values()}, "users are split")
    crowd = [User(f"user-{number:06d}") for number in range(CROWD)]
    for _ in range(2):
        users.visit(crowd)
    assert all(len(user.answered_by) == 2 for user in crowd)
    assert [user.identifier for user in crowd if not user.stayed] == []
    within_chance(crowd, {stable: 0.5, arms["b"]: 0.2, arms["c"]: 0.3})
    assert not scene.rollout_status(rollout).get("outcome")
    scene.plugin("abort", shop)
    assert scene.wait_outcome(rollout)["outcome"] == "Aborted"


@pytest.mark.slow
def test_a_winner_is_promoted_through_the_bake(scene: Scene, shop: str, visitors: Callable[..., Users]) -> None:
    users = visitors()
    rollout = begin(scene, shop, ("b", GOOD, 40), onWinner="Promote")
    arm = wait_split(scene, rollout)["b"]
    users.convert({arm: 0.6})
    status = scene.wait_status(rollout, lambda status: status.get("winner") == arm, "b wins")
    assert not status.get("outcome"), "the bake comes first"
    status = scene.wait_outcome(rollout)
    assert status["outcome"] == "Promoted"
    assert stable_of(scene, shop) == arm
    assert set(users.visit(drawn(users))) == {arm}
    assert scene.condition(shop, "Current")["reason"] == "WinnerPromoted"
