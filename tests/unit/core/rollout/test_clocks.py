"""When the clocks of a release strike, and what makes them wait."""

from dataclasses import replace
from typing import Final

import pytest

from sluice_core.rollout import clocks
from tests.support.cases import changes
from tests.support.cases.builders import NOW
from tests.support.cases.moments import Change, at, make_moment

HELD: Final[Change] = {"status": {"heldSince": at(-60)}}
BLIND: Final[Change] = {"status": {"blindSince": at(-60)}}


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({}, [3000]),
        ({"bakeEndTime": at(10)}, [10, 3000]),
        ({"probe": changes.PROBE}, [3000, 840]),
        ({"deadlineTime": None}, []),
    ],
)
def test_a_release_is_looked_at_when_a_clock_strikes(given: Change, want: list[float]) -> None:
    assert list(clocks.waits(make_moment({"status": given}).rollout.status, NOW)) == want


@pytest.mark.parametrize(
    ("field", "noted", "want"),
    [
        ("bakeEndTime", at(30), at(30)),
        ("bakeEndTime", at(700), at(300)),
        ("deadlineTime", at(-5), at(-5)),
        ("deadlineTime", at(9000), at(3600)),
        ("heldSince", at(-5), at(-5)),
        ("heldSince", at(600), at(0)),
    ],
)
def test_by_a_clock_that_was_put_back_no_wait_is_longer_than_its_own_length(field: str, noted: str, want: str) -> None:
    spec = {"bakeSeconds": 300, "progressDeadlineSeconds": 3600}
    status = clocks.ticked(make_moment({"spec": spec, "status": {field: noted}}))
    assert status.model_dump(by_alias=True, mode="json")[field] == want


@pytest.mark.parametrize("ahead", [0, 600])
def test_by_a_clock_that_was_put_back_a_probe_is_no_longer_than_it_was_meant_to_be(ahead: int) -> None:
    probe = {**changes.PROBE, "startTime": at(ahead - 60), "deadlineTime": at(ahead + 840)}
    status = clocks.ticked(make_moment(changes.PROBING, {"status": {"probe": probe}}))
    assert status.probe is not None
    assert (status.probe.start_time, status.probe.deadline_time) == (at(min(0, ahead - 60)), at(min(900, ahead + 840)))


def test_a_probe_is_longer_by_blind_time() -> None:
    status = clocks.ticked(make_moment(changes.PROBING, {"status": {"blindSince": at(-30)}}))
    assert status.probe is not None
    assert (status.probe.start_time, status.probe.deadline_time) == (at(-30), at(870))
    assert status.bake_end_time == at(40)


def test_a_release_that_the_api_server_made_in_our_future_begins_now() -> None:
    moment = make_moment({"spec": {"progressDeadlineSeconds": 3600}, "status": {"startTime": None}})
    created = moment.rollout.metadata.model_copy(update={"creation_timestamp": at(60)})
    ahead = replace(moment, rollout=moment.rollout.model_copy(update={"metadata": created}))
    status = clocks.ticked(ahead)
    assert (status.start_time, status.deadline_time) == (at(0), at(3600))


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param((), (None, at(3000)), id="nothing holds it"),
        pytest.param((changes.PAUSED,), (at(0), at(3000)), id="a pause begins"),
        pytest.param((changes.PAUSED, HELD), (at(-60), at(3000)), id="a pause goes on"),
        pytest.param((HELD,), (None, at(3060)), id="a pause is over"),
        pytest.param((changes.FROZEN,), (at(0), at(3000)), id="a window opens"),
        pytest.param((changes.FROZEN, {"spec": {"rollback": True}}), (None, at(3000)), id="a rollback in a window"),
        pytest.param((changes.PAUSED, changes.TAKEN_DOWN), (None, at(3000)), id="nothing may make a downtime longer"),
        pytest.param((changes.PAUSED, BLIND), (None, at(3000)), id="blind time moves it already"),
        pytest.param((changes.PAUSED, HELD, BLIND), (None, at(3060)), id="it becomes blind in a pause"),
        pytest.param((changes.PAUSED, changes.STABLE_LOST), (at(0), at(3000)), id="another gate comes first"),
    ],
)
def test_the_deadline_waits_while_something_holds_the_release(
    given: tuple[Change, ...], want: tuple[str | None, str]
) -> None:
    status = clocks.held(make_moment(*given))
    assert (status.held_since, status.deadline_time) == want
