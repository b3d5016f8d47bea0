"""Which release should be running at all, as tables: what begins, what is superseded, tried again and gone back to."""

from dataclasses import replace
from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import intents, lifecycle
from sluice_core.rollout.attempts import Attempt, Refusal
from sluice_core.rollout.freeze import Frozen
from sluice_core.situation.situation import Blocked, Situation, UnreadablePolicy
from sluice_judge.judgement import Judgement
from tests.support.cases.builders import NOW, make_revision
from tests.support.cases.moments import CANDIDATE, STABLE, THIRD, at, make_judgement, running
from tests.support.cases.situations import DAY, asking, make_release, make_situation, make_test, promoted
from tests.support.groups import replaced

BLOCKED: Final = Blocked("FormatNotSupported", "no ServingRuntime runs it")
FIRST: Final = promoted()
WINDOW: Final[dict[str, Any]] = {"freeze_windows": [{"name": "sale", "from": at(-60), "until": at(60)}]}
UNREADABLE: Final[dict[str, Any]] = {
    "freeze_windows": [{"name": "night", "startTime": "22:00", "durationMinutes": 60, "timeZone": "Mars/Olympus"}]
}
RUNNING: Final = make_release()


def failed(outcome: str = "RolledBack", *, stepping: str = "Fixed", **status: Any) -> ModelRollout:
    """The release of the second version, which came to nothing."""
    told = {"outcome": outcome, "reason": "WorseThanStable", "message": "errors", "step": 1, **status}
    return make_release(status=told, stepping=stepping, steps=[{"weight": 5}, {"weight": 50}, {"weight": 100}])


def retry(release: ModelRollout) -> ModelRollout:
    return asking(release, Action.RETRY)


def wants_second(*rollouts: ModelRollout, **more: Any) -> Situation:
    return make_situation(*rollouts, requested=CANDIDATE, **more)


ARMS: Final = (CANDIDATE, THIRD)
HASHED: Final[dict[str, Any]] = {"requestedInputHash": STABLE.input_hash}
WON: Final = make_test(outcome="Promoted", winner=CANDIDATE, **HASHED)


def withdrawn(rollout: ModelRollout) -> ModelRollout:
    return rollout.model_copy(update={"status": rollout.status.model_copy(update={"withdrawn": True})})


WENT_BACK: Final = make_release(
    STABLE,
    source=CANDIDATE,
    rollback=True,
    requestedInputHash=CANDIDATE.input_hash,
    status={"outcome": "Promoted"},
)
"""A person went back from the second version, which the spec still names."""


def short(begins: Attempt | Refusal | None) -> Attempt | str | None:
    """A refusal by its reason; its message is for people."""
    return begins.reason if isinstance(begins, Refusal) else begins


