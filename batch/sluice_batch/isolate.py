"""Finds the items of a sequence that make an attempt fail, by halving."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Piece(Generic[Result]):
    """The items start … stop-1, and the result of the attempt with them."""

    start: int
    stop: int
    result: Result


def isolated(
    start: int, stop: int, attempt: Callable[[int, int], Result], errors: tuple[type[Exception], ...]
) -> tuple[list[Piece[Result]], list[tuple[int, Exception]]]:
    """Pieces that succeed, in order, and the single items that fail, each with its error.

    Every item of start … stop-1 is in exactly one of the two. Without a failure there is one attempt; each failing
    item costs about two more for every doubling of the number of items.
    """
    if start >= stop:
        return [], []
    try:
        return [Piece(start, stop, attempt(start, stop))], []
    except errors as error:
        if stop - start == 1:
            return [], [(start, error)]
    middle = (start + stop) // 2
    pieces, failed = isolated(start, middle, attempt, errors)
    more_pieces, more_failed = isolated(middle, stop, attempt, errors)
    return pieces + more_pieces, failed + more_failed
