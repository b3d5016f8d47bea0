"""What is simulated: a service with its troubles, its gateway and pods, and a release of a version."""

import dataclasses
import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from sluice_judge.schema.objectives import Objective, Source
from tests.benchmarks.judge import troubles
from tests.benchmarks.judge.troubles import Trouble

Seconds = npt.NDArray[np.float64]
HOUR: Final = 3600
BOUNDARIES: Final = (10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
SLOW_MILLIS: Final = 50.0
"""An event of a latency objective is an answer slower than this, where no queue makes them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Incident:
    """A time in which more requests fail."""

    begin: float
    """Seconds since the first weight."""
    lasts: float = math.inf
    share: float = 1.0
    """The least share of requests that fail, 0..1."""
    in_bake: bool = False
    """Whether `begin` counts from the beginning of the bake."""
    stable: bool = True
    """Whether the stable version's requests fail, too."""
    again_every: float = math.inf
    """Seconds from one beginning to the next."""

    def active(self, seconds: Seconds) -> npt.NDArray[np.bool_]:
        """seconds: since the first weight, or the bake."""
        since = seconds - self.begin
        if self.again_every < math.inf:
            since = np.where(since >= 0, since % self.again_every, since)
        return (since >= 0) & (since < self.lasts)


@dataclasses.dataclass(frozen=True, slots=True)
class Queue:
    """Pods with a queue each (M/M/1): the share of slow answers depends on the requests of a pod."""

    service_millis: float = 50.0
    """Mean time that an answer takes a pod."""
    busy: float = 0.4
    """The share of time, 0..1, in which the stable version's pods work while they get all requests."""
    pooled: bool = False
    """Whether a version's pods share one queue (M/M/c), so that more of them answer sooner at the same load."""

    def slower(self, millis: float, requests_per_second: float, pods: int = 1) -> float:
        """The share of answers that take longer, at this many requests of a pod. An overloaded pod is nearly
        saturated: the loop has no memory of a queue."""
        capacity, servers = 1000 / self.service_millis, pods if self.pooled else 1
        load, seconds = servers * min(requests_per_second, 0.99 * capacity), millis / 1000
        spare = servers * capacity - load
        waits, at_once = _waiting(servers, load / capacity), math.exp(-capacity * seconds)
        if math.isclose(spare, capacity):
            return at_once * (1 + waits * capacity * seconds)
        both = (spare * at_once - capacity * math.exp(-spare * seconds)) / (spare - capacity)
        return (1 - waits) * at_once + waits * both


def _waiting(servers: int, offered: float) -> float:
    """The chance that a request finds all servers busy (Erlang's C). offered: load in servers."""
    blocked = 1.0
    for server in range(1, servers + 1):  # Erlang's B, one server after the other
        blocked = offered * blocked / (server + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


@dataclasses.dataclass(frozen=True, slots=True)
class Hang:
    """How late an event is seen: a time-out, or a slow failure."""

    seconds: float
    """After its request, unless the route's limit is shorter."""
    stable: bool = True
    """Whether the stable version's events are as late."""


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """A service and a release. Rates are a share of requests, 0..1."""

    trouble: Trouble = troubles.plain
    """The share of events of either version, if they are equal."""
    objectives: tuple[Objective, ...] = ()
    factor: float = 1.0
    """The candidate's events, as a multiple of an equal version's."""
    doubles_every: float = math.inf
    """Seconds in which the candidate's share of events doubles, from the first weight on."""
    worse_from: Incident | None = None
    """Where `factor` and `doubles_every` apply; None: all along."""
    incidents: tuple[Incident, ...] = ()
    requests_per_second: float = 50.0
    growth: Callable[[Seconds], Seconds] | None = None
    """The rate of requests as a multiple, by seconds since the first weight."""
    scrape_seconds: int = 5
    hang: Hang | None = None
    limit_seconds: float = 30.0
    """The route's time-out; infinite: none."""
    gauge: bool = True
    """Whether the gateway reports requests in flight."""
    answer_seconds: float = 0.1
    """How long a good answer takes; whole seconds, if it is one or more."""
    replicas: int = 0
    """The stable version's pods; 0: unknown, and nothing depends on pods."""
    loading_seconds: float = 0.0
    """How long a new pod loads."""
    new_pod_seconds: float = 60.0
    queue: Queue | None = None
    """Makes the events of a latency objective; None: `trouble` does."""
    slowdown: float = 1.0
    """How many times as long the candidate's pods take for an answer, with `queue`."""
    slow: tuple[float, float] | None = None
    """The shares of the stable version's and the candidate's answers that take longer than `SLOW_MILLIS`, where failed
    requests are the events; None: they are not measured, or `queue` or `trouble` says it."""
    wrong: tuple[float, float] = (0.0, 0.0)
    """The shares of the stable version's and the candidate's answers that users say are wrong, for a Query."""
    baseline: bool = False
    """Whether the stable version gets fresh pods beside the candidate's (`RolloutPolicy.spec.baseline`)."""
    weights: tuple[int, ...] = (5, 25, 50)
    """Percent."""
    auto: bool = False
    """Whether the shares are chosen by what is at risk, in place of `weights`."""
    minimum_seconds: int = 0
    """Of each step."""
    bake_seconds: int = 600
    deadline_seconds: int = 6 * HOUR
    stops_at_bake: bool = False
    history_seconds: int = 86_400
    alpha: float = 0.01
    beta: float = 0.05
    requests_at_risk: int = 60
    asks: bool = True

    @property
    def judges_latency(self) -> bool:
        """Whether events are slow answers, not failed ones."""
        return self.slow is None and any(objective.latency is not None for objective in self.objectives)

    def worse(self, shares: Seconds, seconds: Seconds) -> Seconds:
        """The candidate's chance of an event, where it is worse. shares: of an equal version; seconds: since the first
        weight."""
        return np.minimum(1.0, shares * self.factor * np.exp2(seconds / self.doubles_every))

    @property
    def boundaries(self) -> tuple[float, ...]:
        """Of the gateway's histogram, milliseconds."""
        if self.queue is not None:
            return BOUNDARIES
        return (SLOW_MILLIS,) if self.judges_latency or self.slow is not None else ()

    @property
    def queries(self) -> tuple[str, ...]:
        """Names of the objectives that count wrong answers."""
        found = (objective for objective in self.objectives if objective.failure_ratio is not None)
        return tuple(one.name for one in found if one.failure_ratio.source is Source.QUERY)


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How a release ended. Seconds since the first weight; infinite: never."""

    rolled_back: float = math.inf
    in_bake: bool = False
    why: str = ""
    steps: tuple[float, ...] = ()
    """When each step was proven."""
    baking: float = math.inf
    """When the bake began."""
    promoted: float = math.inf
    planned: float = math.inf
    """Seconds until 100 %, as the forecast before the first weight says; infinite: no proof is possible."""
    probes: int = 0
    mismatches: int = 0
    """Looks that found the requests split otherwise than the route says."""
    requests: int = 0
    """The candidate's."""
    failed: int = 0
    """Events of the candidate's requests."""
    failed_over: float = 0.0
    """Of these, those above what the stable version would have had."""
