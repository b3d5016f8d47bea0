"""The models of one list, in memory: a line each, and the compressed objects to rebuild it from.

All memory is counted, by namespace in a list and by reader in all lists. Over a limit, the namespace or reader that
holds most is evicted from first: so no one's objects empty another's list.
"""

import asyncio
import json
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakSet

from kubectl_sluice.adapters import slim
from kubectl_sluice.dashboard.room import Room
from kubectl_sluice.views import fleet
from kubectl_sluice.views.fleet import FleetLine
from sluice_core.adapters import deepjson, kinds
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import rawobjects
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import ownkinds
from sluice_judge import memo

MOST_BYTES: Final = 16 * 2**20
"""The most bytes that one list keeps: some five thousand models."""
MOST_OF_ONE: Final = 2 * MOST_BYTES
"""The most bytes that all lists of one reader keep."""
MOST_OF_ALL: Final = 128 * 2**20
"""The most bytes that all lists keep together: the chart gives the page 512 MiB."""
LINE_BYTES: Final = 2048
"""The size of an entry with its line, beside the objects; a longer line is counted when it is built."""
ENTRY_BYTES: Final = 700
MOST_LEFT_OUT: Final = 1000
"""How many left-out models are counted."""
AGES_AFTER: Final = 10.0
"""Seconds until a line with a duration is rebuilt."""
BREATH: Final = 25
"""How many objects are processed before other tasks get a turn."""
DEPLOYMENTS: Final = kinds.BY_KIND[ModelDeployment.kind]

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Listed:
    """A model or a release, as received."""

    is_model: bool
    model: Name
    """The ModelDeployment itself, or the one that the release belongs to."""
    name: str
    sequence: int
    packed: bytes
    """Empty where the object is too large to keep."""


@dataclass(frozen=True, slots=True)
class KeptModel:
    """A model, its newest release, and their line. Without the model while only its release is known."""

    packed: bytes = b""
    release: Listed | None = None
    line: FleetLine | None = None
    made: float = 0.0
    """When the line was built, seconds since the epoch; 0 before."""
    changed: int = 0
    """The number of its last change."""

    @property
    def size(self) -> int:
        objects = len(self.packed) + (len(self.release.packed) if self.release is not None else 0)
        return objects + max(LINE_BYTES, ENTRY_BYTES + _line_bytes(self.line))


