"""Views as documents."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from kubectl_sluice.views.wire import to_wire


class State(StrEnum):
    DONE = "done"


class Part(NamedTuple):
    is_last: bool


@dataclass(frozen=True, slots=True)
class Whole:
    in_parts: tuple[Part, ...]
    state: State
    by_name: dict[str, Part]


def test_a_view_of_either_sort_becomes_an_object_with_camel_case() -> None:
    assert to_wire(Whole((Part(True),), State.DONE, {"a_b": Part(False)})) == {
        "inParts": [{"isLast": True}],
        "state": "done",
        "byName": {"a_b": {"isLast": False}},
    }


def test_a_list_of_views_stays_a_list() -> None:
    assert to_wire((Part(True), Part(False))) == [{"isLast": True}, {"isLast": False}]
