"""Recorded counters as text."""

import dataclasses
import json
import math

import pytest

from sluice_judge import state
from sluice_judge.kinds import kind_of
from sluice_judge.replay import learning, lines, reading
from sluice_judge.schema.objectives import Objective
from sluice_judge.stats.swings import Own
from sluice_judge.stats.usual import Usual
from tests.support.simulated.trials import ACCURACY, ERRORS, LATENCY
from tests.unit.judge.test_judge import CLICKS

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
    (line,) = reading.read([EXAMPLE]).lines

    assert (line.number, line.time, line.objective, line.weight, line.recorded) == (1, 15.0, "errors", 5, "failures")
    assert (line.stable.requests, line.stable.events) == (1000, 3)
    assert (line.candidate.requests, line.candidate.events) == (52, 0)


def test_buckets_are_seconds_and_the_last_one_is_all_requests() -> None:
    (line,) = reading.read([BUCKETS]).lines

    assert line.stable == lines.Counters(1000, 0, {"100": 900, "250": 990})
    assert line.candidate.requests == 52


def test_blank_lines_are_skipped_but_counted() -> None:
    assert [line.number for line in reading.read(["", EXAMPLE, "  \n", EXAMPLE]).lines] == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": None}, "line 3: time: is missing"),
        ({"time": "now"}, "line 3: time: must be a number, not 'now'"),
        ({"time": -math.inf}, "line 3: time: -inf has no date; it must be seconds of at most"),
        ({"time": 9e15}, "line 3: time: 9e+15 has no date"),
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
        ({"stable": {"buckets": {"0.1": 9, "+Inf": 8}}}, "line 3: stable.buckets: 9 up to 0.1: buckets are cumulative"),
        ({"stable": {"buckets": {"1": 5, "0.1": 6, "+Inf": 8}}}, "line 3: stable.buckets: 5 up to 1: buckets are"),
        (
            {"stable": {"requests": 5, "failures": 0, "pods": {"a": {"requests": 6, "failures": 0}}}},
            "line 3: stable.pods: more requests than the whole has, 5",
        ),
    ],
    ids=str,
)
def test_error_names_line_and_field(change: dict[str, object], message: str) -> None:
    broken = json.dumps({**json.loads(EXAMPLE), **change})
    with pytest.raises(lines.Unreadable) as error:
        reading.read([EXAMPLE, "", broken])

    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "5", "null", pytest.param("[" * 100_000, id="deep"), pytest.param('{"a":' * 100_000, id="deeper")],
)
def test_line_that_is_no_object(text: str) -> None:
    with pytest.raises(lines.Unreadable, match=r"^line 1: not (JSON|a JSON object)"):
        reading.read([text])


@pytest.mark.parametrize("text", [EXAMPLE, BUCKETS])
def test_written_line_is_read_as_the_same(text: str) -> None:
    (line,) = reading.read([text]).lines
    written = lines.wire(line)

    assert reading.read([written]).lines == (line,)
    assert lines.wire(reading.read([written]).lines[0]) == written


@pytest.mark.parametrize("objective", [ERRORS, LATENCY, ACCURACY, CLICKS], ids=lambda objective: objective.name)
def test_columns_and_counters_are_the_same(objective: Objective) -> None:
    kind = kind_of(objective)
    counted = lines.Counters(10.0, 0.0, {"50": 8.0}) if objective is LATENCY else lines.Counters(10.0, 3.0)

    assert lines.counters(kind, lines.amounts(kind, counted)) == counted


def arm(requests: int, failures: int, **more: object) -> dict[str, object]:
    return {"requests": requests, "failures": failures, **more}


PODS = json.dumps(
    {
        "time": 15.0,
        "objective": "accuracy",
        "weight": 5,
        "stable": arm(
            1000, 30, pods={"a": arm(400, 10), "b": arm(500, 15)}, halves=[arm(400, 10, pods=2), arm(600, 20)]
        ),
        "candidate": arm(52, 1),
        "from": "a newer version",
    }
)
PROBES = (
    '{"kind": "probe", "time": 70, "event": "end"}',
    '{"kind": "probe", "time": 30, "event": "begin", "share": 50}',
)


