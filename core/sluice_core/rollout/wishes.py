"""A person's wish about a running release: done at once, refused, ignored, or left for its gate.

What is the same in every release is here; what a wish comes to among steps is in `stepping`, among arms in `abtest`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from sluice_core.api.v1alpha1.intent import Action, Intent, ObservedIntent
from sluice_core.kernel import commands
from sluice_core.rollout.moment import Release

R = TypeVar("R", bound=Release)


@dataclass(frozen=True, slots=True)
class Handled:
    """What becomes of a wish."""

    result: str
    """What the person is told."""
    change: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What is done at once: fields of the status."""
    for_gate: bool = False
    """Whether a gate decides what follows."""


def answered(release: R, own: Callable[[R, Intent], Handled]) -> R:
    """The release after its wish; only one that is left for its gate is still to be seen. own: what is not for all."""
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
