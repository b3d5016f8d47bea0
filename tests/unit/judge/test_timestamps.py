"""Moments on the wire and in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge import timestamps


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-03-01T12:00:00Z", 1772366400.0),
        ("2026-03-01T12:00:00.250000Z", 1772366400.25),
        ("2026-03-01T14:00:00+02:00", 1772366400.0),
    ],
)
def test_what_kubernetes_writes_is_read(text: str, seconds: float) -> None:
    assert timestamps.seconds(text) == seconds


@given(st.floats(0, 4e9))
def test_a_moment_survives_the_wire_to_the_second(moment: float) -> None:
    assert 0 <= moment - timestamps.seconds(timestamps.rfc3339(moment)) < 1


@pytest.mark.parametrize("text", ["", "soon", "2026-03-01T12:00:00"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the standard library's own texts
        timestamps.seconds(text)
