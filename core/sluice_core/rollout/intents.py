"""The requests of a person or the spec, and the result of a person's intent for a running release: done at once,
refused, ignored, or left for its gate.

This module has what all releases share; intents for steps are in `stepping`, for arms in `abtest`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from sluice_core.api.v1alpha1.intent import Action, Intent, ObservedIntent
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel import commands
from sluice_core.rollout.moment import Release
from sluice_core.situation.record import promoted_revision
from sluice_core.situation.situation import Blocked, Situation
from sluice_judge import timestamps

R = TypeVar("R", bound=Release)


@dataclass(frozen=True, slots=True)
class Handled:
    """The result of an intent."""

    result: str
    """The answer to the person."""
    change: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """The immediate changes: fields of the status."""
    for_gate: bool = False
    """Whether a gate decides what follows."""


def pending(rollout: ModelRollout) -> Intent | None:
    """The intent of a person that has not been handled."""
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is None or (observed is not None and observed.request_time == intent.request_time):
        return None
    return intent


def is_overtaken(situation: Situation, rollout: ModelRollout) -> bool:
    """Whether a person's intent to roll back is older than the user's request for another version: the newest one
    counts.
    """
    intent, requested, asked = pending(rollout), situation.requested, situation.snapshot.asked_time
    if intent is None or intent.action is not Action.ROLL_BACK or isinstance(requested, Blocked) or asked is None:
        return False
    another = requested.input_hash != asked_for(rollout) and requested.name != intent.to_revision
    return another and requested != situation.stable and asked > timestamps.seconds(intent.request_time)


def asked_for(rollout: ModelRollout) -> str:
    """Hash of what the ModelDeployment requested when the release began."""
    return rollout.spec.requested_input_hash or rollout.spec.target.input_hash


def is_diverted(rollout: ModelRollout) -> bool:
    """Whether it promoted a version other than the spec's: a person, the watch or an A/B test decided so."""
    promoted = promoted_revision(rollout)
    hashes = (end.input_hash for end in rollout.spec.ends if end.revision == promoted)
    return rollout.status.outcome is Outcome.PROMOTED and asked_for(rollout) != next(hashes, None)


def answered(release: R, own: Callable[[R, Intent], Handled]) -> R:
    """The release after its intent; only one left for its gate remains pending. own: handles what is not common to all."""
    intent = release.intent
    if intent is None:
        return release
    answer = _for_all(release, intent) or own(release, intent)
    observed = ObservedIntent(request_time=intent.request_time, result=answer.result)
    status = release.rollout.status.model_copy(update={**answer.change, "observed_intent": observed})
    return replace(release.with_status(status), intent=intent if answer.for_gate else None)


def _for_all(release: Release, intent: Intent) -> Handled | None:
    source = release.rollout.spec.source
    match intent.action:
        case Action.PAUSE:
            return Handled("paused", {"paused": True})
        case Action.RESUME if release.rollout.status.paused:
            return Handled("resumed", {"paused": False})
        case Action.RESUME | Action.RETRY:
            return None
        case _ if source is None:
            return Handled(
                "ignored: the first version has no older one to go back to, and serves as soon as it is ready"
            )
        case Action.ROLL_BACK if intent.to_revision not in (None, source.revision):
            return Handled(
                f"refused: there is no revision {intent.to_revision}; {commands.for_release(release.rollout, 'history')} "
                "lists the revisions"
            )
        case Action.PROMOTE if release.frozen is not None:
            return Handled(f"refused: {release.frozen.message}")
    return None
