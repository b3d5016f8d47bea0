"""What the watch over a stable version has seen: a part of a ModelDeployment's status."""

from typing import Annotated

from pydantic import Field

from sluice.api.base import ApiModel, Time


class WatchedStatus(ApiModel):
    """One objective that is watched."""

    name: str
    """The objective."""
    limit: str | None = None
    """The share of its events that the version is held to now; absent while there is nothing to compare with."""


class WatchAlarm(ApiModel):
    """The version is worse than it has been."""

    objective: str
    """The objective that says so."""
    since: Time
    """When it probably began."""
    noticed: Time
    """When there was enough evidence."""
    requests: int
    """Counted since then."""
    events: int
    """So many of these were bad."""
    event: str
    """In what way: `failed`, or slower than so many milliseconds."""
    share: str
    """That share."""
    low: str
    """The lower end of its 95 % interval."""
    high: str
    """The upper end."""
    usual: str
    """What the version was held to when it began."""


class WatchStatus(ApiModel):
    """What the watch over the stable version has seen; written when something happens, and once an hour."""

    revision: str
    """The version that is watched."""
    time: Time | None = None
    """Up to when it has been looked at."""
    objectives: Annotated[list[WatchedStatus], Field(max_length=4)] = Field(default_factory=list)
    alarm: WatchAlarm | None = None
    """While the version is worse than it has been."""
    unseen: str = ""
    """Why nothing can be seen now, or empty."""
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """What the operator goes on with after a restart; a private format."""
