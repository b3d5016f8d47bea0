"""Evidence that another version of the tests left behind: what it belongs to starts anew, and the judge goes on."""

import dataclasses

from sluice_judge import accumulate
from sluice_judge.comparing import separation
from sluice_judge.kinds import kind_of
from sluice_judge.look import LookRules
from sluice_judge.samples import gatewayseries, routecheck
from sluice_judge.samples.columns import CANDIDATE, STABLE
from sluice_judge.samples.series import Tick
from sluice_judge.state import ObjectiveState, State
from sluice_judge.stats import evidence
from tests.support.simulated.trials import ERRORS, make_trial

OTHER = {"k": 3, "a": [0.5]}
"""A process with a grid of another size."""
SEEN = {(STABLE, "200"): 95.0, (CANDIDATE, "200"): 3.0, (CANDIDATE, "500"): 2.0}
TICK = Tick(time=5.0, seen=SEEN, evidence=SEEN)


def test_process_of_an_objective_starts_anew() -> None:
    kind, phase = kind_of(ERRORS), LookRules()
    fresh = accumulate.observe(kind, ObjectiveState(), [TICK], phase)
    unreadable = ObjectiveState(processes=dict.fromkeys(fresh.processes, OTHER))

    assert fresh.processes
    assert accumulate.observe(kind, unreadable, [TICK], phase).processes == fresh.processes


def test_check_of_the_route_starts_anew() -> None:
    trial = make_trial(objectives=(ERRORS,))
    empty = State(since=0.0, step=1, route_generation=1, fence=0.0)
    unreadable = dataclasses.replace(empty, split=OTHER)
    ticks = {gatewayseries.REQUESTS: [TICK]}

    assert routecheck.mismatch(trial, unreadable) == ""
    assert routecheck.observed(trial, unreadable, ticks) == routecheck.observed(trial, empty, ticks) != empty


def test_separation_of_the_arms_starts_anew() -> None:
    seen = [evidence.Counts(100.0, 15.0, 1000.0, 100.0)]
    fresh = separation.observed(None, seen, dispersion=1.0)

    assert separation.observed({"l": [0.5]}, seen, dispersion=1.0) == fresh
    assert fresh != separation.observed(None, [], dispersion=1.0)
