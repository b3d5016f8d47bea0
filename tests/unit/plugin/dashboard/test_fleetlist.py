"""What a list keeps is counted where it is kept, and nobody's objects empty another one's."""

import gc
import random
import tracemalloc
from typing import Any

import pytest

from kubectl_sluice.dashboard import fleetlist
from kubectl_sluice.dashboard.fleetlist import FleetList, ListRoom
from kubectl_sluice.dashboard.room import Room
from tests.unit.plugin.dashboard import objects
from tests.unit.plugin.views import builders


def heavy(raw: dict[str, Any], size: int = 20_000) -> dict[str, Any]:
    """With so many bytes that are hardly compressed."""
    raw["spec"]["note"] = random.Random(raw["metadata"]["name"]).randbytes(size).hex()
    return raw


def put(models: FleetList, *raws: dict[str, Any]) -> None:
    for raw in raws:
        models.put(fleetlist.seen(raw), 1)


async def names(models: FleetList) -> list[str]:
    return [line.name for line in await models.lines()]


async def filled(models: FleetList, kind: str) -> None:
    for number in range(300):
        name = f"model-{number}"
        if kind == "releases without a model":
            put(models, heavy(objects.release(name, "team-a")))
        else:
            message = "\U0001f600" * 240 if kind == "models that are said at length" else ""
            put(models, objects.model(name, f"team-{number % 7}", message=message, conditions=builders.RELEASING))
    await models.lines()


@pytest.mark.parametrize("kind", ["releases without a model", "models", "models that are said at length"])
async def test_no_more_is_kept_than_is_counted(kind: str) -> None:
    await filled(FleetList("ann", ListRoom()), kind)  # what the first use of any code leaves behind is no list's
    room = ListRoom()
    models = FleetList("ann", room)
    gc.collect()
    tracemalloc.start()
    await filled(models, kind)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept <= models.bytes == room.room.taken <= 3 * kept
    models.clear()
    assert models.bytes == room.room.taken == 0


async def test_the_namespace_that_holds_most_gives_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleetlist, "MOST_BYTES", 200_000)
    models = FleetList("ann", ListRoom())
    put(models, *(heavy(objects.model(f"heavy-{number:02d}", "aaa")) for number in range(30)))
    put(models, *(objects.model(f"light-{number:02d}", "bbb") for number in range(20)))
    put(models, objects.model("mine", "ccc"), objects.release("mine", "ccc"))
    found = await names(models)
    assert {"mine", *(f"light-{number:02d}" for number in range(20))} < set(found)
    assert models.left_out == 30 - sum(name.startswith("heavy") for name in found)
    assert models.bytes <= 200_000


async def test_who_holds_most_gives_and_one_reader_has_no_more_than_a_part() -> None:
    room = ListRoom(Room(200_000, 120_000))
    hogs = [FleetList(owner, room) for owner in ("hog", "hog", "pig")]
    for number, models in enumerate(hogs):
        put(models, *(heavy(objects.model(f"heavy-{number}-{n}", f"team-{n % 3}")) for n in range(30)))
    assert room.room.held("hog") <= 120_000
    small = FleetList("small", room)
    put(small, *(objects.model(f"mine-{number}", "team-a") for number in range(10)))
    assert len(await names(small)) == 10
    assert room.room.taken <= 200_000


async def test_a_newer_version_without_room_is_left_out_and_the_older_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleetlist, "MOST_BYTES", 9000)
    models = FleetList("ann", ListRoom())
    put(models, objects.model("grows", "team-a"))
    assert await names(models) == ["grows"]
    put(models, *[heavy(objects.model("grows", "team-a"))] * 3)
    assert await names(models) == []
    assert models.left_out == 1
    put(models, objects.model("grows", "team-a"))
    assert (await names(models), models.left_out) == (["grows"], 0)


def test_what_nobody_reads_of_an_object_is_not_kept() -> None:
    raw = objects.model("labelled", "team-a")
    plain = len(fleetlist.seen(raw).packed)
    raw["metadata"]["labels"] = {f"x{number}": random.Random(number).randbytes(9).hex() for number in range(9000)}
    assert len(fleetlist.seen(raw).packed) == plain
    raw["spec"]["note"] = [[]] * 100_000
    assert fleetlist.seen(raw).packed == b""
