"""Malformed input of every kind for parsers: for seconds in each run, and for long in the tests marked slow.

SLUICE_FUZZ_EXAMPLES is the number of examples of each slow test; SLUICE_FUZZ_MINUTES, how long it continues with new
ones.
"""

import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

LONG = int(os.environ.get("SLUICE_FUZZ_EXAMPLES", "3000"))
MINUTES = float(os.environ.get("SLUICE_FUZZ_MINUTES", "0"))

FOR_LONG = (pytest.mark.slow, pytest.mark.timeout(1800 + LONG + 60 * MINUTES))
examples = pytest.mark.parametrize("count", [150, pytest.param(LONG, marks=FOR_LONG)], ids=["short", "long"])

Mutations = list[tuple[float, int]]
MUTATIONS = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
"""Includes lone surrogates, which JSON can express."""
EXTREMES = st.sampled_from(
    [-1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, float("inf"), float("-inf"), float("nan")]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | EXTREMES | TEXTS
GONE = object()
Changes = list[tuple[float, Any]]
INSTEAD = (
    st.just(GONE)
    | LEAVES
    | st.just([])
    | st.just({})
    | st.lists(LEAVES, max_size=2)
    | st.just([[[[]]]])
    | st.just({"a": 1})
)
CHANGES: st.SearchStrategy[Changes] = st.lists(st.tuples(st.floats(0, 0.999), INSTEAD), max_size=3)
DEEP = 60_000
"""Far more levels than Python's JSON reader supports."""


def run(count: int, check: Callable[..., None], **strategies: Any) -> None:
    """Checks this many examples, and further ones while there is time."""
    until = time.monotonic() + 60 * MINUTES * (count == LONG)
    tried = settings(max_examples=count, derandomize=settings().derandomize and count != LONG)(
        given(**strategies)(check)
    )
    tried()
    while time.monotonic() < until:
        tried()


def mutated(body: bytes, mutations: Mutations) -> bytes:
    """With other bytes at some places, each given as a fraction of the length."""
    changed = bytearray(body)
    for place, value in mutations if body else []:
        changed[int(place * len(changed))] = value
    return bytes(changed)


def spoiled(document: Any, changes: Changes) -> Any:
    """A copy with other values at some places, each given as a fraction of the length."""
    whole = [copy.deepcopy(document)]
    for place, instead in changes:
        places = list(_places(whole))
        inside, key = places[int(place * len(places))]
        if instead is not GONE:
            inside[key] = copy.deepcopy(instead)
        elif inside is not whole:
            del inside[key]
    return whole[0]


def _places(inside: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(inside.items() if isinstance(inside, dict) else enumerate(inside)):
        yield inside, key
        if isinstance(value, dict | list):
            yield from _places(value)


def bodies(near: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Nearly right answers: other values, broken bytes, other encodings, and too many levels."""
    written = near.map(json.dumps)
    encoded = written.map(str.encode) | st.builds(str.encode, written, st.sampled_from(["utf-16", "utf-8-sig"]))
    levels, opened = st.sampled_from([900, 3_000, DEEP]), st.sampled_from(["[", '{"data":', '[{"a":'])
    deep = st.builds(lambda text, levels, opened: text.replace("null", opened * levels), written, levels, opened)
    closed = st.builds(lambda text, levels: text.replace("null", "[" * levels + "]" * levels), written, levels)
    broken = st.builds(mutated, encoded, MUTATIONS)
    return encoded | broken | (deep | closed).map(str.encode) | st.binary(max_size=50)
