"""What is printed as YAML means the same to whoever reads it."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.api import yamltext

GO_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
"""`yamlStyleFloat` of gopkg.in/yaml.v2, by which kubectl and the API server read."""


@pytest.mark.parametrize(
    "text", ["0439124478", "123456e789", "1e3", "0x1f", "0o17", "0b1", "1_000", "-.5", "+7", "08", "1."]
)
def test_a_string_that_others_take_for_a_number_has_quotes(text: str) -> None:
    assert yamltext.dumped({"hash": text}) in (f"hash: '{text}'\n", f'hash: "{text}"\n')


@pytest.mark.parametrize("text", ["5e99118095-header", "1.2.3", "e10", "v1", "10Gi", "2026-11-29x", "-", "."])
def test_other_strings_have_none(text: str) -> None:
    assert yamltext.dumped({"name": text}) in (f"name: {text}\n", f"name: '{text}'\n")


@given(st.from_regex(r"[-+0-9a-fxo_.]{1,12}", fullmatch=True))
def test_no_string_comes_back_as_something_else(text: str) -> None:
    written = yamltext.dumped({"x": text})
    assert yaml.safe_load(written) == {"x": text}
    plain = written.removeprefix("x: ").rstrip("\n")
    assert not GO_FLOAT.fullmatch(plain)


@pytest.mark.parametrize("value", [3, 0.5, 1e-9, 1e30, True, None, [], {"a": [1, {"b": "c"}]}])
def test_what_is_no_string_stays_as_it_is(value: Any) -> None:
    assert yaml.safe_load(yamltext.dumped({"x": value})) == {"x": value}
    assert "'" not in yamltext.dumped({"x": value})