@pytest.mark.parametrize(
    ("situation", "want"),
    [
        pytest.param(make_situation(stable=None), Attempt(STABLE, 1), id="the first version"),
        pytest.param(make_situation(stable=None, policy=WINDOW), Attempt(STABLE, 1), id="which no window holds"),
        pytest.param(make_situation(FIRST), None, id="what is asked for serves"),
        pytest.param(make_situation(FIRST, requested=BLOCKED), None, id="what is asked for cannot be tried"),
        pytest.param(wants_second(FIRST), Attempt(CANDIDATE, 1), id="another version"),
        pytest.param(wants_second(FIRST, RUNNING), None, id="it is being released"),
        pytest.param(wants_second(FIRST, policy=WINDOW), "Frozen", id="in a window"),
        pytest.param(wants_second(FIRST, policy=UNREADABLE), "PolicyInvalid", id="in a window that nobody understands"),
        pytest.param(wants_second(FIRST, failed()), "RolledBack", id="it failed"),
        pytest.param(wants_second(FIRST, failed("Aborted")), "Aborted", id="a person ended it"),
        pytest.param(make_situation(FIRST, failed(), requested=THIRD), Attempt(THIRD, 1), id="it failed: the next one"),
        pytest.param(
            wants_second(FIRST, failed(withdrawn=True)), Attempt(CANDIDATE, 2), id="it was withdrawn, and comes again"
        ),
        pytest.param(
            wants_second(FIRST, make_release(status={"outcome": "Superseded"})),
            Attempt(CANDIDATE, 2),
            id="it was superseded, and comes again",
        ),
        pytest.param(wants_second(FIRST, retry(failed())), Attempt(CANDIDATE, 2), id="tried again"),
        pytest.param(
            wants_second(FIRST, retry(failed(step=2))),
            Attempt(CANDIDATE, 2, start_step=2),
            id="tried again from the step that failed",
        ),
        pytest.param(
            wants_second(FIRST, retry(failed(step=3, leadPermille=5))),
            Attempt(CANDIDATE, 2, start_step=2),
            id="a lead step is none of the spec's",
        ),
        pytest.param(
            wants_second(FIRST, retry(failed(step=1, leadPermille=5))),
            Attempt(CANDIDATE, 2, start_step=1),
            id="it failed in the lead step",
        ),
        pytest.param(
            wants_second(FIRST, retry(failed(step=3, stepping="Auto", leadPermille=5))),
            Attempt(CANDIDATE, 2, start_step=1),
            id="shares that were chosen by what is at risk are chosen anew",
        ),
        pytest.param(wants_second(FIRST, retry(failed()), policy=WINDOW), "Frozen", id="tried again in a window"),
        pytest.param(wants_second(FIRST, WENT_BACK), "RolledBackByPerson", id="a person went back from it"),
        pytest.param(
            wants_second(FIRST, withdrawn(WENT_BACK)),
            Attempt(CANDIDATE, 1),
            id="a person went back, and it comes again",
        ),
        pytest.param(make_situation(FIRST, WON, stable=CANDIDATE), "WinnerPromoted", id="another version won a test"),
        pytest.param(make_situation(FIRST, stable=None), Attempt(STABLE, 2), id="the stable version is lost: again"),
        pytest.param(
            wants_second(FIRST, WENT_BACK, stable=None),
            "StableVersionLost",
            id="a version that nobody asks for is lost",
        ),
        pytest.param(wants_second(FIRST, stable=None, lost=STABLE), "StableVersionLost", id="a lost version answers"),
        pytest.param(wants_second(stable=None, lost=STABLE), "StableVersionLost", id="of which no release tells"),
        pytest.param(make_situation(FIRST, stable=None, lost=STABLE), Attempt(STABLE, 2), id="and is asked for again"),
        pytest.param(make_situation(FIRST, arms=ARMS), Attempt(STABLE, 2, arms=ARMS), id="an A/B test"),
        pytest.param(make_situation(FIRST, arms=ARMS, policy=WINDOW), "Frozen", id="an A/B test in a window"),
        pytest.param(make_situation(FIRST, arms=(BLOCKED,)), None, id="arms that cannot be tried"),
        pytest.param(make_situation(FIRST, arms=(STABLE, THIRD)), None, id="an arm that is the stable version"),
        pytest.param(make_situation(FIRST, make_test(outcome="Inconclusive"), arms=ARMS), None, id="made already"),
        pytest.param(
            make_situation(FIRST, make_test(outcome="Superseded"), arms=ARMS),
            Attempt(STABLE, 2, arms=ARMS),
            id="it was superseded before its end",
        ),
        pytest.param(
            make_situation(FIRST, retry(make_test(outcome="Inconclusive")), arms=ARMS),
            Attempt(STABLE, 2, arms=ARMS),
            id="made already, and wanted again",
        ),
        pytest.param(
            make_situation(FIRST, make_test(outcome="Inconclusive"), arms=(THIRD,)),
            Attempt(STABLE, 2, arms=(THIRD,)),
            id="other arms",
        ),
    ],
)
def test_what_begins(situation: Situation, want: Attempt | str | None) -> None:
    assert short(lifecycle.next_attempt(situation)) == want


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (wants_second(FIRST, failed()), "WorseThanStable: errors); change spec.model, or retry with"),
        (wants_second(FIRST, WENT_BACK), f"set it to {STABLE.uri}"),
        (make_situation(FIRST, WON, stable=CANDIDATE), f"set spec.model to {CANDIDATE.uri}"),
        (make_situation(FIRST, WON, stable=CANDIDATE, revisions=()), f"set spec.model to {CANDIDATE.uri}"),
        (wants_second(FIRST, stable=None, lost=STABLE, revisions=()), f"set spec.model back to {STABLE.uri}"),
        (wants_second(stable=None, lost=STABLE, revisions=()), f"set spec.model back to the model of {STABLE.name}"),
        (wants_second(FIRST, WENT_BACK, stable=None), "restore it from a backup"),
    ],
)
def test_a_refusal_says_what_to_do(situation: Situation, words: str) -> None:
    refusal = lifecycle.next_attempt(situation)
    assert isinstance(refusal, Refusal)
    assert words in refusal.message


