"""The operator's view of raw objects, which the simulated world changes in place: the same object until it changes."""

import marshal
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sluice.shell.cache import keys
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_judge import memo
from tests.support.simulated.apiserver import Object

Place = tuple[str, str]
"""Kind and name."""


class Shown:
    """Frozen copies of the objects of a simulated world."""

    def __init__(self) -> None:
        self._kept: dict[Place, Object] = {}

    def __deepcopy__(self, _: object) -> "Shown":
        """Shares the copies, which never change."""
        twin = Shown()
        twin._kept = dict(self._kept)
        return twin

    def all(self, objects: Mapping[Place, Object]) -> dict[Place, Object]:
        """Returns all objects, in order."""
        self._kept = {place: self.one(place, live) for place, live in objects.items()}
        return self._kept

    def one(self, place: Place, live: Object) -> Object:
        """Copies an object that has changed; comparing costs a fifth of copying."""
        kept = self._kept.get(place)
        if kept != live:
            kept = self._kept[place] = copied(live)
        return kept


def copied(value: Any) -> Any:
    """A copy of a raw object, the same for equal objects; frozen values as they are."""
    if isinstance(value, tuple):
        return tuple(map(copied, value))
    return _stored(marshal.dumps(value, 2)) if isinstance(value, dict) else value


@lru_cache(maxsize=1024)
def _stored(data: bytes) -> Any:
    return marshal.loads(data)


def owned(objects: Mapping[Place, Object], name: str) -> tuple[Object, ...]:
    """The objects that belong to a model by the store's rule."""
    found = ((one, keys.owner_of(one)) for one in objects.values())
    return tuple(one for one, owner in found if owner is not None and (owner.kind, owner.name) == (keys.MODEL, name))


@memo.by_identity(256)
def rollout(raw: Object) -> ModelRollout:
    """A parsed ModelRollout."""
    return ModelRollout.model_validate(raw)
