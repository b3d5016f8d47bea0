"""The order of decisions: every reason to move or to stay, one small function each.

Reading `GATES` from top to bottom is reading the specification.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from sluice_core.rollout.gates import deadline, evidence, harm, people, probing, readiness, routing
from sluice_core.rollout.moment import Decision, Moment

Gate: TypeAlias = Callable[[Moment], Decision | None]

GATES: Final[tuple[Gate, ...]] = (  # first that answers wins
    people.abort_requested,
    harm.fuse_blown,
    harm.one_pod_is_bad,
    harm.evidence_says_roll_back,
    harm.worse_offline,
    harm.stable_lost,
    probing.accused_in_the_bake,
    probing.stable_cannot_answer,
    people.paused_by_person,  # a pause stops Advance only
    people.frozen,
    people.promote_requested,
    people.skip_requested,
    evidence.metrics_blind,
    deadline.deadline_ends_waiting,
    readiness.not_validated,
    readiness.capacity_missing,
    readiness.candidate_not_ready,
    readiness.candidate_ready,
    readiness.step_not_begun,
    routing.route_not_programmed,
    routing.split_mismatch,
    evidence.not_looked,
    harm.baseline_is_worse,
    probing.stable_awaited,
    probing.probe_over,
    evidence.bake_over,
    evidence.preview_over,
    evidence.evidence_says_advance,
    evidence.idle,
    deadline.deadline_passed,
)

FIRST_VERSION_GATES: Final[tuple[Gate, ...]] = (
    readiness.capacity_missing,
    readiness.candidate_not_ready,
    readiness.candidate_ready,
)
"""A first version has nothing to compare with, and nothing to roll back to."""


def decide(moment: Moment) -> Decision:
    """The first gate that answers."""
    gates = FIRST_VERSION_GATES if moment.rollout.spec.source is None else GATES
    return next((decision for gate in gates if (decision := gate(moment)) is not None), None) or evidence.waiting(
        moment
    )
