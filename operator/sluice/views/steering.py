"""Which wishes of a person make sense now."""

from sluice.api.v1alpha1.modelrollout import Action, ModelRollout, Outcome

RETRYABLE = (Outcome.ROLLED_BACK, Outcome.ABORTED)


def refusal(action: Action, rollout: ModelRollout | None) -> str:
    """Why the newest release cannot take this wish, with what to do instead; empty when it can."""
    if rollout is None:
        return "there has been no release yet; kubectl sluice status shows what the operator waits for"
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is not None and (observed is None or observed.request_time != intent.request_time):
        return (
            f"{intent.requested_by} asked for {intent.action} at {intent.request_time}, and the operator has not "
            "handled it yet; wait a few seconds, and check that the operator runs"
        )
    if action is Action.RETRY:
        return _retry_refusal(rollout)
    return _running_refusal(action, rollout)


def _retry_refusal(rollout: ModelRollout) -> str:
    outcome = rollout.status.outcome
    if outcome is None:
        return f"{rollout.metadata.name} is still running; abort it first, or wait for its end"
    if outcome not in RETRYABLE:
        return f"{rollout.metadata.name} ended {outcome}; only a release that was rolled back or aborted can be retried"
    return ""


def _running_refusal(action: Action, rollout: ModelRollout) -> str:
    name, outcome = rollout.metadata.name, rollout.status.outcome
    if outcome is not None:
        instead = "; to try it again: kubectl sluice retry " + rollout.spec.model_deployment
        return f"no release is running: {name} ended {outcome}" + (instead if outcome in RETRYABLE else "")
    if rollout.spec.source is None and action in (Action.PROMOTE, Action.ABORT):
        return (
            f"{name} is the first version: it serves as soon as it is ready, and there is no older version to go "
            "back to; delete the ModelDeployment to take it away"
        )
    if action is Action.PAUSE and rollout.status.paused:
        return f"{name} is paused already"
    if action is Action.RESUME and not rollout.status.paused:
        return f"{name} is not paused"
    return ""