def test_pods_and_halves_are_written_as_they_are_read() -> None:
    (line,) = reading.read([PODS]).lines
    assert line.stable.pods == {"a": lines.Counters(400, 10), "b": lines.Counters(500, 15)}
    assert line.stable.halves == (lines.Counters(400, 10, pod_count=2), lines.Counters(600, 20))
    assert (line.candidate.pods, line.candidate.halves) == ({}, None)
    assert reading.read([lines.wire(line)]).lines == (line,)


def test_latencies_have_halves_of_buckets() -> None:
    given = json.loads(BUCKETS)
    half = {"requests": 500, "buckets": {"0.1": 450, "+Inf": 500}}
    given["stable"]["halves"] = [half, half]
    (line,) = reading.read([json.dumps(given)]).lines
    assert line.stable.halves == (lines.Counters(500, 0, {"100": 450}),) * 2
    assert reading.read([lines.wire(line)]).lines == (line,)


def test_what_no_pod_has_counted_is_there_as_well() -> None:
    kind = kind_of(ACCURACY)
    (line,) = reading.read([PODS]).lines
    columns = {"total": 100, "events": 5, "total@a": 400, "events@a": 10, "total@b": 500, "events@b": 15}
    assert lines.amounts(kind, line.stable) == columns
    assert kind.counting.requests_and_events(columns, None) == (1000, 30)
    assert lines.counters(kind, columns).pods == line.stable.pods


def test_probes_are_read_in_the_order_of_time() -> None:
    found = reading.read([EXAMPLE, *PROBES])
    assert [(probe.number, probe.time, probe.begins, probe.share) for probe in found.probes] == [
        (3, 30.0, True, 50.0),
        (2, 70.0, False, 0.0),
    ]
    assert [line.number for line in found.lines] == [1]


def test_probes_and_the_bake_are_written_as_they_are_read() -> None:
    found = reading.read([EXAMPLE, *PROBES])
    assert reading.read(map(lines.probe_wire, found.probes)).probes == tuple(
        dataclasses.replace(probe, number=number) for number, probe in enumerate(found.probes, start=1)
    )
    assert found.asks, "old files say nothing of it"
    assert reading.read([lines.bake_wire(asks=True)]).asks
    assert not reading.read([lines.bake_wire(asks=False)]).asks


def test_lines_of_a_newer_version_are_left_out_with_a_note() -> None:
    newer = '{"kind": "shape", "time": 1}'
    found = reading.read([EXAMPLE, newer, EXAMPLE.replace('{"time"', '{"kind": "counts", "time"'), newer])
    assert [line.number for line in found.lines] == [1, 3]
    assert found.notes == ("left out: 2 lines of kind 'shape', the first in line 2, which this version does not know",)
    assert reading.read([EXAMPLE]).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": 5}', "line 1: kind: must be a name such as 'probe', not 5"),
        ('{"kind": "probe", "time": 1, "event": "pause"}', "line 1: event: must be 'begin' or 'end', not 'pause'"),
        ('{"kind": "probe", "event": "end"}', "line 1: time: is missing"),
        ('{"kind": "probe", "time": 1, "event": "begin"}', "line 1: share: is missing"),
        ('{"kind": "probe", "time": 1, "event": "begin", "share": 101}', "line 1: share: 101 is more than 100 percent"),
        ('{"kind": "probe", "time": 1, "event": "end"}', "line 1: event: a probe begins once, and then ends"),
        (PODS.replace('"pods": {', '"pods": 5, "x": {'), "line 1: stable.pods: must be an object"),
        (PODS.replace('"failures": 15', '"failures": 501'), "line 1: stable.pods.b.failures: 501 of 500 requests"),
        (PODS.replace('"halves": [', '"halves": [5, '), "line 1: stable.halves: must be a list of the counters of two"),
        (PODS.replace('"failures": 20', '"x": 1'), "line 1: stable.halves[1].failures: is missing"),
        (PODS.replace('"pods": 2', '"pods": 0'), "line 1: stable.halves[0].pods: must be a number >= 1, not 0"),
        ('{"kind": "bake", "asks": 1}', "line 1: asks: must be true or false, not 1"),
    ],
)
def test_what_is_wrong_beside_the_counters_is_named(text: str, message: str) -> None:
    with pytest.raises(lines.Unreadable) as error:
        reading.read([text])
    assert str(error.value).startswith(message)


