"""A world in which much has happened is made once, and each test gets a copy of its own."""

import copy
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

MOST_WORLDS = 16
"""Of each function; tests of one file run one after the other."""
Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def made_once(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """Makes a world once for arguments of the same `repr`."""

    @lru_cache(MOST_WORLDS)
    def kept(said: "_Said") -> Made:
        return make(*said.args, **said.kwargs)

    @wraps(make)
    def twin(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
        return copy.deepcopy(kept(_Said(args, kwargs)))

    return twin


class _Said:
    """Arguments, which may not be hashable."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # A copy, since who gives them may change them later.
        self.args, self.kwargs = copy.deepcopy((args, kwargs))
        self.text = repr((args, sorted(kwargs.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Said) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)
