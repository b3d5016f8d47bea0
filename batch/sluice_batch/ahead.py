"""Overlapping stages of work: while one item is used, the next is made."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

Item = TypeVar("Item")

END: Final[Any] = object()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The items in their order, each made in a separate thread while the previous one is used.

    At most one item waits, so that memory is bounded. An exception is raised in place of its item.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = pool.submit(next, items, END)
            yield item
