"""What the watch over a stable version has seen: a part of a ModelDeployment's status."""

from typing import Annotated

from pydantic import Field

from sluice_core.api.base import Time
from sluice_judge.schema.model import ApiModel, no_items


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
    """How many of these were bad."""
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


class BinShares(ApiModel):
    """One bin of a feature."""

    name: Annotated[str, Field(max_length=64)]
    reference: str
    """Its share in the reference."""
    now: str
    """Its share of what was counted in about the last hour."""


class MovedFeature(ApiModel):
    """A feature of requests, or of answers, that is not as in the reference."""

    name: Annotated[str, Field(max_length=64)]
    """Of an answer after the word answer; of an objective its name."""
    since: Time
    """When it probably began to move."""
    index: str
    """The population stability index of about the last hour. It is a figure for readers, and not what decided."""
    rows: int
    """Counted in about the last hour."""
    bins: Annotated[list[BinShares], Field(max_length=32)] = Field(default_factory=no_items)


class DriftStatus(ApiModel):
    """How requests and answers are, against the reference of the observer, or what the version has shown on its first day."""

    features: int = 0
    """How many signals are watched; each objective is one, and so are the answers."""
    learns: bool = False
    """Whether it is not known yet how much they vary by themselves, as in the first half hour."""
    noticed: Time | None = None
    """When there was enough evidence that they have moved; absent while they have not."""
    moved: Annotated[list[MovedFeature], Field(max_length=6)] = Field(default_factory=no_items)
    """Those that have, in the order in which they were noticed."""
    more: int = 0
    """How many other features have moved."""
    unseen: str = ""
    """What cannot be seen of it now, and why; or empty."""
    awaited: str = ""
    """What is not compared yet, as the version's first day is going to be the reference; or empty."""


class WatchStatus(ApiModel):
    """What the watch over the stable version has seen; written when something happens, and once an hour."""

    revision: str
    """The version that is watched."""
    time: Time | None = None
    """Up to when it has been looked at."""
    objectives: Annotated[list[WatchedStatus], Field(max_length=4)] = Field(default_factory=no_items)
    alarm: WatchAlarm | None = None
    """While the version is worse than it has been."""
    unseen: str = ""
    """Why nothing can be seen now, or empty."""
    drift: DriftStatus | None = None
    """Where counters by bins are watched, such as those of the requests' features."""
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """What the operator goes on with after a restart; a private format."""
