"""Who gives, who waits, and who is refused."""

import asyncio

import pytest

from kubectl_sluice.dashboard import proofs
from kubectl_sluice.dashboard.proofs import Kept, Proofs
from kubectl_sluice.dashboard.room import Full, Places, Room, owner_of
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from kubectl_sluice.views.releases.proof import ReplayedRelease
from sluice_core.api.config import OperatorConfig


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        ("ann", "ann"),
        ("system:serviceaccount:team-a:one", "system:serviceaccount:team-a"),
        ("system:serviceaccount:team-a:two", "system:serviceaccount:team-a"),
        ("system:node:one", "system:node:one"),
    ],
)
def test_whose_share_it_is(user: str, owner: str) -> None:
    assert owner_of(user) == owner


@pytest.mark.parametrize(
    ("held", "who", "more", "giver"),
    [
        ({}, "a", 10, None),
        ({}, "a", 11, "a"),
        ({"b": 6}, "a", 4, None),
        ({"b": 6}, "a", 5, "b"),
        ({"b": 6}, "a", 6, "a"),  # nobody gives for who would hold as much
        ({"b": 4, "c": 5}, "a", 2, "c"),
        ({"a": 5, "b": 5}, "a", 1, "a"),
        ({"a": 7}, "a", 1, "a"),
    ],
)
def test_who_holds_most_gives(held: dict[str, int], who: str, more: int, giver: str | None) -> None:
    room = Room(10, 7 if held else None)
    for each, amount in held.items():
        room.add(each, amount)
    assert room.giver(who, more) == giver


def test_what_is_taken_and_given_back_is_counted() -> None:
    room = Room(10)
    room.add("hog", 10)

    def gives(who: str) -> bool:
        room.add(who, -1)
        return True

    assert room.take("small", 3, gives)
    assert (room.held("hog"), room.held("small"), room.taken) == (7, 3, 10)
    assert not room.take("small", 5, gives)
    assert not room.take("other", 1, lambda _: False)
    assert (room.held("hog"), room.held("small"), room.taken) == (7, 3, 10)


async def test_places_are_for_a_few_of_each_and_a_few_of_all() -> None:
    places, open_, most, by = Places(of_one=2, of_all=3, waiting=5), 0, [0], asyncio.Event()

    async def visit(owner: str) -> None:
        nonlocal open_
        async with places.place(owner):
            open_ += 1
            most.append(open_)
            await by.wait()
            open_ -= 1

    greedy = [asyncio.create_task(visit("greedy")) for _ in range(20)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(visit(f"other-{number}")) for number in range(3)]
    await asyncio.sleep(0.1)  # nothing is waited for: whoever may be in is in
    assert sum(each.done() for each in greedy) == 20 - 2 - 5
    by.set()
    done = await asyncio.gather(*greedy, *others, return_exceptions=True)
    assert max(most) == 3
    assert [type(each) for each in done].count(Full) == 13
    assert done[-3:] == [None] * 3


async def test_nothing_is_left_of_who_has_no_place() -> None:
    places = Places(of_one=2, of_all=3, waiting=5)
    for number in range(9):
        async with places.place(f"owner-{number}"):
            pass
    assert not places._by_owner


def test_replays_of_one_reader_push_out_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "MOST", 5)
    kept = Proofs(DashboardSettings(DashboardConfig(), OperatorConfig()))
    for number, owner in enumerate(("victim", *["greedy"] * 9, "late")):
        kept._keep((f"release-{number}", "1"), Kept(owner, 0.0, ReplayedRelease(None, "", "", "", (), 0.0, 0.0)))
    assert [key[0] for key in kept._kept] == ["release-0", "release-7", "release-8", "release-9", "release-10"]
    assert kept._known(("release-0", "1")) is not None
