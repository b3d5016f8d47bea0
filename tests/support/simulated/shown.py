"""Raw objects as the operator's store has them: the same object again until it changes, whoever changes it in place."""

import marshal
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tests.support.simulated.apiserver import Object

Place = tuple[str, str]
"""Kind and name."""


class Shown:
    """What is shown of the objects of a simulated world; later changes do not reach it."""

    def __init__(self) -> None:
        self._kept: dict[Place, Object] = {}

    def __deepcopy__(self, _: object) -> "Shown":
        """What is shown is never changed."""
        twin = Shown()
        twin._kept = dict(self._kept)
        return twin

    def all(self, objects: Mapping[Place, Object]) -> dict[Place, Object]:
        """All of them, in order."""
        self._kept = {place: self.one(place, live) for place, live in objects.items()}
        return self._kept

    def one(self, place: Place, live: Object) -> Object:
        """To compare is a fifth of the work of copying."""
        kept = self._kept.get(place)
        if kept != live:
            kept = self._kept[place] = copied(live)
        return kept


def copied(value: Any) -> Any:
    """A copy of a raw object; of equal ones the same. What is frozen is left as it is."""
    if isinstance(value, tuple):
        return tuple(map(copied, value))
    return _stored(marshal.dumps(value, 2)) if isinstance(value, dict) else value


@lru_cache(maxsize=1024)
def _stored(data: bytes) -> Any:
    return marshal.loads(data)
