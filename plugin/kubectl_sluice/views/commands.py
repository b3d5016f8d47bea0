"""Commands to copy: a person's next action, filled in and quoted for a shell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.views.releases import steering
from kubectl_sluice.views.releases.revisions import KnownRevision
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import commands

DOES: Final = {
    Action.PAUSE: "Stay at this step",
    Action.RESUME: "Go on",
    Action.SKIP_STEP: "Go to the next step without proof",
    Action.PROMOTE: "Give it everything, or end the bake now",
    Action.ABORT: "Stop it: all requests back to the stable version",
    Action.RETRY: "Try the version again",
    Action.ROLL_BACK: "Go back to a version that served before",
}


@dataclass(frozen=True, slots=True)
class ActionLine:
    """An intent that a person may request."""

    action: str
    does: str
    command: str
    refused: str
    """Why it is not possible now, or empty."""


def actions(
    model: str, namespace: str, newest: ModelRollout | None, kept: Sequence[KnownRevision], *, before: str | None
) -> tuple[ActionLine, ...]:
    """All intents, with the reasons why some make no sense now. kept: the revisions that can serve; before: the
    previous stable one."""
    running = newest is not None and newest.status.outcome is None
    lines = []
    for action, does in DOES.items():
        refused = steering.refusal(action, newest)
        if not refused and action is Action.ROLL_BACK:
            refused = steering.rollback_refusal(None, kept, before=before, running=running)
        line = commands.sluice(steering.COMMANDS[action], model, namespace=namespace)
        lines.append(ActionLine(str(action), does, line, refused))
    return tuple(lines)
