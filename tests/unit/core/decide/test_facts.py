"""What the conditions say in the reconcile in which one release ends and another one is going to begin."""

from sluice_core.decide.facts import facts
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.attempts import Attempt
from tests.support.cases import moments, situations
from tests.support.cases.moments import CANDIDATE, STABLE


def test_a_release_that_is_about_to_begin_is_named() -> None:
    between = situations.make_situation(situations.promoted(STABLE), requested=CANDIDATE)
    said = facts(between, Attempt(CANDIDATE, 1), None, moments.make_capacity())
    begins = f"the release of {CANDIDATE.name} begins"
    assert (said.reconciling.status, said.reconciling.reason, said.reconciling.message) == (
        True,
        Reason.ROLLOUT_RUNNING,
        begins,
    )
    assert (said.current.status, said.current.message) == (False, begins)


def test_a_test_of_the_version_that_serves_leaves_it_current() -> None:
    between = situations.make_situation(situations.promoted(STABLE))
    said = facts(between, Attempt(STABLE, 2, arms=(CANDIDATE,)), None, moments.make_capacity())
    assert said.reconciling.status
    assert said.current.status