def back(release: ModelRollout, to: str | None = None) -> ModelRollout:
    return asking(release, Action.ROLL_BACK, to_revision=to)


SECOND: Final = promoted(CANDIDATE, source=STABLE)
THIRD_SERVES: Final = promoted(THIRD, source=CANDIDATE)


@pytest.mark.parametrize(
    ("situation", "want"),
    [
        pytest.param(make_situation(), None, id="nothing was ever released"),
        pytest.param(make_situation(FIRST, SECOND, stable=CANDIDATE), None, id="nobody asks"),
        pytest.param(
            make_situation(FIRST, back(SECOND), stable=CANDIDATE),
            Attempt(STABLE, 2, rollback=True, analysed=False),
            id="to the one before",
        ),
        pytest.param(
            make_situation(FIRST, back(promoted(CANDIDATE, source=STABLE, endTime=at(-8 * DAY))), stable=CANDIDATE),
            Attempt(STABLE, 2, rollback=True, analysed=True),
            id="to one that served long ago",
        ),
        pytest.param(
            make_situation(FIRST, SECOND, back(THIRD_SERVES, STABLE.name), stable=THIRD),
            Attempt(STABLE, 2, rollback=True, analysed=False),
            id="to an older one by name",
        ),
        pytest.param(
            make_situation(FIRST, SECOND, back(THIRD_SERVES, "digits-gone"), stable=THIRD), None, id="to none that is"
        ),
        pytest.param(make_situation(back(FIRST)), None, id="there is none before the first"),
        pytest.param(
            make_situation(FIRST, back(SECOND, CANDIDATE.name), stable=CANDIDATE), None, id="to the one that serves"
        ),
        pytest.param(make_situation(FIRST, back(RUNNING, STABLE.name)), None, id="in a release"),
        pytest.param(
            make_situation(FIRST, back(SECOND), stable=CANDIDATE, policy=WINDOW),
            Attempt(STABLE, 2, rollback=True, analysed=False),
            id="in a window",
        ),
    ],
)
def test_the_rollback(situation: Situation, want: Attempt | None) -> None:
    assert lifecycle.rollback(situation) == want
    assert want is None or lifecycle.next_attempt(situation) == want


TO_THIRD: Final = make_release(THIRD, source=CANDIDATE)


@pytest.mark.parametrize(
    ("situation", "want"),
    [
        pytest.param(make_situation(FIRST, SECOND, stable=CANDIDATE), False, id="no release"),
        pytest.param(make_situation(FIRST, SECOND, TO_THIRD, stable=CANDIDATE), False, id="nobody asks"),
        pytest.param(make_situation(FIRST, SECOND, back(TO_THIRD), stable=CANDIDATE), False, id="an abort is enough"),
        pytest.param(
            make_situation(FIRST, SECOND, back(TO_THIRD, CANDIDATE.name), stable=CANDIDATE), False, id="to its source"
        ),
        pytest.param(
            make_situation(FIRST, SECOND, back(TO_THIRD, STABLE.name), stable=CANDIDATE), True, id="to an older one"
        ),
        pytest.param(
            make_situation(FIRST, SECOND, back(TO_THIRD, "digits-gone"), stable=CANDIDATE), False, id="to none that is"
        ),
        pytest.param(
            make_situation(back(make_release(source=None), STABLE.name), stable=None), False, id="the first version"
        ),
    ],
)
def test_an_older_version_is_asked_for_in_a_release(situation: Situation, want: bool) -> None:
    assert lifecycle.leaves_for_older(situation) is want


def test_a_release_is_left_for_an_older_version_and_the_intent_stays() -> None:
    asked = back(TO_THIRD, STABLE.name)
    status = lifecycle.left_for_older(make_situation(FIRST, SECOND, asked, stable=CANDIDATE), asked)
    assert (status.outcome, status.permille) == (Outcome.ABORTED, 0)
    assert "alice" in status.message
    assert status.observed_intent is None


