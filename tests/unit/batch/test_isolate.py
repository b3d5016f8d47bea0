"""Finding the items that make an attempt fail."""

import math

from hypothesis import given
from hypothesis import strategies as st

from sluice_batch.isolate import isolated


@given(
    st.integers(0, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(n - 1, 0)), max_size=20)))
)
def test_every_item_is_in_a_piece_or_failed(case: tuple[int, set[int]]) -> None:
    count, bad = case
    bad &= set(range(count))
    attempts = 0

    def attempt(start: int, stop: int) -> list[int]:
        nonlocal attempts
        attempts += 1
        hit = bad & set(range(start, stop))
        if hit:
            raise ValueError(min(hit))
        return list(range(start, stop))

    pieces, errors = isolated(0, count, attempt, (ValueError,))
    assert [item for piece in pieces for item in piece.result] == [n for n in range(count) if n not in bad]
    assert [(index, error.args) for index, error in errors] == [(index, (index,)) for index in sorted(bad)]
    assert attempts <= 1 + 2 * len(bad) * math.ceil(math.log2(count + 1) + 1)


def test_other_errors_are_not_the_items() -> None:
    def attempt(start: int, stop: int) -> None:
        raise KeyError("a defect")

    try:
        isolated(0, 4, attempt, (ValueError,))
    except KeyError:
        return
    raise AssertionError("the defect was taken for a failed row")
