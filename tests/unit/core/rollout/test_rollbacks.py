"""The rollback that the watch asks for."""

import dataclasses
from typing import Any

import pytest

from sluice_core.api.config import VerificationGrant
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import rollbacks
from sluice_core.situation.situation import Blocked, Situation
from tests.support.cases import builders
from tests.support.cases.moments import CANDIDATE, STABLE, at
from tests.support.cases.situations import make_release, make_situation, promoted

ERRORS: dict[str, Any] = {"name": "errors", "failureRatio": {"events": "ServerErrors", "maximum": "2%"}}
ALARM = {
    "objective": "errors",
    "since": at(-600),
    "noticed": at(-300),
    "requests": 100,
    "events": 10,
    "event": "failed",
    "share": "10.0%",
    "low": "5.0%",
    "high": "15.0%",
    "usual": "2.0%",
}


def alarmed(
    *rollouts: Any, on_alarm: str = "RollBack", alarm: dict[str, Any] | None = ALARM, revision: str = CANDIDATE.name
) -> Situation:
    """The second version serves, and its watch says that it has become worse."""
    releases = rollouts or (promoted(), promoted(CANDIDATE, source=STABLE))
    situation = make_situation(
        *releases,
        stable=CANDIDATE,
        requested=CANDIDATE,
        policy={"objectives": [ERRORS], "watch": {"objectives": ["errors"], "onAlarm": on_alarm}},
    )
    status = {"watch": {"revision": revision, "alarm": alarm}}
    deployment = builders.make_model_deployment(status=status)
    return dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, deployment=deployment))


def test_the_version_before_is_released_and_judged() -> None:
    attempt = rollbacks.after_alarm(alarmed())
    assert attempt is not None
    assert (attempt.target, attempt.rollback, attempt.analysed) == (STABLE, True, True)
    assert attempt.alarm.startswith("errors: since ")


def test_nobody_goes_back_to_what_does_not_verify_its_model() -> None:
    """Its pods were made before somebody had to sign it, and fetch it again."""
    key = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
    grant = {"namespaces": ["*"], "mode": "Enforce", "publicKeys": [key]}
    found = alarmed()
    config = found.snapshot.config.model_copy(update={"verification": [VerificationGrant.model_validate(grant)]})
    situation = dataclasses.replace(found, snapshot=dataclasses.replace(found.snapshot, config=config))
    assert "do not verify" in rollbacks.unverified(situation, STABLE)
    assert rollbacks.after_alarm(situation) is None
    assert rollbacks.unverified(found, STABLE) == ""


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(alarmed(on_alarm="Alert"), id="only told"),
        pytest.param(alarmed(alarm=None), id="nothing is wrong"),
        pytest.param(alarmed(revision=STABLE.name), id="it was another version"),
        pytest.param(alarmed(promoted(CANDIDATE)), id="there is none before"),
        pytest.param(alarmed(promoted()), id="nobody knows which one was before"),
        pytest.param(dataclasses.replace(alarmed(), stable=None), id="nothing is stable"),
        pytest.param(dataclasses.replace(alarmed(), policy=Blocked(Reason.POLICY_NOT_FOUND, "")), id="no policy"),
        pytest.param(make_situation(promoted()), id="no watch"),
        pytest.param(
            alarmed(
                promoted(),
                promoted(CANDIDATE, source=STABLE),
                make_release(
                    STABLE, source=CANDIDATE, status={"outcome": "RolledBack"}, rollback=True, alarm="errors: …"
                ),
            ),
            id="it was tried",
        ),
    ],
)
def test_nobody_goes_back(situation: Situation) -> None:
    assert rollbacks.after_alarm(situation) is None
