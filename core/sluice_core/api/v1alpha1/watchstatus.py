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
    """The share of bad events that the version may have now; absent while there is nothing to compare with."""


class WatchAlarm(ApiModel):
    """The version is worse than it has been."""

    objective: str
    """The objective that raised it."""
    since: Time
    """When it probably began."""
    noticed: Time
    """When there was enough evidence."""
    requests: int
    """Requests counted since then."""
    events: int
    """How many of these were bad."""
    event: str
    """What a bad event is: `failed`, or slower than a number of milliseconds."""
    share: str
    """The share of bad requests."""
    low: str
    """The lower end of the share's 95 % interval."""
    high: str
    """The upper end."""
    usual: str
    """The limit for the version when it began."""


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
    """The name of the feature: an answer's begins with the word answer; an objective's is the name of the objective."""
    since: Time
    """When it probably began to move."""
    index: str
    """The population stability index of about the last hour. It is for readers and does not decide."""
    rows: int
    """Rows counted in about the last hour."""
    bins: Annotated[list[BinShares], Field(max_length=32)] = Field(default_factory=no_items)


class DriftStatus(ApiModel):
    """How requests and answers compare with the observer's reference, or with the version's first day."""

    features: int = 0
    """The number of watched signals; each objective is one, and so are the answers."""
    learns: bool = False
    """Whether their natural variation is still unknown, as in the first half hour."""
    noticed: Time | None = None
    """When there was enough evidence that they have moved; absent before."""
    moved: Annotated[list[MovedFeature], Field(max_length=6)] = Field(default_factory=no_items)
    """The features that have moved, in the order in which they were noticed."""
    more: int = 0
    """How many other features have moved."""
    unseen: str = ""
    """What cannot be observed now, and why; or empty."""
    awaited: str = ""
    """What is not compared yet, because the version's first day will be the reference; or empty."""


class WatchStatus(ApiModel):
    """What the watch over the stable version has seen; written when something happens, and once an hour."""

    revision: str
    """The version that is watched."""
    time: Time | None = None
    """The time up to which it has been judged."""
    objectives: Annotated[list[WatchedStatus], Field(max_length=4)] = Field(default_factory=no_items)
    alarm: WatchAlarm | None = None
    """The alarm, while the version is worse than it has been."""
    unseen: str = ""
    """Why nothing can be observed now, or empty."""
    drift: DriftStatus | None = None
    """Present if counters by bins are watched, such as those of the requests' features."""
    state: Annotated[str, Field(max_length=32_768)] | None = None
    """The operator's state for the time after a restart; a private format."""
