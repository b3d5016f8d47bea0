"""What a pod reports is figures, or an error of value."""

import json
from typing import Any

import pytest

from sluice_core.kernel import figures


def test_figures_are_read() -> None:
    said = figures.parsed(json.dumps({"rows": 0, "most": 10**15, "millis": 1.5, "whole": 2}))
    assert [figures.count(said, field) for field in ("rows", "most")] == [0, 10**15]
    assert [figures.amount(said, field) for field in ("millis", "whole")] == [1.5, 2.0]


@pytest.mark.parametrize("text", ["", "[1]", "5", "null", "[" * 60_000, '{"a":' * 60_000])
def test_what_is_not_an_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested|object|Expecting"):
        figures.parsed(text)


@pytest.mark.parametrize("value", [None, True, "5", [], -1, 10**15 + 1, 10**400, float("inf"), float("nan")])
def test_what_is_not_a_figure_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="rows is not a count"):
        figures.count({"rows": value}, "rows")
    with pytest.raises(ValueError, match="rows is not an amount"):
        figures.amount({"rows": value}, "rows")


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="rows is not a count"):
        figures.count({}, "rows")
    with pytest.raises(ValueError, match="rows is not a count"):
        figures.count({"rows": 1.5}, "rows")
