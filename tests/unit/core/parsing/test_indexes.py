"""Sets of shards in Kubernetes' notation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.parsing import indexes


@given(st.sets(st.integers(0, 1000)))
def test_what_is_written_is_what_is_read(some: set[int]) -> None:
    assert indexes.parsed(indexes.written(some)) == some


@pytest.mark.parametrize(("some", "text"), [((), ""), ((3,), "3"), ((0, 1, 2), "0-2"), ((7, 0, 1, 5, 6), "0-1,5-7")])
def test_the_shortest_form(some: tuple[int, ...], text: str) -> None:
    assert indexes.written(some) == text


def test_every_second_of_a_thousand_fits_into_the_status() -> None:
    assert len(indexes.written(range(0, 1000, 2))) < 8192


@pytest.mark.parametrize("text", ["a", "1-b", "-"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        indexes.parsed(text)


@pytest.mark.parametrize("text", ["0-9999999999", "3-1", "100000", ",".join(["0-99999"] * 2)])
def test_no_more_than_a_job_can_have_is_unfolded(text: str) -> None:
    """Seventeen letters would else be ten thousand million numbers."""
    with pytest.raises(ValueError, match="indexes"):
        indexes.parsed(text)
