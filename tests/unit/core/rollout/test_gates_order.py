"""Which of two gates decides when both speak: a moment for each pair of neighbours."""

from itertools import combinations, pairwise
from typing import Final

import pytest

from sluice.api.v1alpha1.intent import Action
from sluice.core.rollout import gates
from sluice.core.rollout.gates import FIRST_VERSION_GATES, GATES, Gate
from sluice.core.rollout.moment import Moment
from tests.support import changes
from tests.support.moments import fields, make_moment

TOGETHER: Final[dict[tuple[Gate, Gate], Moment]] = {
    (gates.abort_requested, gates.fuse_blown): make_moment(changes.asked(Action.ABORT), changes.unready(60)),
    (gates.fuse_blown, gates.one_pod_is_bad): make_moment(changes.unready(60), changes.BAD_POD),
    (gates.one_pod_is_bad, gates.evidence_says_roll_back): make_moment(changes.BAD_POD, changes.WORSE),
    (gates.evidence_says_roll_back, gates.worse_offline): make_moment(changes.WORSE, changes.FAILED_OFFLINE),
    (gates.worse_offline, gates.stable_lost): make_moment(changes.FAILED_OFFLINE, changes.STABLE_LOST),
    (gates.stable_lost, gates.paused_by_person): make_moment(changes.STABLE_LOST, changes.PAUSED),
    (gates.paused_by_person, gates.frozen): make_moment(changes.PAUSED, changes.FROZEN),
    (gates.frozen, gates.promote_requested): make_moment(changes.FROZEN, changes.asked(Action.PROMOTE)),
    (gates.skip_requested, gates.metrics_blind): make_moment(changes.asked(Action.SKIP_STEP), changes.BLIND),
    (gates.metrics_blind, gates.deadline_ends_waiting): make_moment(
        changes.BLIND, changes.too_late("RollBack"), changes.NO_ROUTE
    ),
    (gates.deadline_ends_waiting, gates.not_validated): make_moment(changes.too_late("RollBack"), changes.SCORING),
    (gates.not_validated, gates.capacity_missing): make_moment(
        changes.SCORING, changes.NO_ROOM, changes.NOT_BEGUN, changes.ready(0)
    ),
    (gates.capacity_missing, gates.candidate_not_ready): make_moment(
        changes.NO_ROOM, changes.NOT_BEGUN, changes.ready(0)
    ),
    (gates.candidate_not_ready, gates.candidate_ready): make_moment(changes.NOT_BEGUN, changes.ready(0)),
    (gates.step_not_begun, gates.route_not_programmed): make_moment(changes.SECOND_DECIDED, changes.NO_ROUTE),
    (gates.route_not_programmed, gates.split_mismatch): make_moment(changes.NO_ROUTE, changes.MISMATCH),
    (gates.split_mismatch, gates.bake_over): make_moment(changes.MISMATCH, changes.BAKING),
    (gates.preview_over, gates.evidence_says_advance): make_moment(changes.PREVIEW, changes.PROVEN),
    (gates.evidence_says_advance, gates.idle): make_moment(changes.PROVEN, changes.IDLE),
    (gates.idle, gates.deadline_passed): make_moment(changes.IDLE, changes.too_late("Promote")),
}
"""For two neighbours in `GATES`: a moment in which both speak."""

FIRST_TOGETHER: Final[dict[tuple[Gate, Gate], Moment]] = {
    (gates.capacity_missing, gates.candidate_not_ready): make_moment(
        changes.FIRST, changes.NOT_BEGUN, changes.NO_ROOM, changes.ready(0)
    ),
    (gates.candidate_not_ready, gates.candidate_ready): make_moment(changes.FIRST, changes.NOT_BEGUN, changes.ready(0)),
}

NEVER_TOGETHER: Final[dict[tuple[Gate, Gate], str]] = {
    (gates.promote_requested, gates.skip_requested): "a wish is for one thing",
    (gates.candidate_ready, gates.step_not_begun): "the one speaks before the first step, the other in a step",
    (gates.bake_over, gates.preview_over): "the bake is the last step, and a preview speaks where another follows",
}

CHANGES: Final = (
    *(changes.asked(action) for action in Action),
    *(changes.too_late(what) for what in ("Hold", "Promote", "RollBack")),
    *(changes.ready(0), changes.ready(1), changes.unready(60), changes.unready(600)),
    changes.NOT_BEGUN,
    changes.SECOND_DECIDED,
    changes.BAKING,
    changes.BAKED,
    changes.PREVIEW,
    changes.TAKEN_DOWN,
    changes.FIRST,
    changes.PAUSED,
    changes.FROZEN,
    changes.WORSE,
    changes.BAD_POD,
    changes.BLIND,
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
