"""What becomes of an intent about steps, by the moment in which it arrives."""

import pytest

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import stepping
from sluice_core.rollout.moment import Moment
from tests.support.cases import changes
from tests.support.cases.moments import Change, make_moment

PAUSES: Change = {"spec": {"steps": [{"weight": 5, "pause": True}, {"weight": 50}, {"weight": 100}]}}
STUCK: Change = {"validation": changes.finding(Reason.VALIDATION_INCONCLUSIVE)}


def result_of(moment: Moment) -> str:
    observed = stepping.move(moment).rollout.status.observed_intent
    assert observed is not None
    return observed.result


@pytest.mark.parametrize(
    ("action", "given", "want"),
    [
        pytest.param(Action.RETRY, [], "ignored: the rollout is still running", id="retry"),
        pytest.param(Action.RETRY, [STUCK], "the labelled data is scored again", id="retry of a validation"),
        pytest.param(Action.RESUME, [], "ignored: nothing is paused", id="resume what runs"),
        pytest.param(Action.RESUME, [changes.PAUSED], "resumed", id="resume"),
        pytest.param(Action.RESUME, [PAUSES], "the step goes on", id="resume a step that pauses"),
        pytest.param(Action.SKIP_STEP, [], "skipped; weights still wait for ready pods", id="skip"),
        pytest.param(
            Action.SKIP_STEP, [changes.BAKING], "ignored: there is no step after the bake", id="skip the bake"
        ),
        pytest.param(Action.SKIP_STEP, [changes.FROZEN], "refused: ", id="skip in a freeze window"),
        pytest.param(Action.PROMOTE, [], "promoted; weights still wait for ready pods", id="promote"),
        pytest.param(
            Action.PROMOTE,
            [changes.BAKING, changes.ready(2)],
            "refused: 2 of the 4 pods that all requests need are ready",
            id="promote with too few pods",
        ),
        pytest.param(Action.PROMOTE, [changes.FROZEN], "refused: ", id="promote in a freeze window"),
        pytest.param(Action.PROMOTE, [changes.FIRST], "ignored: the first version", id="promote the first version"),
        pytest.param(Action.ABORT, [], "aborted", id="abort"),
    ],
)
def test_intent(action: Action, given: list[Change], want: str) -> None:
    assert result_of(make_moment(*given, changes.asked(action))).startswith(want)


def test_going_back_to_another_revision_is_refused_with_what_there_is() -> None:
    moment = make_moment(changes.asked(Action.ROLL_BACK, toRevision="digits-0"))

    assert result_of(moment).startswith("refused: there is no revision digits-0; kubectl sluice history")