def baking(ready: int = 4, *, source: Any = STABLE, **spec: Any) -> dict[str, Any]:
    """The second version has all requests, and the third is asked for."""
    release = make_release(source=source, status={"step": 3, "permille": 1000}, **spec)
    return {"rollout": release, "requested": THIRD, "revisions": (STABLE, running(CANDIDATE, ready))}


CALM: Final = make_judgement(bake_log=1.49, baked=True)
SUSPECT: Final = make_judgement(bake_log=1.5, baked=True)
TESTED: Final = make_test(**HASHED)
END: Final = (Outcome.SUPERSEDED, "Superseded", 0)
STAYS: Final = (Outcome.PROMOTED, "SupersededInBake", 1000)


@pytest.mark.parametrize(
    ("arguments", "judgement", "want"),
    [
        pytest.param({"rollout": FIRST, "requested": CANDIDATE}, None, None, id="no release"),
        pytest.param({"rollout": RUNNING, "requested": BLOCKED}, None, None, id="what is asked for cannot be tried"),
        pytest.param({"rollout": RUNNING, "requested": CANDIDATE}, None, None, id="nothing else is asked for"),
        pytest.param({"rollout": RUNNING, "requested": THIRD}, None, END, id="another one"),
        pytest.param({"rollout": RUNNING, "requested": STABLE}, None, END, id="the stable one"),
        pytest.param(baking(), CALM, STAYS, id="in the bake, nothing speaks against it"),
        pytest.param(baking(), SUSPECT, END, id="in the bake, something does"),
        pytest.param(baking(), replaced(CALM, baked=False), END, id="in the bake, too little is seen"),
        pytest.param(baking(), replaced(CALM, blind="away"), END, id="in the bake, nothing is seen any more"),
        pytest.param(baking(), replaced(CALM, refuses="all of it"), END, id="in the bake, it refuses everything"),
        pytest.param(baking(), None, END, id="in the bake, nothing is known"),
        pytest.param(baking(3), CALM, END, id="in the bake, pods are missing"),
        pytest.param(baking(analysed=False), None, STAYS, id="in the bake of one that served before"),
        pytest.param({**baking(), "requested": STABLE}, CALM, END, id="back in the bake"),
        pytest.param(baking(source=None), CALM, END, id="the first version"),
        pytest.param(
            {"rollout": make_release(requestedInputHash="old"), "requested": CANDIDATE},
            None,
            None,
            id="somebody wrote down what a person has chosen",
        ),
        pytest.param({"rollout": TESTED, "arms": ARMS}, None, None, id="a test goes on"),
        pytest.param({"rollout": TESTED, "arms": (THIRD,)}, None, END, id="a test with other arms"),
        pytest.param({"rollout": TESTED}, None, END, id="no test any more"),
        pytest.param({"rollout": TESTED, "arms": ARMS, "requested": CANDIDATE}, None, END, id="an arm is asked for"),
        pytest.param({"rollout": make_test(winner=CANDIDATE, **HASHED)}, None, None, id="the winner's own release"),
    ],
)
def test_what_is_superseded(
    arguments: dict[str, Any], judgement: Judgement | None, want: tuple[Outcome, str, int] | None
) -> None:
    given = dict(arguments)
    ended = lifecycle.superseded(make_situation(FIRST, given.pop("rollout"), **given), judgement)
    assert (ended and (ended.outcome, ended.reason, ended.permille)) == want
    if ended is not None:
        assert ended.end_time == at(0)
        assert ended.timeline[-1].what == ended.reason


@pytest.mark.parametrize(
    ("situation", "want"),
    [
        pytest.param(make_situation(FIRST), None, id="no release"),
        pytest.param(wants_second(FIRST, RUNNING), None, id="it is there"),
        pytest.param(wants_second(FIRST, RUNNING, revisions=(STABLE,)), "RevisionLost", id="it is gone"),
        pytest.param(replace(wants_second(FIRST, RUNNING), stable=None), "StableVersionLost", id="stable is gone"),
        pytest.param(
            replace(wants_second(FIRST, RUNNING), stable=None, lost=STABLE.name), None, id="stable may answer"
        ),
        pytest.param(make_situation(FIRST, TESTED, revisions=()), None, id="an A/B test takes out single arms"),
        pytest.param(
            make_situation(FIRST, make_test(winner=CANDIDATE), revisions=(STABLE,)), "RevisionLost", id="the winner is"
        ),
    ],
)
def test_a_release_whose_version_is_gone_ends(situation: Situation, want: str | None) -> None:
    ended = lifecycle.revision_lost(situation)
    assert (ended and ended.reason) == want
    assert ended is None or ended.outcome is Outcome.SUPERSEDED


