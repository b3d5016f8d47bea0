"""A baseline in a recording."""

import dataclasses
import json
import math
from collections.abc import Sequence

import pytest

from sluice_judge.kinds import kind_of
from sluice_judge.model import Answered
from sluice_judge.replay import beside, lines, reading, record, replay
from sluice_judge.replay.lines import Counters, Line
from sluice_judge.samples import columns, series
from sluice_judge.schema.objectives import Objective
from sluice_judge.schema.policy import JudgedPolicy
from sluice_judge.schema.verdict import Verdict
from tests.support.simulated.trials import ERRORS
from tests.unit.judge.test_baseline import BASELINE, SLOWER, few_pods

KIND = kind_of(SLOWER)


def line(time: float, weight: float, answered: float) -> Line:
    """The candidate has answered this many requests until then."""
    return Line(0, time, "latency", weight, KIND.recorded, Counters(1000, 0, {}), Counters(answered, 0, {}))


def of_baseline(*amounts: float) -> tuple[series.Tick, ...]:
    """Requests answered in each interval of five seconds."""
    return tuple(
        series.Tick(5.0 * index, {(columns.STABLE, columns.SLOWEST): amount} if amount else {}, None)
        for index, amount in enumerate(amounts)
    )


def shown(found: Sequence[Line], *amounts: float) -> list[float | None]:
    """The baseline's requests until each line."""
    added = beside.added(KIND, found, of_baseline(*amounts))
    return [each.baseline.requests if each.baseline is not None else None for each in added]


@pytest.mark.parametrize(
    ("weights", "amounts", "want"),
    [
        pytest.param((0, 5, 5, 5), (0, 0, 10, 10), [None, None, 10, 20], id="it serves"),
        pytest.param((0, 5, 5, 5), (0, 0, 0, 10), [None, None, None, 10], id="from the second half of a step on"),
        pytest.param((5, 5, 25, 25), (10, 10, 1, 0), [10, 20, None, None], id="late answers"),
        pytest.param((5, 0, 0, 0), (10, 2, 0, 0), [10, None, None, None], id="rolled back"),
        pytest.param((5, 5, 100, 100), (10, 10, 9, 9), [10, 20, None, None], id="in the bake there is none"),
        pytest.param((5, 5, 5, 5), (0, 0, 0, 0), [None] * 4, id="none"),
        pytest.param((5, 5, 10, 10), (10, 10, 20, 20), [10, 20, 40, 60], id="at two weights"),
    ],
)
def test_its_counters_are_in_the_lines_while_it_serves(
    weights: Sequence[float], amounts: Sequence[float], want: list[float | None]
) -> None:
    found = [line(5.0 * index, weight, 10.0 * index) for index, weight in enumerate(weights)]
    assert shown(found, *amounts) == want


def test_it_is_asked_for_beside_both_versions() -> None:
    trial = few_pods()
    asked = {question.key: question.selector for question in record.questions(trial, seconds=600)}
    assert BASELINE in asked[beside.KEY + "latency"]
    assert BASELINE not in asked["latency"]
    assert beside.KEY + "requests" not in asked, "errors are compared with all of stable's pods"
    assert not [key for key in asked if key.startswith(beside.KEY) and key.endswith("freshness")]
    alone = dataclasses.replace(trial, baseline=None)
    plain = {question.key for question in record.questions(alone, seconds=600)}
    assert plain == {key for key in asked if not key.startswith(beside.KEY)}


def test_its_answers_take_the_place_of_the_stable_versions() -> None:
    ours, both = Answered(()), Answered(())
    assert beside.answers({"latency": both, beside.KEY + "latency": ours, "requests": both})["latency"] is ours


def test_it_is_written_as_it_is_read() -> None:
    written = dataclasses.replace(
        line(5.0, 5.0, 10.0), stable=Counters(9, 0, {"50": 8}), candidate=Counters(5, 0, {"50": 4})
    )
    written = dataclasses.replace(written, baseline=Counters(4, 0, {"50": 3}))
    pods = lines.PodsLine((1.0, 2.0), (3.0,), 60.0, (4.0,))
    read = reading.read([lines.wire(written), lines.pods_wire(pods)])
    assert read.lines[0].baseline == written.baseline
    assert read.pods == pods


def replayed(weight: float, objective: Objective, **counters: float) -> list[replay.Scrape]:
    """Two lines of an objective at a weight, with these counters of a baseline."""
    arm = {"requests": 10, "buckets": {"0.1": 10}} if objective is SLOWER else {"requests": 10, "failures": 0}
    texts = [
        json.dumps(
            {"time": time, "objective": objective.name, "weight": weight, "stable": arm, "candidate": arm}
            | {"baseline": arm | counters}
        )
        for time in (0, 5)
    ]
    return list(replay.replay(replay.read(texts), JudgedPolicy(objectives=[objective], steps=[{"weight": 100}])))


@pytest.mark.parametrize("weight", [0, 51, 100])
def test_it_never_has_more_than_half_of_the_requests(weight: float) -> None:
    with pytest.raises(lines.Unreadable, match=f"line 1: baseline: none at weight {weight}: it has as many requests"):
        replayed(weight, SLOWER)


def test_errors_are_compared_without_it() -> None:
    assert replayed(100, ERRORS)[-1].proven is False
    with pytest.raises(lines.Unreadable, match=r"line 1: baseline\.failures: 11 of 10 requests"):
        replayed(5, ERRORS, failures=11)


@pytest.mark.parametrize("weight", [5, 50])
def test_prefix_caches_are_compared_where_the_shares_are_alike(weight: int) -> None:
    """For 300 s after the share rose, they fill."""
    texts = [
        json.dumps(
            {"time": 5.0 * scrape, "objective": SLOWER.name, "weight": weight}
            | {"stable": {"requests": 100 * scrape, "buckets": {"0.1": 99 * scrape}}}
            | {"candidate": {"requests": 100 * scrape, "buckets": {"0.1": 50 * scrape}}}
        )
        for scrape in range(80)
    ]
    pods = {"kind": "pods", "stable": [-9000.0], "candidate": [-9000.0], "newSeconds": 60}
    policy = JudgedPolicy(objectives=[SLOWER], steps=[{"weight": 100}])

    def ends(**known: float) -> float:
        found = replay.replay(replay.read([json.dumps(pods | known), *texts]), policy)
        return next((each.time for each in found if each.verdict is Verdict.ROLL_BACK), math.inf)

    assert ends() < 60
    assert (300 < ends(cacheFillSeconds=300) < 360) if weight == 50 else ends(cacheFillSeconds=300) == math.inf


@pytest.mark.parametrize("known", [{}, {"baseline": [-90.0]}])
def test_latency_is_compared_with_it_though_its_pods_are_gone(known: dict[str, list[float]]) -> None:
    texts = [
        json.dumps(
            {"time": 5.0 * scrape, "objective": SLOWER.name, "weight": 5}
            | {"stable": {"requests": 100 * scrape, "buckets": {"0.1": 99 * scrape}}}
            | {"candidate": {"requests": 100 * scrape, "buckets": {"0.1": 10 * scrape}}}
            | {"baseline": {"requests": 100 * scrape, "buckets": {"0.1": 99 * scrape}}}
        )
        for scrape in range(5)
    ]
    pods = {"kind": "pods", "stable": [-90.0] * 10, "candidate": [-90.0], "newSeconds": 60, **known}
    policy = JudgedPolicy(objectives=[SLOWER], steps=[{"weight": 100}])
    *_, last = replay.replay(replay.read([json.dumps(pods), *texts]), policy)
    assert last.verdict is Verdict.ROLL_BACK