class FleetList:
    """The list of one watch. `owner`: the reader charged for its bytes."""

    def __init__(self, owner: str, room: "ListRoom") -> None:
        self.owner: Final = owner
        self._room = room
        self._own = Room(MOST_BYTES)
        """By namespace."""
        self._models: dict[str, dict[str, KeptModel]] = {}
        self._left_out: set[int] = set()
        room.lists.add(self)

    @property
    def bytes(self) -> int:
        return self._own.taken

    @property
    def left_out(self) -> int:
        """How many models have no room."""
        return len(self._left_out)

    @property
    def names(self) -> Iterator[Name]:
        for namespace, models in list(self._models.items()):
            yield from [(namespace, name) for name in models]

    def get(self, name: Name) -> KeptModel | None:
        return self._models.get(name[0], {}).get(name[1])

    def put(self, seen: Listed, number: int) -> None:
        """Stores a newer version of an object; number: of this change."""
        before = self.get(seen.model) or KeptModel()
        if not seen.packed:
            self._leave_out(seen.model)
        elif seen.is_model:
            self._keep(seen.model, KeptModel(seen.packed, before.release, changed=number))
        elif before.release is None or before.release.name == seen.name or before.release.sequence <= seen.sequence:
            self._keep(seen.model, replace(before, release=seen, line=None, made=0.0, changed=number))

    def drop(self, seen: Listed) -> bool:
        """Removes a deleted object; whether it was a newest release, whose predecessor is not stored."""
        model = self.get(seen.model)
        newest = model is not None and model.release is not None and model.release.name == seen.name
        if seen.is_model or (newest and model is not None and not model.packed):
            self._remove(seen.model)
            self._left_out.discard(hash(seen.model))
            return False
        return newest

    def clear(self) -> None:
        for name in list(self.names):
            self._remove(name)
        self._left_out = set()

    async def lines(self) -> tuple[FleetLine, ...]:
        now, found = time.time(), []
        for number, name in enumerate(list(self.names)):
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            model = self.get(name)
            if model is None or not model.packed:
                continue
            line = model.line
            if not model.made or ((line is None or not line.at_rest) and now - model.made > AGES_AFTER):
                line = _line(model, now)
                self._keep(name, replace(model, line=line, made=now))
            if line is not None:
                found.append(line)
        return tuple(found)

    def give(self, namespace: str | None = None) -> bool:
        """Evicts the last model of a namespace, by default the one that holds most; False where there is none."""
        namespace = self._own.largest("", 0) if namespace is None else namespace
        models = self._models.get(namespace)
        if not models:
            return False
        self._leave_out((namespace, next(reversed(models))))
        return True

    def _keep(self, name: Name, model: KeptModel) -> None:
        before = self.get(name)
        more = model.size - (before.size if before is not None else 0)
        if more > 0 and not self._take(name[0], more):
            self._leave_out(name)
            return
        if more < 0:
            self._add(name[0], more)
        self._models.setdefault(name[0], {})[name[1]] = model
        self._left_out.discard(hash(name))

    def _take(self, namespace: str, more: int) -> bool:
        while self._own.taken + more > MOST_BYTES or not self._room.take(self.owner, more):
            giver = self._own.largest(namespace, more)
            if giver == namespace or not self.give(giver):
                return False
        self._own.add(namespace, more)
        return True

    def _leave_out(self, name: Name) -> None:
        self._remove(name)
        if len(self._left_out) < MOST_LEFT_OUT:
            self._left_out.add(hash(name))

    def _remove(self, name: Name) -> None:
        models = self._models.get(name[0], {})
        if (gone := models.pop(name[1], None)) is not None:
            self._add(name[0], -gone.size)
        if not models:
            self._models.pop(name[0], None)

    def _add(self, namespace: str, amount: int) -> None:
        self._own.add(namespace, amount)
        self._room.room.add(self.owner, amount)


@dataclass
class ListRoom:
    """Bytes shared by all lists, by owner."""

    room: Room = field(default_factory=lambda: Room(MOST_OF_ALL, MOST_OF_ONE))
    lists: WeakSet[FleetList] = field(default_factory=WeakSet)

    def take(self, owner: str, more: int) -> bool:
        return self.room.take(owner, more, self._give)

    def _give(self, owner: str) -> bool:
        own = [each for each in self.lists if each.owner == owner]
        return bool(own) and max(own, key=lambda each: each.bytes).give()


def seen(raw: Object) -> Listed:
    """The part of an object to keep."""
    own = raw["kind"] == DEPLOYMENTS.kind
    model = rawobjects.name(raw) if own else str((raw.get("spec") or {}).get("modelDeployment", ""))
    try:
        packed = _packed(slim.slimmed(raw))
    except slim.ObjectTooLarge:
        packed = b""
    return Listed(own, (rawobjects.namespace(raw), model), rawobjects.name(raw), 0 if own else _sequence(raw), packed)


def _line(model: KeptModel, now: float) -> FleetLine | None:
    newest = ownkinds.parsed_rollout(_unpacked(model.release.packed)) if model.release is not None else None
    try:
        return fleet.fleet_line(_unpacked(model.packed), newest if isinstance(newest, ModelRollout) else None, now=now)
    finally:
        memo.forget()


def _line_bytes(line: FleetLine | None) -> int:
    if line is None:
        return 0
    return sum(sys.getsizeof(getattr(line, name)) for name in FleetLine.__slots__)


def _sequence(raw: Object) -> int:
    try:
        return int(raw.get("spec", {}).get("sequence", 1))
    except (TypeError, ValueError):
        return 0


def _packed(raw: Object) -> bytes:
    """Without the judge's state, which the page does not read."""
    status = {key: value for key, value in (raw.get("status") or {}).items() if key != "state"}
    return zlib.compress(json.dumps({**raw, "status": status}, separators=(",", ":")).encode(), 1)


def _unpacked(packed: bytes) -> dict[str, Any]:
    found: dict[str, Any] = deepjson.loads(zlib.decompress(packed))
    return found
