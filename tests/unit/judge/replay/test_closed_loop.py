"""What a release was decided by is in its recording: the replay decides the same."""

import dataclasses
import math
from functools import partial
from typing import Final

import pytest

from kubectl_sluice.views.releases import proof
from sluice_judge import processes, words
from sluice_judge.kinds import kind_of
from sluice_judge.replay import replay
from sluice_judge.schema.verdict import Verdict
from sluice_judge.state import State
from tests.benchmarks.judge import troubles
from tests.benchmarks.judge.loop import release, rows
from tests.benchmarks.judge.loop.world import HOUR, Incident, World

AFTER_THE_SCRAPE: Final = 5.0
"""The first weight is a scrape before the first line with it."""


def world(name: str, *, bad: bool) -> World:
    row = rows.ROWS[name]
    found = row.bad or row.found if bad else row.equal
    assert found is not None
    return found


BURSTS: Final = partial(troubles.bursts, base=0.01, cv=2.0, scrape=15)
MORE: Final = {
    "x8, by the dispersion of the hour": rows.errors(0.002, factor=8, deadline_seconds=3610, stops_at_bake=True),
    "x4 in bursts, by the dispersion of the day": World(
        BURSTS,
        (rows.ERRORS,),
        factor=4.0,
        requests_per_second=5,
        scrape_seconds=15,
        deadline_seconds=3610,
        stops_at_bake=True,
    ),
    "a fault just before the bake is over": rows.errors(
        0.001,
        factor=12,
        worse_from=Incident(585, in_bake=True),
        weights=(50,),
        requests_per_second=100,
        scrape_seconds=15,
        deadline_seconds=3610,
    ),
    "a maximum alone, broken in the bake": dataclasses.replace(
        rows.errors(
            0.002,
            factor=50,
            worse_from=Incident(60, in_bake=True),
            weights=(50,),
            requests_per_second=100,
            deadline_seconds=3610,
        ),
        objectives=(rows.MAXIMUM,),
    ),
    "answers take longer than a scrape": rows.errors(
        0.01,
        requests_per_second=500,
        weights=(25, 50),
        deadline_seconds=3610,
        stops_at_bake=True,
        scrape_seconds=60,
        gauge=False,
        limit_seconds=100,
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_a_replay_has_the_operators_evidence(name: str) -> None:
    """To the last digit, at each scrape: it knows what was learnt before, and since when each weight held."""
    looks: list[release.Look] = []
    _, rollout, recorded = release.recorded(MORE[name], 1, looks)
    every = {"scrape_interval_seconds": MORE[name].scrape_seconds, "idle_seconds": HOUR}
    policy = proof.policy_of(rollout).model_copy(update=every)
    found = [scrape for scrape in replay.replay(replay.read(recorded), policy) if scrape.weight > 0]
    assert len(found) == len(looks) > 2
    for scrape, look in zip(found, looks, strict=True):
        assert (scrape.verdict, scrape.reason) == (look.verdict, look.reason), scrape
        assert scrape.evidence == _evidence(MORE[name], look.state), scrape


def _evidence(seen: World, state: State) -> dict[str, replay.Evidence]:
    found = {}
    for kind in map(kind_of, seen.objectives):
        known = state.objectives[kind.name]
        against, advance = processes.evidence_of(processes.rules(kind, known), known)
        logs = (round(words.log10(amount), 6) for amount in (against.rollback, advance))
        found[kind.name] = replay.Evidence(*logs)
    return found


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("20 % hang 300 s, 1,000/s, no limit", True),
        ("0.05 → 1.8 % in the bake, 2 % allowed", True),
        ("0.1 → 2 % in the bake, an outage of a minute before", True),
        ("both hang 120 s in the bake, no limit", False),
        ("a maximum alone; an outage of a minute in the bake", False),
        ("2 % fail at once, good answers take 30 s, 100/s", False),
        ("×2 of 2 %, the candidate's time-outs of 60 s, traffic grows ×20", True),
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
