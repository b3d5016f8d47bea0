"""Which intents are refused, and with what words."""

from typing import Any

import pytest

from kubectl_sluice.views.releases import steering
from kubectl_sluice.views.releases.revisions import KnownRevision
from kubectl_sluice.views.releases.steering import refusal
from sluice_core.api.v1alpha1.intent import Action
from tests.unit.plugin.views.builders import STABLE, make_rollout

ASKED = {"action": "Pause", "requestedBy": "bob", "requestTime": "2026-03-01T12:00:30.000Z"}
PAUSE_AT_FIRST = {"steps": [{"weight": 5, "pause": True}, {"weight": 100}]}
HANDLED = {"requestTime": "2026-03-01T12:00:30.000Z", "result": "paused"}


@pytest.mark.parametrize(
    ("action", "given", "want"),
    [
        (Action.PROMOTE, {}, ""),
        (Action.ABORT, {"paused": True}, ""),
        (Action.PAUSE, {}, ""),
        (Action.PAUSE, {"paused": True}, "is already paused"),
        (Action.RESUME, {"paused": True}, ""),
        (Action.RESUME, {}, "is not paused"),
        (Action.RESUME, {"rules": PAUSE_AT_FIRST, "step": 1, "permille": 50}, ""),
        (Action.RESUME, {"rules": PAUSE_AT_FIRST, "step": 1, "permille": 50, "resumedStep": 1}, "is not paused"),
        (Action.SKIP_STEP, {"step": 2, "permille": 250}, ""),
        (Action.SKIP_STEP, {"step": 4, "permille": 1000}, "kubectl sluice promote digits"),
        (Action.SKIP_STEP, {"first": True}, "is the first version"),
        (Action.SKIP_STEP, {"outcome": "Promoted"}, "no release is running"),
        (Action.ROLL_BACK, {}, ""),
        (Action.ROLL_BACK, {"first": True}, "is the first version"),
        (Action.ROLL_BACK, {"outcome": "Promoted"}, ""),
        (Action.RETRY, {}, "is still running"),
        (Action.RETRY, {"reason": "Validating"}, "is still running"),
        (Action.RETRY, {"reason": "ValidationError"}, ""),
        (Action.RETRY, {"reason": "ValidationInconclusive"}, ""),
        (Action.SKIP_STEP, {"reason": "Validating"}, ""),
        (Action.RETRY, {"outcome": "RolledBack"}, ""),
        (Action.RETRY, {"outcome": "Aborted"}, ""),
        (Action.RETRY, {"outcome": "Promoted"}, "only a release that was rolled back or aborted"),
        (Action.RETRY, {"outcome": "Aborted", "withdrawn": True}, "no longer asks for digits-2222222222"),
        (Action.RETRY, {"outcome": "Superseded"}, "only a release that was rolled back or aborted"),
        (
            Action.RETRY,
            {"outcome": "Promoted", "rules": {"rollback": True}},
            f"to go to {STABLE} again: kubectl sluice rollback digits --to {STABLE}",
        ),
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


OLD = KnownRevision("digits-0", "s3://models/digits/0", "zero", serves=False)
SERVING = KnownRevision("digits-1", "s3://models/digits/1", "", serves=True)


@pytest.mark.parametrize(
    ("to", "before", "running", "want"),
    [
        ("digits-0", None, False, ""),
        (None, "digits-0", False, ""),
        (None, None, False, "name one with --to: digits-0 (s3://models/digits/0, version zero)"),
        (None, None, True, ""),
        ("digits-1", None, True, ""),
        ("digits-1", None, False, "digits-1 already serves; others, newest first: digits-0"),
        ("digits-9", None, False, "there is no revision 'digits-9'; known, newest first: digits-0"),
    ],
)
def test_the_rollback(to: str | None, before: str | None, running: bool, want: str) -> None:
    said = steering.rollback_refusal(to, (SERVING, OLD), before=before, running=running)
    assert want in said
    assert bool(said) is bool(want)


def test_every_action_has_a_command() -> None:
    assert set(steering.COMMANDS) == set(Action)