def learnt(**changes: object) -> str:
    """A line of what the judge had learnt."""
    known = state.ObjectiveState(2.5, {"": Own(1.5, 3.0, 0.01)}, before=(900, 9), usual=Usual(800, 8, 0.5, 4.0))
    line = lines.LearntLine(1, 4.0, "errors", {"objective": {}}, known)
    return json.dumps({**json.loads(learning.wire(line, 0.0)), **changes})


def test_what_the_judge_had_learnt_is_read_as_it_is_written() -> None:
    known = reading.read([learnt()]).learnt["errors"]
    assert json.loads(learning.wire(known, 0.0)) == json.loads(learnt())
    assert json.loads(learning.wire(known, 1.0))["usual"] == [800, 8, 0.5, 3.0]


def test_what_the_judge_knows_beside_the_counters() -> None:
    pods, moment = lines.PodsLine((-900.0, -880.0), (3.0,), 60.0), lines.InFlightLine(15.0, 9.0, 1.0)
    file = reading.read([lines.in_flight_wire(moment), lines.pods_wire(pods), lines.route_wire(30.0)])
    assert (file.in_flight, file.pods, file.limit_seconds, file.notes) == ((moment,), pods, 30.0, ())
    assert reading.read([lines.route_wire(math.inf)]).limit_seconds == math.inf
    assert (reading.read([]).limit_seconds, reading.read([]).pods) == (0.0, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "weight", "time": 1}', "line 1: weight: is missing"),
        ('{"kind": "weight", "time": 1, "weight": 101}', "line 1: weight: 101 is more than 100 percent"),
        (learnt(under=1), "line 1: under: must be an object"),
        (learnt(objective=""), "line 1: objective: must be a text of at most 253 characters"),
        (learnt(dispersion=0.5), "line 1: dispersion: must be a number >= 1, not 0.5"),
        (learnt(own=[]), "line 1: own: must be an object"),
        (learnt(own={"": [1, 2]}), r"line 1: own.'': must be a list of 3 numbers"),
        (learnt(own={"": [1, 0, 1.5]}), r"line 1: own.''\[2\]: 1.5; a share is at most 1"),
        (learnt(boundaries=[5]), r"line 1: boundaries\[0\]: must be a text"),
        (learnt(before=[1, 2]), "line 1: before: 2 events of 1 requests"),
        (learnt(usual=None), "line 1: usual: must be a list of 4 numbers, not None"),
        (learnt(usual=[1, 0, 0, 1e99]), r"line 1: usual\[3\]: must be at most"),
        ('{"kind": "pods", "stable": [], "candidate": []}\n{"kind": "pods"}', "line 2: stable: must be a list"),
        ('{"kind": "route"}', "line 1: limitSeconds: must be a number >= 0"),
        ('{"kind": "inFlight", "time": 1, "stable": -1, "candidate": 0}', "line 1: stable: must be a number >= 0"),
        ('{"kind": "pods", "stable": 4, "candidate": []}', "line 1: stable: must be a list of the times"),
        ('{"kind": "pods", "stable": [], "candidate": ["a"]}', r"line 1: candidate\[0\]: must be a number, not 'a'"),
    ],
)
def test_what_is_wrong_there(text: str, message: str) -> None:
    with pytest.raises(lines.Unreadable, match=message):
        reading.read(text.splitlines())
