"""Worlds that several tests begin with: made once, copied for each test."""

import copy
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

MOST_WORLDS = 16
"""Kept per function; the tests of a file run one after the other."""
Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def made_once(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """Calls a function once for arguments with the same `repr`, and returns copies of its result.

    It must not depend on anything that a test patches.
    """

    @lru_cache(MOST_WORLDS)
    def kept(call: "_Call") -> Made:
        return make(*call.args, **call.kwargs)

    @wraps(make)
    def twin(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
        return copy.deepcopy(kept(_Call(args, kwargs)))

    return twin


class _Call:
    """The arguments of a call, which may not be hashable."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = copy.deepcopy((args, kwargs))  # the caller may change them later
        self._text = repr((args, sorted(kwargs.items())))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
