"""What the judge learnt before a release, in a recording."""

import dataclasses
import json

import pytest

from sluice_judge import state
from sluice_judge.kinds import kind_of
from sluice_judge.replay import learning, lines, replay
from sluice_judge.samples import series
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.stats.usual import Usual
from tests.unit.judge.replay.test_replay import FULL, SLOW, policy, recorded

KNOWN = state.ObjectiveState(dispersion=7.0, before=(900.0, 9.0), usual=Usual(800.0, 8.0, 0.5, 4.0))
LINE = lines.LearntLine(1, 5.0, "errors", learning.under(FULL, InitialDispersion()), KNOWN)


def dispersions(line: lines.LearntLine, **changes: object) -> set[float]:
    """phi at each scrape of a release after ten scrapes without any weight."""
    file = dataclasses.replace(recorded(20, weights=((0, 0), (10, 5))), learnt={"errors": line})
    return {scrape.dispersions["errors"] for scrape in replay.replay(file, policy(**changes)) if scrape.weight > 0}


def test_it_is_used_under_the_same_objective() -> None:
    assert dispersions(LINE) == {7.0}


def test_another_policy_learns_from_the_lines() -> None:
    other = policy().initial_dispersion.model_copy(update={"failures": 200})
    assert 7.0 not in dispersions(LINE, initial_dispersion=other)
    changed = dataclasses.replace(LINE, under=learning.under(SLOW, InitialDispersion()))
    assert 7.0 not in dispersions(changed)


def test_what_came_after_it_is_seen_and_no_evidence() -> None:
    """The judge's first look was long before the first weight, while pods were loading."""
    file = dataclasses.replace(recorded(20, weights=((0, 0), (10, 5))), learnt={"errors": LINE})
    before = [scrape for scrape in replay.replay(file, policy()) if scrape.weight == 0]
    assert {scrape.evidence["errors"] for scrape in before if "errors" in scrape.evidence} == {replay.Evidence(0, 0)}
    assert {scrape.message for scrape in before} == {"the candidate has no weight yet"}


def test_a_boundary_that_is_no_bucket_is_refused() -> None:
    known = dataclasses.replace(KNOWN, boundary="250", boundaries=("250",))
    line = dataclasses.replace(
        LINE, number=7, objective="latency", under=learning.under(SLOW, InitialDispersion()), state=known
    )
    arm = lines.Counters(100.0, 0.0, {"100": 90.0})
    shown = lines.Line(1, 5.0, "latency", 5.0, kind_of(SLOW).recorded, arm, arm)
    file = lines.CountsFile((shown,), learnt={"latency": line})
    with pytest.raises(lines.Unreadable, match=r"^line 7: boundary: '250' ms is no bucket of latency$"):
        list(replay.replay(file, policy(SLOW)))


def test_what_the_status_keeps_of_it() -> None:
    seen = state.State(1.0, 1, 1, None, objectives={"errors": KNOWN}, feeds={"requests": series.Feed("pod", 5.0)})
    assert state.load_learnt(state.dump_learnt(seen)) == state.Learnt(5.0, {"errors": KNOWN})


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"v": 99}', '{"v": 1}', '{"v": 1, "t": 1, "obj": {"errors": 5}}']
)
def test_what_the_status_of_another_version_keeps_is_not_believed(text: str | None) -> None:
    assert state.load_learnt(text) is None


def test_a_line_of_a_time_without_a_request_is_as_of_its_own_time() -> None:
    line = dataclasses.replace(LINE, state=state.ObjectiveState())
    assert learning.read(1, json.loads(learning.wire(line, 2.0))).state.usual.time == 3.0
