"""What a person, or the spec, asks for; and what becomes of a person's intent about a running release: done at once,
refused, ignored, or left for its gate.

What is the same in every release is here; what an intent comes to among steps is in `stepping`, among arms in `abtest`.
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
    """What becomes of an intent."""

    result: str
    """What the person is told."""
    change: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What is done at once: fields of the status."""
    for_gate: bool = False
    """Whether a gate decides what follows."""


def pending(rollout: ModelRollout) -> Intent | None:
    """The intent of a person that has not been handled."""
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is None or (observed is not None and observed.request_time == intent.request_time):
        return None
    return intent


def is_overtaken(situation: Situation, rollout: ModelRollout) -> bool:
    """Whether a person's request to roll back is older than the user's for another version: the newest one counts."""
    intent, requested, asked = pending(rollout), situation.requested, situation.snapshot.asked_time
    if intent is None or intent.action is not Action.ROLL_BACK or isinstance(requested, Blocked) or asked is None:
        return False
    another = requested.input_hash != asked_for(rollout) and requested.name != intent.to_revision
    return another and requested != situation.stable and asked > timestamps.seconds(intent.request_time)


def asked_for(rollout: ModelRollout) -> str:
    """Hash of what the ModelDeployment asked for when the release began."""
    return rollout.spec.requested_input_hash or rollout.spec.target.input_hash


def is_diverted(rollout: ModelRollout) -> bool:
    """Whether it promoted something else than the spec named: a person, the watch or an A/B test decided so."""
    promoted = promoted_revision(rollout)
    hashes = (end.input_hash for end in rollout.spec.ends if end.revision == promoted)
    return rollout.status.outcome is Outcome.PROMOTED and asked_for(rollout) != next(hashes, None)


def answered(release: R, own: Callable[[R, Intent], Handled]) -> R:
    """The release after its intent; only one that is left for its gate is still to be seen. own: what is not for all."""
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
