"""What a probe changes in the status of a release, when it begins and when it ends."""

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus
from sluice_core.rollout import stepping
from tests.support.cases import changes
from tests.support.cases.moments import Change, at, make_moment


def moved(*given: Change) -> ModelRolloutStatus:
    return stepping.move(make_moment(*given)).rollout.status


@pytest.mark.parametrize(
    ("given", "permille", "stable_pods"),
    [
        pytest.param({}, 500, 2, id="half"),
        pytest.param({"stable": {"ready_endpoints": 1}}, 750, 1, id="what a single pod carries"),
        pytest.param({"candidate": {"ready_endpoints": 10}}, 600, 4, id="what an autoscaler has not taken"),
        pytest.param({"spec": {"bakeSeconds": 3600}}, 500, 2, id="as long as a long bake"),
    ],
)
def test_a_probe_begins_with_what_stable_carries(given: Change, permille: int, stable_pods: int) -> None:
    status = moved(changes.BAKING, changes.ACCUSED, given)
    lasts = given.get("spec", {}).get("bakeSeconds", 900)

    assert status.probe is not None
    assert (status.probe.permille, status.permille, status.steps[-1].permille) == (permille,) * 3
    assert (status.probe.stable_pods, status.probe.why) == (stable_pods, "errors: 9 of 10 failed")
    assert (status.probe.start_time, status.probe.deadline_time) == (at(0), at(lasts))
    assert (status.steps[-2].end_time, status.bake_end_time) == (at(0), at(10))
    assert (status.timeline[-1].what, status.verdict) == ("ProbingStable", "Probe")


def test_while_it_lasts_nothing_is_told_again() -> None:
    status = moved(changes.PROBING, {"status": {"reason": "RouteChanging"}})
    assert (status.reason, status.permille, list(status.timeline)) == ("ProbingStable", 500, [])


@pytest.mark.parametrize(
    ("bake_ends", "later"), [(at(10), at(70)), (None, None)], ids=["in the bake", "before it began"]
)
def test_after_it_the_bake_lasts_as_much_longer(bake_ends: str | None, later: str | None) -> None:
    status = moved(changes.PROBING, changes.PROVEN, {"status": {"bakeEndTime": bake_ends}})

    assert (status.probe, status.permille, status.weight, status.step) == (None, 1000, 100, 3)
    assert [record.permille for record in status.steps] == [50, 500, 1000, 500, 1000]
    assert status.bake_end_time == later
    assert status.timeline[-1].what == "ProbeOver"


def test_forty_steps_are_kept() -> None:
    records = [{"permille": permille, "startTime": at(-60)} for permille in (50, 500, 1000, *(500, 1000) * 18, 500)]
    status = moved(changes.PROBING, changes.PROVEN, {"status": {"steps": records}})

    assert len(status.steps) == 40
    assert [record.permille for record in status.steps[:4]] == [50, 500, 1000, 1000]


def test_an_end_of_the_release_is_an_end_of_its_probe() -> None:
    assert moved(changes.PROBING, changes.WORSE).probe is None
