"""A person's intent for a rollout, and its result."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sluice_core.api.base import Time
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel


class Action(StrEnum):
    """What a person may ask of a rollout."""

    PROMOTE = "Promote"
    SKIP_STEP = "SkipStep"
    ABORT = "Abort"
    PAUSE = "Pause"
    RESUME = "Resume"
    RETRY = "Retry"
    ROLL_BACK = "Rollback"


class Intent(ApiModel):
    """What a person asks for; the only part of the spec that changes."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel("!has(self.toRevision) || self.action == 'Rollback'", message="toRevision needs action Rollback"),
    )

    action: Action
    """What to do: Promote, SkipStep, Abort, Pause, Resume, Retry or Rollback."""
    to_revision: Annotated[str, Field(max_length=63)] | None = None
    """With Rollback: the revision to return to; default: the one that served before."""
    requested_by: Annotated[str, Field(max_length=256)]
    """The requesting user; the admission policy compares it with the authenticated user."""
    request_time: Time
    """When it was requested; a repeated intent needs a new time."""
    note: Annotated[str, Field(max_length=512)] | None = None
    """Why, for readers of the history."""


class ObservedIntent(ApiModel):
    """The intent that was handled last."""

    request_time: Time
    result: Annotated[str, Field(max_length=512)]
