"""What a release was decided by is in its recording: the replay decides the same."""

import math
from typing import Final

import pytest

from kubectl_sluice.views.releases import proof
from sluice_judge.replay import replay
from sluice_judge.schema.verdict import Verdict
from tests.benchmarks.judge.loop import release, rows
from tests.benchmarks.judge.loop.world import World

AFTER_THE_SCRAPE: Final = 5.0
"""The first weight is a scrape before the first line with it."""


def world(name: str, *, bad: bool) -> World:
    row = rows.ROWS[name]
    found = row.bad or row.found if bad else row.equal
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("20 % hang 300 s, 1,000/s, no limit", True),
        ("0.05 → 1.8 % in the bake, 2 % allowed", True),
        ("both hang 120 s in the bake, no limit", False),
        ("4 pods 60% busy, a queue each, load 120 s", False),
        ("1 pod of 10, baseline, 80 % busy; +30 %", False),
        ("1 pod of 10, baseline, 80 % busy; +30 %", True),
    ],
)
def test_a_replay_decides_as_the_operator_did(name: str, *, bad: bool) -> None:
    ended, rollout, lines = release.recorded(world(name, bad=bad), 1)
    found = list(replay.replay(replay.read(lines), proof.policy_of(rollout)))
    begun = next(scrape.time for scrape in found if scrape.weight > 0)
    back = next((scrape.time - begun for scrape in found if scrape.verdict is Verdict.ROLL_BACK), math.inf)
    assert back == ended.rolled_back - AFTER_THE_SCRAPE
    assert proof.replayed(rollout, lines).same
