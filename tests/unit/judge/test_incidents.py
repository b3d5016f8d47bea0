"""When a scrape counts as one of an incident, which proves nothing."""

import dataclasses

from sluice_judge import accumulate
from sluice_judge.kinds import kinds_of
from sluice_judge.look import LookRules
from sluice_judge.samples import columns, series
from sluice_judge.schema.objectives import Events, FailureRatio, Objective
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import swings
from sluice_judge.stats.usual import Usual
from tests.support.simulated.trials import make_trial

ERRORS = FailureRatio(events=Events.SERVER_ERRORS, ignore_below="0.5%", relative_tolerance="25%")
REQUESTS = 200
PHASE = LookRules(interval_seconds=5.0, pods=(4, 4))
ALIKE = ObjectiveState(usual=Usual(720.0 * REQUESTS, 720.0, time=0.0))
"""One of 200 requests fails, and nothing is known of single pods."""
SWING = dataclasses.replace(ALIKE, own={"": swings.Own(bursts=1.0, seconds=60.0, share=0.005)})


def failing(state: ObjectiveState, each: int, *, scrapes: int = 12) -> bool:
    """Whether an incident goes on after scrapes with so many failures of the stable version each."""
    kind = kinds_of(make_trial(objectives=(Objective(name="errors", failure_ratio=ERRORS),)))[0]
    counted = {
        (arm, code): float(number)
        for arm, (good, bad) in ((columns.STABLE, (REQUESTS - each, each)), (columns.CANDIDATE, (50, 0)))
        for code, number in (("200", good), ("503", bad))
    }
    ticks = [series.Tick(5.0 * number, counted, counted) for number in range(1, scrapes + 1)]
    return accumulate.observe(kind, state, ticks, PHASE).usual.incident(5.0 * scrapes)


def test_pods_that_swing_by_themselves_are_no_incident() -> None:
    """Twice as bad for a minute is what such pods do every hour: a proof has to allow for it anyway."""
    assert not failing(SWING, 2)
    assert failing(ALIKE, 3)
    assert not failing(SWING, 3)


def test_an_outage_is_one_whatever_pods_do() -> None:
    assert failing(SWING, 100, scrapes=1)
    assert failing(SWING, 10, scrapes=4)
