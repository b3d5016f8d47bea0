"""Results of functions of an object, cached as long as it is the same object.

An object of the store is never changed, only replaced by a newer version. So it need not be parsed again on the next
reconcile. The cache does not affect results.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Generic, TypeVar

MODELS: Final = 64
"""Number of cached models, so that a reconcile of all of them parses none anew. Each takes about 90 KiB with its
versions. For 200 releases at once, four times as many save 2 % of a reconcile."""
VERSIONS: Final = 2 * MODELS
"""Versions of these models: the serving one, and the one being released."""

_ALL: Final[list["Memo[Any, Any]"]] = []
"""The memos of all functions."""

Subject = TypeVar("Subject")
Result = TypeVar("Result")


class Memo(Generic[Subject, Result]):
    """Results of the subjects that were looked up last, up to a total weight; a subject must never be changed.

    most: the total weight of all subjects; the last one is kept in any case. weigh: the weight of one.
    """

    def __init__(self, most: int, weigh: Callable[[Subject], int] = lambda _: 1) -> None:
        self.most = most
        self.weight = 0
        self._weigh = weigh
        self._results: OrderedDict[int, tuple[Subject, Result]] = OrderedDict()
        """Results by id, with the subject, so that no other object can have its id."""

    def get(self, subject: Subject) -> Result | None:
        kept = self._results.get(id(subject))
        if kept is None:
            return None
        self._results.move_to_end(id(subject))
        return kept[1]

    def put(self, subject: Subject, result: Result) -> None:
        self.drop(subject)
        self._results[id(subject)] = subject, result
        self.weight += self._weigh(subject)
        while self.weight > self.most and len(self._results) > 1:
            self.drop(next(iter(self._results.values()))[0])

    def drop(self, subject: Subject) -> None:
        if self._results.pop(id(subject), None) is not None:
            self.weight -= self._weigh(subject)

    def clear(self) -> None:
        self._results.clear()
        self.weight = 0


def forget() -> None:
    """Clears all caches, in a process that reads no object twice: they would only hold garbage."""
    for each in _ALL:
        each.clear()


def by_identity(size: int) -> Callable[[Callable[[Subject], Result]], Callable[[Subject], Result]]:
    """Caches a pure function of an object for the `size` most recent objects."""

    def remembering(function: Callable[[Subject], Result]) -> Callable[[Subject], Result]:
        memo = Memo[Subject, tuple[Result]](size)
        _ALL.append(memo)

        @wraps(function)
        def remembered(subject: Subject) -> Result:
            kept = memo.get(subject)
            if kept is None:
                kept = (function(subject),)
                memo.put(subject, kept)
            return kept[0]

        return remembered

    return remembering