def handled(status: ModelRolloutStatus | None) -> str | None:
    return status.observed_intent.result if status is not None and status.observed_intent is not None else None


@pytest.mark.parametrize(
    ("situation", "result"),
    [
        pytest.param(make_situation(), None, id="nothing was ever released"),
        pytest.param(make_situation(FIRST), None, id="nobody asks"),
        pytest.param(make_situation(FIRST, asking(RUNNING, Action.ABORT)), None, id="in a release"),
        pytest.param(
            make_situation(asking(FIRST, Action.PROMOTE)), "ignored: the rollout has ended (Promoted)", id="too late"
        ),
        pytest.param(make_situation(retry(FIRST)), "ignored: the rollout has ended (Promoted)", id="nothing failed"),
        pytest.param(make_situation(retry(FIRST), policy=WINDOW), None, id="a retry waits for the end of a window"),
        pytest.param(
            make_situation(back(FIRST, STABLE.name)), f"ignored: {STABLE.name} serves already", id="it serves already"
        ),
        pytest.param(
            make_situation(back(FIRST)),
            f"refused: there is no revision before this one; known: {CANDIDATE.name}",
            id="none was before",
        ),
        pytest.param(
            make_situation(back(FIRST, "digits-gone"), revisions=(STABLE,)),
            "refused: there is no revision digits-gone; known: none",
            id="no such revision",
        ),
    ],
)
def test_an_intent_after_the_end_is_answered(situation: Situation, result: str | None) -> None:
    assert handled(lifecycle.after_the_end(situation)) == result


@pytest.mark.parametrize(
    ("situation", "want"),
    [
        pytest.param(make_situation(FIRST, failed()), True, id="the stable version is asked for again"),
        pytest.param(wants_second(FIRST, failed()), None, id="what failed is still asked for"),
        pytest.param(make_situation(FIRST, failed(), requested=BLOCKED), None, id="nobody knows what is asked for"),
        pytest.param(make_situation(FIRST, failed(withdrawn=True)), None, id="noted already"),
        pytest.param(make_situation(FIRST, SECOND), None, id="it did not fail"),
        pytest.param(make_situation(FIRST, WENT_BACK), True, id="what a person went back to is asked for"),
        pytest.param(wants_second(FIRST, WENT_BACK), None, id="what a person went back from is still asked for"),
        pytest.param(make_situation(FIRST, withdrawn(WENT_BACK)), None, id="noted already, too"),
    ],
)
def test_a_failed_version_that_is_asked_for_no_more_is_withdrawn(situation: Situation, want: bool | None) -> None:
    status = lifecycle.after_the_end(situation)
    assert (status and status.withdrawn) is want


@pytest.mark.parametrize(
    ("policy", "want"),
    [({}, None), (WINDOW, Frozen), (UNREADABLE, Blocked)],
    ids=["no window", "a window", "a window that nobody understands"],
)
def test_the_window_that_is_open(policy: dict[str, Any], want: type | None) -> None:
    closed = lifecycle.frozen(make_situation(FIRST, policy=policy))
    assert (closed and type(closed)) == want


def test_without_a_policy_no_window_is_open() -> None:
    situation = replace(make_situation(FIRST), policy=Blocked("PolicyNotFound", "create it"))
    assert lifecycle.frozen(situation) is None


def test_windows_that_nobody_can_read_may_be_open() -> None:
    blocked = UnreadablePolicy(Reason.POLICY_INVALID, "correct it")
    situation = replace(make_situation(FIRST), policy=blocked)
    assert lifecycle.frozen(situation) == blocked


@pytest.mark.parametrize(
    ("observed", "want"),
    [(None, Action.PAUSE), (at(0), None), (at(-60), Action.PAUSE)],
    ids=["never handled", "handled", "another one was handled"],
)
def test_an_intent_is_pending_until_it_was_observed(observed: str | None, want: Action | None) -> None:
    told = {"observedIntent": {"requestTime": observed, "result": "paused"}} if observed else {}
    intent = intents.pending(asking(make_release(status=told), Action.PAUSE))
    assert (intent and intent.action) == want


