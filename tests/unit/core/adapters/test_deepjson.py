"""JSON of any depth: the object that is too deep is cut, its neighbours are as they were."""

import json
from typing import Any

import pytest

from sluice_core.adapters import deepjson

LEVELS = 9_000


def deep(levels: int, opening: str = '{"x":', closing: str = "}") -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize("text", ["{}", '{"a": [1, {"b": "}{"}]}', '"text"', "1"])
def test_what_can_be_read_is_not_touched(text: str) -> None:
    assert deepjson.loads(text) == deepjson.loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize("nested", [deep(LEVELS), deep(LEVELS, "[", "]"), deep(LEVELS, '{"}\\"]": [', "]}")])
def test_the_neighbours_of_what_is_too_deep_are_read(nested: str) -> None:
    page = f'{{"items": [{{"before": "{{[\\""}}, {{"spec": {nested}}}, {{"after": [2]}}], "metadata": {{"continue": "x"}}}}'
    read = deepjson.loads(page.encode())
    assert read["metadata"] == {"continue": "x"}
    assert (read["items"][0], read["items"][2]) == ({"before": '{["'}, {"after": [2]})
    assert levels(read) == deepjson.DEEPEST
    assert "nested too deeply" in str(read["items"][1])


def levels(value: Any) -> int:
    depth, layer = 0, [value]
    while layer := [each for each in layer if isinstance(each, dict | list)]:
        depth += 1
        layer = [child for each in layer for child in (each.values() if isinstance(each, dict) else each)]
    return depth


@pytest.mark.parametrize("text", ["{", '{"x":' * LEVELS, "<html>"])
def test_what_is_no_json_is_an_error_of_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        deepjson.loads(text)


def test_what_only_seems_to_be_cut_off_is_an_error_of_value() -> None:
    """In UTF-16 the sign has the byte of a quote, which hides what is between two of them."""
    text = '["\u2261",' + deep(LEVELS, "[", "]") + ',"\u2261"]'
    with pytest.raises(ValueError, match="nested too deeply"):
        deepjson.loads(text.encode("utf-16-le"))
