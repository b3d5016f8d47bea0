"""Which of two gates decides when both speak: a moment for each pair of neighbours."""

from itertools import combinations, pairwise
from typing import Final

import pytest

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.rollout.gates import deadline, evidence, gates, harm, people, probing, readiness, routing
from sluice_core.rollout.gates.gates import FIRST_VERSION_GATES, GATES, Gate
from sluice_core.rollout.moment import Moment
from tests.support.cases import changes
from tests.support.cases.moments import fields, make_moment

TOGETHER: Final[dict[tuple[Gate, Gate], Moment]] = {
    (people.abort_requested, harm.fuse_blown): make_moment(changes.asked(Action.ABORT), changes.unready(60)),
    (harm.fuse_blown, harm.one_pod_is_bad): make_moment(changes.unready(60), changes.BAD_POD),
    (harm.one_pod_is_bad, harm.evidence_says_roll_back): make_moment(changes.BAD_POD, changes.WORSE),
    (harm.evidence_says_roll_back, harm.worse_offline): make_moment(changes.WORSE, changes.FAILED_OFFLINE),
    (harm.worse_offline, harm.stable_lost): make_moment(changes.FAILED_OFFLINE, changes.STABLE_LOST),
    (probing.stable_cannot_answer, people.paused_by_person): make_moment(
        changes.PROBING, changes.NO_STABLE_POD, changes.PAUSED
    ),
    (people.paused_by_person, people.frozen): make_moment(changes.PAUSED, changes.FROZEN),
    (people.frozen, people.promote_requested): make_moment(changes.FROZEN, changes.asked(Action.PROMOTE)),
    (people.skip_requested, evidence.metrics_blind): make_moment(changes.asked(Action.SKIP_STEP), changes.BLIND),
    (evidence.metrics_blind, deadline.deadline_ends_waiting): make_moment(
        changes.BLIND, changes.too_late("RollBack"), changes.NO_ROUTE
    ),
    (deadline.deadline_ends_waiting, readiness.not_validated): make_moment(
        changes.too_late("RollBack"), changes.SCORING
    ),
    (readiness.not_validated, readiness.capacity_missing): make_moment(
        changes.SCORING, changes.NO_ROOM, changes.NOT_BEGUN, changes.ready(0)
    ),
    (readiness.capacity_missing, readiness.candidate_not_ready): make_moment(
        changes.NO_ROOM, changes.NOT_BEGUN, changes.ready(0)
    ),
    (readiness.candidate_not_ready, readiness.candidate_ready): make_moment(changes.NOT_BEGUN, changes.ready(0)),
    (readiness.step_not_begun, routing.route_not_programmed): make_moment(changes.SECOND_DECIDED, changes.NO_ROUTE),
    (routing.route_not_programmed, routing.split_mismatch): make_moment(changes.NO_ROUTE, changes.MISMATCH),
    (routing.split_mismatch, evidence.not_looked): make_moment(changes.MISMATCH, changes.NOT_LOOKED),
    (evidence.not_looked, harm.baseline_is_worse): make_moment(changes.NOT_LOOKED, changes.BASELINE_WORSE),
    (harm.baseline_is_worse, probing.stable_awaited): make_moment(
        changes.BASELINE_WORSE, changes.BAKING, changes.ACCUSED_ALONE
    ),
    (evidence.preview_over, evidence.evidence_says_advance): make_moment(changes.PREVIEW, changes.PROVEN),
    (evidence.evidence_says_advance, evidence.idle): make_moment(changes.PROVEN, changes.IDLE),
    (evidence.idle, deadline.deadline_passed): make_moment(changes.IDLE, changes.too_late("Promote")),
}
"""For two neighbours in `GATES`: a moment in which both speak."""

FIRST_TOGETHER: Final[dict[tuple[Gate, Gate], Moment]] = {
    (readiness.capacity_missing, readiness.candidate_not_ready): make_moment(
        changes.FIRST, changes.NOT_BEGUN, changes.NO_ROOM, changes.ready(0)
    ),
    (readiness.candidate_not_ready, readiness.candidate_ready): make_moment(
        changes.FIRST, changes.NOT_BEGUN, changes.ready(0)
    ),
}

