"""Who leads may write only once the store has what the predecessor wrote."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sluice.shell.cache.keys import Woken
from sluice.shell.informer import lister as relist
from sluice.shell.informer.lister import Relister
from sluice.shell.leadership.takeover import TakeOver
from sluice_core import errors
from tests.unit.operator.shell.builders import FakeLists, eventually, make_object, make_store


class Lead:
    """Leads as it is told."""

    is_leader = True
    term = 1


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> FakeLists:
    monkeypatch.setattr(relist, "UNAVAILABLE_SECONDS", 0.01)
    return FakeLists()


async def nothing() -> None:
    """Of events."""


def make_takeover(
    lead: Lead, lists: FakeLists, woken: list[Woken], recall: Callable[[], Awaitable[object]] = nothing
) -> tuple[TakeOver, Relister]:
    monotonic = asyncio.get_running_loop().time
    relister = Relister(lists, make_store(), wake=lambda _: None, monotonic=monotonic)
    return TakeOver(lead, relister, recall=recall, wake=woken.append, monotonic=monotonic), relister


async def test_a_new_leader_writes_nothing_on_a_stale_store(lists: FakeLists) -> None:
    """The API server answers leases and writes, and fails lists: what the predecessor wrote last is not known."""
    woken: list[Woken] = []
    takeover, relister = make_takeover(Lead(), lists, woken)
    await relister.refresh()
    lists.collections["ModelRollout"] = errors.Unavailable("503")
    takeover.begin()
    await eventually(lambda: lists.asked.count("ModelRollout") >= 3)
    assert not takeover.may_write()
    assert takeover.problem == "leads, but may not write before these are listed again: ModelRollout"
    assert woken == []
    del lists.collections["ModelRollout"]
    await eventually(takeover.may_write)
    assert takeover.problem is None
    assert woken == [Woken(spread=True)]


async def test_what_was_told_is_known_before_anything_is_written(lists: FakeLists) -> None:
    recalled = asyncio.Event()
    takeover, relister = make_takeover(Lead(), lists, [], recalled.wait)
    await relister.refresh()
    takeover.begin()
    await eventually(lambda: lists.asked.count("Pod") == 1)
    assert not takeover.may_write()
    recalled.set()
    await eventually(takeover.may_write)


async def test_a_new_leader_leads_without_the_events(lists: FakeLists, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with an older chart, which does not let it list them, or where the list takes long."""
    monkeypatch.setattr("sluice.shell.leadership.takeover.RECALL_SECONDS", 0.01)

    async def denied() -> None:
        raise errors.Denied("403")

    for recall in (denied, asyncio.Event().wait):
        takeover, relister = make_takeover(Lead(), lists, [], recall)
        await relister.refresh()
        takeover.begin()
        await eventually(takeover.may_write)


async def test_nothing_is_written_before_the_first_lists(lists: FakeLists) -> None:
    takeover, relister = make_takeover(Lead(), lists, [])
    takeover.begin()
    await asyncio.sleep(0)
    assert not takeover.may_write()
    await relister.refresh()
    await eventually(takeover.may_write)
    assert lists.asked.count("Pod") == 1, "the first lists are new enough"


async def test_what_was_listed_for_one_term_does_not_count_for_the_next(lists: FakeLists) -> None:
    lead = Lead()
    takeover, relister = make_takeover(lead, lists, [])
    await relister.refresh()
    takeover.begin()
    await eventually(takeover.may_write)
    lead.term = 2
    assert not takeover.may_write()
    takeover.begin()
    takeover.begin()
    await eventually(takeover.may_write)
    lead.is_leader = False
    assert not takeover.may_write()
    assert takeover.problem is None


async def test_a_leader_that_was_silent_for_a_while_looks_at_everything_and_lists_nothing(lists: FakeLists) -> None:
    """Nobody else led meanwhile, but the reconciles of that time did nothing."""
    woken: list[Woken] = []
    takeover, relister = make_takeover(Lead(), lists, woken)
    await relister.refresh()
    takeover.begin()
    await eventually(takeover.may_write)
    before = len(lists.asked)
    takeover.begin()
    assert takeover.may_write()
    assert (woken, len(lists.asked)) == ([Woken(spread=True)] * 2, before)


async def test_after_versions_went_back_nothing_is_written_before_everything_is_listed_anew(lists: FakeLists) -> None:
    woken: list[Woken] = []
    takeover, relister = make_takeover(Lead(), lists, woken)
    lists.collections["Service"] = [make_object("Service", "a", owner="digits", version=900)]
    await relister.refresh()
    takeover.begin()
    await eventually(takeover.may_write)
    lists.moment, lists.collections["Pod"] = "500", errors.Unavailable("503")
    await relister.refresh()
    assert not takeover.may_write()
    await eventually(lambda: lists.asked.count("Pod") >= 4)
    assert takeover.problem == "leads, but may not write before these are listed again: Pod"
    del lists.collections["Pod"]
    await eventually(takeover.may_write)
    assert woken == [Woken(spread=True), Woken(spread=True)]
