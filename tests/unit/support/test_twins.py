"""Worlds that are made once: a change of one copy affects no other."""

import inspect
from collections.abc import Callable

from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import V2
from tests.support.simulated.twins import made_once

made: list[list[str]] = []


@made_once
def world(names: list[str]) -> tuple[Cluster, list[str]]:
    made.append(names)
    return scenarios.make_cluster(), names


def test_it_is_made_once_for_equal_arguments() -> None:
    names = ["a"]
    world(names)
    names.append("b")
    assert (world(["a"])[1], world(["a", "b"])[1]) == (["a"], ["a", "b"])
    assert made == [["a"], ["a", "b"]]


def test_a_change_of_one_copy_affects_no_other() -> None:
    one, other = scenarios.serving_cluster(), scenarios.serving_cluster()
    before = other.now, list(other.writes), dict(other.sent), other.snapshot()
    one.user_applies(scenarios.manifest(V2))
    one.run(30)
    assert len(one.rollouts()) == 2
    assert (other.now, other.writes, other.sent, other.snapshot()) == before
    assert other.reconcile() == 0


def test_a_copy_goes_on_as_the_original() -> None:
    ends = []
    original: Callable[[], Cluster] = inspect.unwrap(scenarios.serving_cluster)
    for cluster in (scenarios.serving_cluster(), original()):
        cluster.user_applies(scenarios.manifest(V2))
        cluster.run(60)
        ends.append((cluster.now, cluster.sent, cluster.prometheus.samples, cluster.objects))
    assert ends[0] == ends[1]