def test_a_retry_is_handled_on_the_old_release_once_the_new_one_has_begun() -> None:
    old = retry(failed())
    assert old.spec.intent is not None
    again = Attempt(CANDIDATE, 2)
    assert handled(lifecycle.followed(old, old.spec.intent, again, NOW)) == "a new attempt has begun"


def test_another_intent_is_left_when_another_version_begins_and_that_is_said() -> None:
    old = asking(failed(), Action.ROLL_BACK)
    assert old.spec.intent is not None
    status = lifecycle.followed(old, old.spec.intent, Attempt(CANDIDATE, 1), NOW)
    assert handled(status) == f"ignored: {CANDIDATE.name} was requested instead"
    assert [(entry.what, entry.why) for entry in status.timeline[-1:]] == [("Rollback", handled(status))]
    back = Attempt(STABLE, 1, rollback=True)
    assert handled(lifecycle.followed(old, old.spec.intent, back, NOW)) == "a new attempt has begun"


def later_than_the_intent(situation: Situation, seconds: float = 1) -> Situation:
    """The spec was changed so many seconds after the intent of the newest release."""
    return replace(situation, snapshot=replace(situation.snapshot, asked_time=NOW + seconds))


BACK = asking(SECOND, Action.ROLL_BACK)


@pytest.mark.parametrize(
    ("situation", "want"),
    [
        pytest.param(
            later_than_the_intent(make_situation(FIRST, BACK, requested=THIRD)), True, id="another one, later"
        ),
        pytest.param(
            later_than_the_intent(make_situation(FIRST, BACK, requested=THIRD), 0), False, id="at the same time"
        ),
        pytest.param(make_situation(FIRST, BACK, requested=THIRD), False, id="nobody knows when"),
        pytest.param(later_than_the_intent(make_situation(FIRST, BACK, requested=CANDIDATE)), False, id="nothing new"),
        pytest.param(
            later_than_the_intent(make_situation(FIRST, BACK, requested=BLOCKED)), False, id="none that can be"
        ),
        pytest.param(
            later_than_the_intent(make_situation(FIRST, asking(SECOND, Action.RETRY), requested=THIRD)),
            False,
            id="no intent to go back",
        ),
    ],
)
def test_an_intent_to_go_back_is_overtaken_by_a_newer_one(situation: Situation, want: bool) -> None:
    latest = situation.latest
    assert latest is not None
    assert intents.is_overtaken(situation, latest) is want


def test_an_overtaken_intent_begins_nothing_and_is_answered() -> None:
    situation = later_than_the_intent(
        make_situation(FIRST, BACK, requested=THIRD, stable=CANDIDATE, revisions=(STABLE, CANDIDATE, THIRD))
    )
    assert lifecycle.rollback(situation) is None
    assert handled(lifecycle.after_the_end(situation)) == "ignored: another version was requested later"


@pytest.mark.parametrize(
    ("action", "result"),
    [(Action.ROLL_BACK, "the release has ended: "), (Action.PROMOTE, "ignored: ")],
)
def test_an_intent_on_what_is_superseded_is_answered_with_its_end(action: Action, result: str) -> None:
    ended = lifecycle.superseded(make_situation(FIRST, asking(RUNNING, action), requested=THIRD), None)
    assert ended is not None
    assert handled(ended) == f"{result}{THIRD.name} was requested instead"
    assert [entry.what for entry in ended.timeline[-2:]] == ["Superseded", str(action)]


def test_no_message_has_the_signature_of_an_address() -> None:
    signed = make_revision(uri="https://store/2/model.onnx?X-Amz-Signature=s3cret", number=2)
    gone_back = make_release(
        STABLE,
        source=signed,
        rollback=True,
        requestedInputHash=signed.input_hash,
        status={"outcome": "Promoted"},
    )
    refusal = lifecycle.next_attempt(make_situation(FIRST, gone_back, requested=signed))
    assert isinstance(refusal, Refusal)
    assert "names https://store/2/model.onnx: set it to s3://models/digits/1" in refusal.message
    lost = make_situation(make_release(signed), requested=THIRD, stable=None, lost=signed)
    assert "spec.model back to https://store/2/model.onnx, which" in lifecycle.lost_stable(lost)
