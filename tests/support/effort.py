"""The cost of work relative to a fixed loop: processor time alone differs between machines, and under load."""

import time
from collections.abc import Callable
from typing import Final

ROUNDS: Final = 200_000
FREE_SECONDS: Final = 0.002
"""A loop takes at least twice as long on any machine."""
TRIES: Final = 3


def is_within(loops: float, work: Callable[[], object]) -> bool:
    """Whether the work costs at most this many loops of 10 ms on a calm machine; one success in three tries
    suffices."""
    for _ in range(TRIES):
        spent = _spent(work)
        if spent <= loops * FREE_SECONDS or spent <= loops * _spent(_loop):
            return True
    return False


def _spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _loop() -> int:
    number = 0
    for index in range(ROUNDS):
        number = (number * 31 + index) % 1_000_003
    return number
