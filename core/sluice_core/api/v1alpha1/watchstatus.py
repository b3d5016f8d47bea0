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
    """Requests counted since then."""
    events: int
    """How many of these were bad."""
    event: str
    """How they were bad: `failed`, or slower than so many milliseconds."""
    share: str
    """The share of bad requests."""
    low: str
    """The lower end of the share's 95 % interval."""
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
    """A feature of requests, or of answers, that differs from the reference."""

    name: Annotated[str, Field(max_length=64)]
    """The feature's name: an answer's follows the word answer; an objective's is the name of the objective."""
    since: Time
    """When it probably began to move."""
    index: str
    """The population stability index of about the last hour. It is a figure for readers, and not what decided."""
    rows: int
    """Rows counted in about the last hour."""
    bins: Annotated[list[BinShares], Field(max_length=32)] = Field(default_factory=no_items)


class DriftStatus(ApiModel):
    """How requests and answers compare with the observer's reference, or with the version's first day."""

    features: int = 0
    """How many signals are watched; each objective is one, and so are the answers."""
    learns: bool = False
    """Whether it is not known yet how much they vary by themselves, as in the first half hour."""
    noticed: Time | None = None
    """When there was enough evidence that they have moved; absent while they have not."""
    moved: Annotated[list[MovedFeature], Field(max_length=6)] = Field(default_factory=no_items)
    """The features that have moved, in the order in which they were noticed."""
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
    """The time up to which it has been looked at."""
    objectives: Annotated[list[WatchedStatus], Field(max_length=4)] = Field(default_factory=no_items)
    alarm: WatchAlarm | None = None
    """The alarm, while the version is worse than it has been."""
    unseen: str = ""
    """Why nothing can be seen now, or empty."""
    drift: DriftStatus | None = None
    """Where counters by bins are watched, such as those of the requests' features."""
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """What the operator goes on with after a restart; a private format."""
