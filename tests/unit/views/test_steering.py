"""Which wishes are refused, and with what words."""

from typing import Any

import pytest

from sluice.api.v1alpha1.modelrollout import Action
from sluice.views.steering import refusal
from tests.unit.views.builders import make_rollout

ASKED = {"action": "Pause", "requestedBy": "bob", "requestTime": "2026-03-01T12:00:30.000Z"}
HANDLED = {"requestTime": "2026-03-01T12:00:30.000Z", "result": "paused"}


@pytest.mark.parametrize(
    ("action", "given", "want"),
    [
        (Action.PROMOTE, {}, ""),
        (Action.ABORT, {"paused": True}, ""),
        (Action.PAUSE, {}, ""),
        (Action.PAUSE, {"paused": True}, "is paused already"),
        (Action.RESUME, {"paused": True}, ""),
        (Action.RESUME, {}, "is not paused"),
        (Action.RETRY, {}, "is still running"),
        (Action.RETRY, {"outcome": "RolledBack"}, ""),
        (Action.RETRY, {"outcome": "Aborted"}, ""),
        (Action.RETRY, {"outcome": "Promoted"}, "only a release that was rolled back or aborted"),
        (Action.RETRY, {"outcome": "Superseded"}, "only a release that was rolled back or aborted"),
        (Action.PROMOTE, {"outcome": "RolledBack"}, "kubectl sluice retry digits"),
        (Action.ABORT, {"outcome": "Promoted"}, "no release is running"),
        (Action.ABORT, {"first": True}, "is the first version"),
        (Action.PROMOTE, {"intent": ASKED}, "bob asked for Pause"),
        (Action.PROMOTE, {"intent": ASKED, "observedIntent": HANDLED | {"requestTime": "x"}}, "bob asked for Pause"),
        (Action.PROMOTE, {"intent": ASKED, "observedIntent": HANDLED}, ""),
    ],
)
def test_refusal(action: Action, given: dict[str, Any], want: str) -> None:
    said = refusal(action, make_rollout(**given))
    assert want in said
    assert bool(said) is bool(want)


def test_without_a_release_there_is_nothing_to_steer() -> None:
    assert "no release yet" in refusal(Action.PROMOTE, None)
