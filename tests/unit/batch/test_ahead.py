"""Stages that overlap."""

import threading
from collections.abc import Iterator

import pytest

from sluice_batch.ahead import ahead
from tests.support import patience


def test_all_items_come_in_their_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter(()))) == []


def test_the_next_is_made_while_one_is_used_and_no_more() -> None:
    made: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    stages = ahead(items())
    assert next(stages) == 0
    assert second.wait(patience.HANG_SECONDS), "the second is made without anybody asking for it"
    assert made == [0, 1]
    assert list(stages) == [1, 2, 3]


def test_a_failure_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second is broken")

    stages = ahead(items())
    assert next(stages) == 1
    with pytest.raises(ValueError, match="the second is broken"):
        next(stages)


def test_who_stops_in_the_middle_leaves_nothing_running() -> None:
    before = set(threading.enumerate())
    stages = ahead(iter(range(10)))
    next(stages)
    stages.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before