NEVER_TOGETHER: Final[dict[tuple[Gate, Gate], str]] = {
    (harm.stable_lost, probing.accused_in_the_bake): "there is nobody to be asked",
    (probing.accused_in_the_bake, probing.stable_cannot_answer): "the one begins what the other ends",
    (probing.stable_awaited, probing.probe_over): "the one waits for what the other is in",
    (probing.probe_over, evidence.bake_over): "a bake that asks is not over",
    (people.promote_requested, people.skip_requested): "an intent is for one thing",
    (readiness.candidate_ready, readiness.step_not_begun): "the one speaks before the first step, the other in a step",
    (
        evidence.bake_over,
        evidence.preview_over,
    ): "the bake is the last step, and a preview speaks where another follows",
}

CHANGES: Final = (
    *(changes.asked(action) for action in Action),
    *(changes.too_late(what) for what in ("Hold", "Promote", "RollBack")),
    *(changes.ready(0), changes.ready(1), changes.unready(60), changes.unready(600)),
    changes.NOT_BEGUN,
    changes.SECOND_DECIDED,
    changes.BAKING,
    changes.BAKED,
    changes.PROBING,
    changes.ACCUSED,
    changes.ACCUSED_ALONE,
    changes.NO_STABLE_POD,
    changes.PREVIEW,
    changes.TAKEN_DOWN,
    changes.FIRST,
    changes.PAUSED,
    changes.FROZEN,
    changes.WORSE,
    changes.BASELINE_WORSE,
    changes.BAD_POD,
    changes.BLIND,
    changes.NOT_LOOKED,
    changes.MISMATCH,
    changes.PROVEN,
    changes.IDLE,
    changes.FAILED_OFFLINE,
    changes.SCORING,
    changes.STABLE_LOST,
    changes.NO_ROOM,
    changes.RAMPS,
    changes.NO_ROUTE,
    changes.CRASHING,
    # A preview as the last step, which no strategy makes.
    {"spec": {"steps": [{"weight": 5}, {"weight": 50}, {"preview": True, "weight": 100}]}},
)


def combined() -> list[Moment]:
    """The moments that any two changes make, but for steps that their release does not have."""
    every = [make_moment(*two) for two in combinations(CHANGES, 2)]
    return [moment for moment in every if moment.rollout.status.step <= moment.last_step]


@pytest.mark.parametrize(
    "pair",
    [pair for pair in pairwise(GATES) if pair not in NEVER_TOGETHER],
    ids=lambda pair: " before ".join(gate.__name__ for gate in pair),
)
def test_of_two_neighbours_that_both_speak_the_earlier_one_decides(pair: tuple[Gate, Gate]) -> None:
    earlier, later = (gate(TOGETHER[pair]) for gate in pair)
    assert earlier is not None
    assert later is not None
    assert fields(earlier) != fields(later) or earlier.message != later.message, "it makes no difference who decides"
    assert gates.decide(TOGETHER[pair]) == earlier


@pytest.mark.parametrize("pair", NEVER_TOGETHER, ids=lambda pair: " and ".join(gate.__name__ for gate in pair))
def test_some_neighbours_never_both_speak(pair: tuple[Gate, Gate]) -> None:
    assert pair in set(pairwise(GATES))
    spoke = [[gate(moment) is not None for gate in pair] for moment in combined()]
    assert [True, False] in spoke
    assert [False, True] in spoke
    assert [True, True] not in spoke, NEVER_TOGETHER[pair]


@pytest.mark.parametrize(
    "pair", list(pairwise(FIRST_VERSION_GATES)), ids=lambda pair: " before ".join(gate.__name__ for gate in pair)
)
def test_the_first_version_has_its_own_order(pair: tuple[Gate, Gate]) -> None:
    earlier, later = (gate(FIRST_TOGETHER[pair]) for gate in pair)
    assert fields(earlier) != fields(later)
    assert later is not None
    assert gates.decide(FIRST_TOGETHER[pair]) == earlier
