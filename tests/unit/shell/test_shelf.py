"""Compressed objects that are opened stay open for the reconciles that follow, within a bound."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from sluice.shell.cache import shelf
from sluice.shell.cache.keys import Key
from sluice.shell.cache.shelf import MOST_OPENED_BYTES, OPENED, OPENED_BYTES, Entry, Opened
from sluice.shell.cache.store import Store
from tests.unit.shell.builders import make_model, make_object, make_store

DIGITS = Key("team", "digits")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What was unpacked so far."""
    unpacked: list[bytes] = []
    decompress = zlib.decompress

    def counting(data: bytes, *arguments: Any) -> bytes:
        unpacked.append(data)
        return decompress(data, *arguments)

    monkeypatch.setattr(shelf.zlib, "decompress", counting)
    return unpacked


def with_revisions(store: Store, number: int, *, owner: str = "digits", text: int = 5_000) -> None:
    for each in range(number):
        data = {"x": [f"{each} {line}" for line in range(text // 100)], "y": "y" * (text // 2)}
        store.put(make_object("ControllerRevision", f"{owner}-{each}", owner=owner, data=data))


def test_a_model_with_a_long_history_is_unpacked_once_for_passes_in_a_row(opened: list[bytes]) -> None:
    """As with a historyLimit of 100: as many releases, and the revisions that they speak of."""
    store = make_store()
    store.put(make_model())
    with_revisions(store, 300)
    store.world(DIGITS, 0.0)
    assert len(opened) >= 300 - OPENED
    opened.clear()
    for moment in range(5):
        assert store.world(DIGITS, float(moment)) is not None
    assert opened == []


def entry(unpacked_bytes: int) -> Entry:
    return Entry("uid", "1", b"packed", 100, unpacked_bytes)


def test_small_objects_stay_open_in_any_number_and_large_ones_do_not() -> None:
    opened = Opened()
    small = [entry(10_000) for _ in range(400)]
    for each in small:
        opened.put(each, {})
    assert [opened.get(each) is not None for each in small] == [True] * 400
    large = [entry(100_000) for _ in range(400)]
    for each in large:
        opened.put(each, {})
    found = [opened.get(each) is not None for each in large]
    assert found[-OPENED:] == [True] * OPENED
    assert 100_000 * sum(found) <= opened.bytes <= max(100_000 * OPENED, OPENED_BYTES)


def test_what_is_open_has_a_limit_however_large_each_is() -> None:
    """128 objects of a megabyte, which compressed take nothing, were half of the operator's memory."""
    opened = Opened()
    opened.releases = 1000
    entries = [Entry(f"{number}", "1", b"", 100, 2**20) for number in range(OPENED)]
    for each in entries:
        opened.put(each, {})
        assert opened.bytes <= MOST_OPENED_BYTES
    assert opened.get(entries[-1]) is not None
    opened.put(large := Entry("large", "1", b"", 100, 2 * MOST_OPENED_BYTES), {})
    assert opened.get(large) is not None, "a reconcile may look at more than stays open"


def look(opened: Opened, entries: Iterable[Entry]) -> int:
    """Looks at each in turn, as reconciles do. Returns how many of them were open."""
    found = 0
    for each in entries:
        if opened.get(each) is None:
            opened.put(each, {})
        else:
            found += 1
    return found


def test_of_more_than_have_room_those_stay_open_that_do() -> None:
    """Where each has its next look after those of all others, what was looked at longest ago is what comes next."""
    opened = Opened()
    size = OPENED_BYTES // 400
    entries = [entry(size) for _ in range(1_000)]
    assert look(opened, entries) == 0
    assert opened.bytes <= OPENED_BYTES
    for _ in range(5):
        assert look(opened, entries) > 200
    assert opened.bytes <= OPENED_BYTES


def test_what_was_looked_at_last_is_open_whatever_has_no_room() -> None:
    opened = Opened()
    look(opened, [entry(OPENED_BYTES // 400) for _ in range(1_000)])
    last = [entry(MOST_OPENED_BYTES // OPENED) for _ in range(OPENED)]
    look(opened, last)
    assert look(opened, last) == OPENED


def test_what_nobody_looks_at_any_more_is_closed_at_last() -> None:
    opened = Opened()
    before = [entry(OPENED_BYTES // 400) for _ in range(400)]
    look(opened, before)
    now = [entry(OPENED_BYTES // 400) for _ in range(1_000)]
    for _ in range(20):
        look(opened, now)
    assert [opened.get(each) for each in before] == [None] * 400
    assert look(opened, now) > 200


def test_while_many_versions_are_released_more_stays_open(opened: list[bytes]) -> None:
    """Each has its next reconcile after those of all others; a first version needs no more than a model at rest."""
    store, names = make_store(), [f"m{number}" for number in range(40)]

    def release(name: str, version: int, **fields: Any) -> dict[str, Any]:
        return make_object("ModelRollout", f"{name}-1", owner=name, version=version, **fields)

    def unpacked() -> int:
        for moment in range(2):
            opened.clear()
            for name in names:
                assert store.world(Key("team", name), float(moment)) is not None
        return len(opened)

    for name in names:
        store.put(make_model(name))
        with_revisions(store, 8, owner=name, text=12_000)
        store.put(release(name, 1, spec={}))
    assert unpacked() > 100
    for name in names:
        store.put(release(name, 2, spec={"from": {"revision": "x"}}))
    assert unpacked() == 0
    for name in names:
        store.put(release(name, 3, spec={"from": {"revision": "x"}}, status={"outcome": "Promoted"}))
    unpacked()
    assert unpacked() > 100


def test_what_is_gone_is_not_kept_open() -> None:
    opened = Opened()
    gone = entry(1000)
    opened.put(gone, {})
    opened.drop(gone)
    opened.drop(gone)
    assert (opened.get(gone), opened.bytes) == (None, 0)
