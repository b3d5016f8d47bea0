"""Which intents of a person make sense now."""

from collections.abc import Sequence
from typing import Final

from kubectl_sluice.views.releases.revisions import KnownRevision
from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel import commands
from sluice_core.rollout import steps, validation

RETRYABLE: Final = (Outcome.ROLLED_BACK, Outcome.ABORTED)
COMMANDS: Final = {
    Action.PROMOTE: "promote",
    Action.SKIP_STEP: "skip",
    Action.ABORT: "abort",
    Action.PAUSE: "pause",
    Action.RESUME: "resume",
    Action.RETRY: "retry",
    Action.ROLL_BACK: "rollback",
}
"""The command for each."""
NEEDS_ANOTHER: Final = (Action.PROMOTE, Action.SKIP_STEP, Action.ABORT, Action.ROLL_BACK)
"""Actions that make no sense for the first version, which replaces no other."""


def refusal(action: Action, rollout: ModelRollout | None) -> str:
    """Why the newest release cannot accept this intent, with an alternative; empty when it can."""
    if rollout is None:
        return "there has been no release yet; its status shows what the operator waits for"
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is not None and (observed is None or observed.request_time != intent.request_time):
        return (
            f"{intent.requested_by} asked for {intent.action} at {intent.request_time}, and the operator has not "
            "handled it yet; wait a few seconds, and check that the operator runs"
        )
    if action is Action.RETRY:
        return _retry_refusal(rollout)
    if action is Action.ROLL_BACK and rollout.status.outcome is not None:
        return ""
    return _running_refusal(action, rollout)


def rollback_refusal(to: str | None, known: Sequence[KnownRevision], *, before: str | None, running: bool) -> str:
    """Why a rollback to a revision is impossible, with the possible ones; empty when it is possible.

    to: the wanted one, None for the previous stable one. before: the latter, where known.
    """
    others = ", ".join(each.words for each in known if not each.serves) or "none"
    if to is None:
        possible = running or before in {each.name for each in known}
        return "" if possible else f"it is unknown which version served before; name one with --to: {others}"
    found = next((each for each in known if each.name == to), None)
    if found is None:
        return f"there is no revision {to!r}; known, newest first: {others}"
    if found.serves and not running:
        return f"{to} already serves; others, newest first: {others}"
    return ""


def _retry_refusal(rollout: ModelRollout) -> str:
    outcome = rollout.status.outcome
    if outcome is None and rollout.status.reason in validation.STUCK:
        return ""
    if outcome is None:
        return f"{rollout.metadata.name} is still running; abort it first, or wait until it ends"
    if outcome in RETRYABLE and rollout.status.withdrawn:
        target = rollout.spec.target
        return (
            f"the model no longer asks for {target.revision}; to release it again, set spec.model to "
            f"{sources.shown(target.uri)}"
        )
    if outcome not in RETRYABLE:
        return (
            f"{rollout.metadata.name} ended {outcome}; only a release that was rolled back or aborted can be retried"
            + _forth(rollout)
        )
    return ""


def _forth(rollout: ModelRollout) -> str:
    """After a person's rollback: the command that returns to the version before it."""
    if not rollout.spec.rollback or rollout.spec.source is None:
        return ""
    forth = commands.for_release(rollout, "rollback", "--to", rollout.spec.source.revision)
    return f", and this one went back to {rollout.spec.target.revision}; to go to {rollout.spec.source.revision} again: {forth}"


def _running_refusal(action: Action, rollout: ModelRollout) -> str:
    name, status = rollout.metadata.name, rollout.status
    if status.outcome is not None:
        instead = f"; to retry it: {commands.for_release(rollout, 'retry')}"
        return f"no release is running: {name} ended {status.outcome}" + (
            instead if status.outcome in RETRYABLE else ""
        )
    if rollout.spec.source is None and action in NEEDS_ANOTHER:
        return (
            f"{name} is the first version: it serves as soon as it is ready, and there is no older version to go "
            "back to; to remove it, delete the ModelDeployment"
        )
    if action is Action.SKIP_STEP and status.permille >= steps.WHOLE:
        return f"{name} already has all the traffic; to end the bake: {commands.for_release(rollout, 'promote')}"
    if action is Action.PAUSE and status.paused:
        return f"{name} is already paused"
    if action is Action.RESUME and not status.paused and not _waits_for_person(rollout):
        return f"{name} is not paused"
    return ""


def _waits_for_person(rollout: ModelRollout) -> bool:
    """Whether the current step continues only on a person's word."""
    step = steps.current(rollout)
    return step is not None and step.pause and rollout.status.resumed_step != rollout.status.step
