"""Stages of work that overlap: while one item is used, the next is made."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

Item = TypeVar("Item")

END: Final[Any] = object()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items in their order, each made in a thread of its own while the one before is used.

    There is never more than one that waits, so that memory is bounded. What making one raises is raised in its place.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = pool.submit(next, items, END)
            yield item
