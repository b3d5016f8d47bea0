"""Recorded counters as text."""

import json

import pytest

from sluice.api.v1alpha1.common import Objective
from sluice.core.judge.kinds import kind_of
from sluice.offline import lines
from tests.support.trials import ACCURACY, ERRORS, LATENCY
from tests.unit.core.judge.test_judge import CLICKS

EXAMPLE = (
    '{"time": 15.0, "objective": "errors", "weight": 5, "stable": {"requests": 1000, "failures": 3}, '
    '"candidate": {"requests": 52, "failures": 0}}'
)
BUCKETS = (
    '{"time": 15.0, "objective": "latency", "weight": 5, '
    '"stable": {"requests": 1000, "buckets": {"0.1": 900, "0.25": 990, "+Inf": 1000}}, '
    '"candidate": {"buckets": {"0.1": 40, "0.25": 50, "+Inf": 52}}}'
)


def test_failures() -> None:
    (line,) = lines.parse([EXAMPLE])

    assert (line.number, line.time, line.objective, line.weight, line.recorded) == (1, 15.0, "errors", 5, "failures")
    assert (line.stable.requests, line.stable.events) == (1000, 3)
    assert (line.candidate.requests, line.candidate.events) == (52, 0)


def test_buckets_are_seconds_and_the_last_one_is_all_requests() -> None:
    (line,) = lines.parse([BUCKETS])

    assert line.stable == lines.Counters(1000, 0, {"100": 900, "250": 990})
    assert line.candidate.requests == 52


def test_blank_lines_are_skipped_but_counted() -> None:
    assert [line.number for line in lines.parse(["", EXAMPLE, "  \n", EXAMPLE])] == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": None}, "line 3: time: is missing"),
        ({"time": "now"}, "line 3: time: must be a number, not 'now'"),
        ({"weight": -1}, "line 3: weight: must be a number >= 0, not -1"),
        ({"weight": 101}, "line 3: weight: 101 is more than 100 percent"),
        ({"weight": True}, "line 3: weight: must be a number >= 0, not True"),
        ({"objective": ""}, "line 3: objective: must be the name"),
        ({"stable": None}, "line 3: stable: must have exactly one of failures, successes, buckets"),
        ({"stable": {"requests": 1}}, "line 3: stable: must have exactly one of failures, successes, buckets"),
        ({"candidate": 5}, "line 3: candidate: must be an object such as"),
        ({"candidate": {"requests": 5}}, "line 3: candidate.failures: is missing"),
        ({"candidate": {"failures": 5}}, "line 3: candidate.requests: is missing"),
        ({"candidate": {"requests": 5, "failures": 6}}, "line 3: candidate.failures: 6 of 5 requests"),
        ({"candidate": {"requests": float("nan"), "failures": 0}}, "line 3: candidate.requests: must be a number"),
        ({"stable": {"buckets": []}}, "line 3: stable.buckets: must be an object"),
        ({"stable": {"buckets": {"x": 1, "+Inf": 1}}}, "line 3: stable.buckets: 'x' is not an upper bound"),
        ({"stable": {"buckets": {"0.1": "1"}}}, "line 3: stable.buckets.0.1: must be a number >= 0, not '1'"),
        ({"stable": {"buckets": {"0.1": 1}}}, "line 3: stable.requests: is missing"),
    ],
    ids=str,
)
def test_error_names_line_and_field(change: dict[str, object], message: str) -> None:
    broken = json.dumps({**json.loads(EXAMPLE), **change})
    with pytest.raises(lines.Unreadable) as error:
        lines.parse([EXAMPLE, "", broken])

    assert str(error.value).startswith(message)


@pytest.mark.parametrize("text", ["{", "[]", "5", "null"])
def test_line_that_is_no_object(text: str) -> None:
    with pytest.raises(lines.Unreadable, match=r"^line 1: not (JSON|a JSON object)"):
        lines.parse([text])


@pytest.mark.parametrize("text", [EXAMPLE, BUCKETS])
def test_written_line_is_read_as_the_same(text: str) -> None:
    (line,) = lines.parse([text])
    written = lines.wire(line)

    assert lines.parse([written]) == (line,)
    assert lines.wire(lines.parse([written])[0]) == written


@pytest.mark.parametrize("objective", [ERRORS, LATENCY, ACCURACY, CLICKS], ids=lambda objective: objective.name)
def test_columns_and_counters_are_the_same(objective: Objective) -> None:
    kind = kind_of(objective)
    counted = lines.Counters(10.0, 0.0, {"50": 8.0}) if objective is LATENCY else lines.Counters(10.0, 3.0)

    assert lines.counters(kind, lines.amounts(kind, counted)) == counted
