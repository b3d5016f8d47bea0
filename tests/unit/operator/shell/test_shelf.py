"""Compressed objects that are opened stay open for the reconciles that follow, within a bound."""

import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.shell.cache import shelf
from sluice.shell.cache.keys import Key
from sluice.shell.cache.store import Store
from tests.unit.operator.shell.builders import make_model, make_object, make_store

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


def test_a_model_with_a_long_history_is_unpacked_once_for_reconciles_in_a_row(opened: list[bytes]) -> None:
    """As with a historyLimit of 100: as many releases, and the revisions that they speak of."""
    store = make_store()
    store.put(make_model())
    with_revisions(store, 300)
    store.world(DIGITS, 0.0)
    assert len(opened) >= 300
    opened.clear()
    for moment in range(5):
        assert store.world(DIGITS, float(moment)) is not None
    assert opened == []


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
