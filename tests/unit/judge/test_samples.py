"""Where stable's events come in bursts, versions are compared by samples of each scrape as well, from the first one on."""

import dataclasses

import pytest

from sluice_judge import accumulate, objectives, processes, weighing
from sluice_judge.kind import Kind
from sluice_judge.kinds import kinds_of
from sluice_judge.look import LookRules
from sluice_judge.objectives import SAMPLED, Role
from sluice_judge.samples import columns, series
from sluice_judge.schema.objectives import Events, FailureRatio, Goal, Objective
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import evidence, swings
from sluice_judge.stats.usual import Usual
from tests.support.simulated.trials import LATENCY, make_trial

BOTH = FailureRatio(events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%")
WORSE = FailureRatio(events=Events.SERVER_ERRORS, relative_tolerance="25%")
LIMIT = FailureRatio(events=Events.SERVER_ERRORS, maximum="2%")
QUIET = ObjectiveState(usual=Usual(100_000, 500))
BURSTY = dataclasses.replace(QUIET, dispersion=8.0)


def kind_of(ratio: FailureRatio) -> Kind:
    return kinds_of(make_trial(objectives=(Objective(name="errors", failure_ratio=ratio),)))[0]


def tick(time: float, *, candidate: tuple[int, int], stable: tuple[int, int]) -> series.Tick:
    """(requests, failed) of each."""
    seen = {
        (arm, code): float(amount)
        for arm, (requests, failed) in ((columns.CANDIDATE, candidate), (columns.STABLE, stable))
        for code, amount in (("200", requests - failed), ("503", failed))
    }
    return series.Tick(time, seen, seen)


def after(kind: Kind, state: ObjectiveState, scrapes: int, *, failed: int = 1) -> ObjectiveState:
    ticks = [tick(5.0 * each, candidate=(12, failed), stable=(238, 1)) for each in range(scrapes)]
    return accumulate.observe(kind, state, ticks, LookRules(baking=False, largest=2.9, interval_seconds=5.0))


def sampled(kind: Kind, state: ObjectiveState) -> bool:
    return SAMPLED in {term.key for term in processes.rules(kind, state).terms}


@pytest.mark.parametrize("ratio", [BOTH, WORSE])
def test_a_bursty_service_is_compared_by_samples_too(ratio: FailureRatio) -> None:
    kind = kind_of(ratio)

    assert sampled(kind, BURSTY)
    assert not sampled(kind, QUIET)
    assert SAMPLED in after(kind, BURSTY, 2).processes
    assert SAMPLED not in after(kind, QUIET, 2).processes


def test_what_is_not_compared_by_all_requests_is_not_sampled() -> None:
    slow = kinds_of(make_trial(objectives=(LATENCY,)))[0]
    higher = FailureRatio(events=Events.SERVER_ERRORS, goal=Goal.HIGHER, relative_tolerance="5%")

    assert not sampled(kind_of(LIMIT), BURSTY)
    assert not sampled(kind_of(higher), BURSTY)
    assert not sampled(slow, dataclasses.replace(BURSTY, boundaries=("50",), boundary="50"))


def test_it_is_chosen_before_the_first_scrape_for_the_whole_release() -> None:
    kind = kind_of(BOTH)
    without, within = after(kind, QUIET, 2), after(kind, BURSTY, 2)

    assert not sampled(kind, dataclasses.replace(without, dispersion=8.0))
    assert sampled(kind, dataclasses.replace(within, dispersion=1.0))


def test_half_of_the_bet_is_on_samples_and_two_scrapes_may_still_decide() -> None:
    kind = kind_of(BOTH)
    state = after(kind, BURSTY, 40)
    tests = processes.rules(kind, state)
    alone = {key: process.log_evidence for key, process in processes.running(tests, state).items()}
    against, _ = processes.evidence_of(tests, state)

    assert alone[SAMPLED] > alone["worseNotable"] + 3
    assert against.rollback == pytest.approx(objectives.combined(tests, alone, Role.ROLLBACK))
    dead = after(kind, dataclasses.replace(BURSTY, dispersion=1.5), 3, failed=12)
    assert processes.evidence_of(processes.rules(kind, dead), dead)[0].log_total > 4.7


def test_samples_need_no_dispersion_of_bursts_and_that_of_swings() -> None:
    kind = kind_of(BOTH)
    counts = evidence.Counts(12, 1, 238, 1)
    phase = LookRules(baking=False, interval_seconds=5.0, pods=(4, 4))
    term = next(term for term in processes.rules(kind, BURSTY).terms if term.sampled)
    swinging = dataclasses.replace(BURSTY, own={"": swings.Own(bursts=8.0, seconds=400.0, share=0.005)})

    assert weighing._dispersion(BURSTY, term, counts, phase, usual=0.005) == 1.0
    assert 1.5 < weighing._dispersion(swinging, term, counts, phase, usual=0.005) < 8.0
