"""What a profile consists of: points of load, each under one setting of the server."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MILLIS_NS: Final = 1e6
PLATEAU: Final = 0.95
"""More clients at once that bring less than the rest of this only wait longer."""


class BatchingMode(StrEnum):
    AS_IS = "as is"
    """Whatever the revision is configured to do."""
    OFF = "off"
    ON = "on"
    """Dynamic batching of the server: requests that wait are computed together."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How the server is set while it is measured; None: as the revision has it."""

    batching: BatchingMode = BatchingMode.AS_IS
    delay_micros: int = 0
    """How long a request may wait for others to be batched with; only where batching is ON."""
    instances: int | None = None
    """Copies of the model in one server."""
    threads: int | None = None
    """Threads of one inference."""

    @property
    def words(self) -> str:
        """`as it is`, `batching 100us`, `no batching, 2 instances`, `2 threads`."""
        batching = {
            BatchingMode.AS_IS: "",
            BatchingMode.OFF: "no batching",
            BatchingMode.ON: f"batching {delay_words(self.delay_micros)}",
        }
        parts = (
            batching[self.batching],
            "" if self.instances is None else f"{self.instances} instance{'s' * (self.instances != 1)}",
            "" if self.threads is None else f"{self.threads} thread{'s' * (self.threads != 1)}",
        )
        return ", ".join(part for part in parts if part) or "as it is"


AS_IT_SERVES: Final = Setting()


def figure(value: float) -> str:
    """About three digits: `0.12`, `9.88`, `12.3`, `1234`."""
    if value >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def delay_words(micros: int) -> str:
    """`0`, `100us`, `2ms`."""
    if micros and micros % 1000 == 0:
        return f"{micros // 1000}ms"
    return f"{micros}us" if micros else "0"


@dataclass(frozen=True, slots=True)
class LatencySplit:
    """Where a request's time goes within the server, ms, means of all requests of a point."""

    queue_millis: float
    """Waiting for a free instance, or for others to be batched with."""
    input_millis: float
    """Bringing the input to the model."""
    infer_millis: float
    output_millis: float

    @property
    def compute_millis(self) -> float:
        return self.input_millis + self.infer_millis + self.output_millis

    @property
    def total_millis(self) -> float:
        return self.queue_millis + self.compute_millis


@dataclass(frozen=True, slots=True)
class TextFigures:
    """What the answers of a language model say of a point."""

    tokens_per_second: float
    """Tokens a second of all answers together."""
    first_p50_millis: float
    """From a request to its first token."""
    first_p95_millis: float
    token_millis: float | None
    """From one token to the next, median over the answers."""
    running: float | None
    """The most requests that the server computed at a time; None where it does not tell."""
    waiting: float | None
    """The most that waited in it."""
    kv_cache: float | None
    """How full its key-value cache was at most, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Point:
    """A constant number of clients, each of which asks again as soon as it is answered."""

    setting: Setting
    concurrency: int
    seconds: float
    """How long it was measured."""
    requests: int
    """Answered well in that time."""
    failures: int
    problem: str
    """What the last failure said; empty without one."""
    p50_millis: float
    p95_millis: float
    p99_millis: float
    mean_millis: float
    split: LatencySplit | None
    """None where the server tells none."""
    mean_batch: float | None
    """Requests that were computed together, by execution."""
    largest_batch: int | None
    server_cores: float | None
    """Processors that the server kept busy; None where it cannot be seen."""
    generator_cores: float
    """The processors that the load itself took."""
    node_busy_cores: float | None = None
    """The processors of the node that anybody kept busy."""
    text: TextFigures | None = None
    """None where the answers are no streams."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def pace(self) -> float:
        """What comes of the load: tokens a second where there are texts, otherwise requests a second."""
        return self.rate if self.text is None else self.text.tokens_per_second

    @property
    def pace_words(self) -> str:
        return f"{figure(self.pace)} {'requests' if self.text is None else 'tokens'}/s"

    @property
    def outside_millis(self) -> float | None:
        """Mean time outside of queue and model: connection, HTTP, reading and writing the bodies."""
        return max(self.mean_millis - self.split.total_millis, 0.0) if self.split is not None else None


@dataclass(frozen=True, slots=True)
class SkippedSetting:
    """A setting that could not be measured."""

    setting: Setting
    problem: str


@dataclass(frozen=True, slots=True)
class Through:
    """The same request to the pod itself and through the gateway, one at a time; medians."""

    direct_millis: float
    through_millis: float

    @property
    def gateway_millis(self) -> float:
        return max(self.through_millis - self.direct_millis, 0.0)


@dataclass(frozen=True, slots=True)
class Measurements:
    """All that one run has found."""

    server: str
    """Its name and version; empty where it tells none."""
    cores: float
    """Processors that it may use: its limit, or those of its node."""
    node_cores: float
    limited: bool
    """Whether it has a limit of its own."""
    body_bytes: int
    made_up: bool
    """Whether the request was made up from the model's metadata."""
    points: tuple[Point, ...]
    skipped: tuple[SkippedSetting, ...] = ()
    again: Point | None = None
    """The first setting at the end once more, with the most clients; None where nothing is compared."""
    through: Through | None = None
    gateway_problem: str = ""

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings with points, in the order in which they were measured."""
        return tuple(dict.fromkeys(point.setting for point in self.points))

    def of(self, setting: Setting) -> tuple[Point, ...]:
        """A setting's points by rising concurrency."""
        return tuple(sorted((p for p in self.points if p.setting == setting), key=lambda p: p.concurrency))

    @property
    def base(self) -> tuple[Point, ...]:
        """The points of the server as it serves; of the first setting where that was not measured."""
        settings = self.settings
        return self.of(AS_IT_SERVES if AS_IT_SERVES in settings else settings[0]) if settings else ()


def knee(points: tuple[Point, ...]) -> Point:
    """The fewest clients that get (nearly) all that the server can give: more of them only wait longer."""
    most = max(point.pace for point in points)
    return next(point for point in points if point.pace >= PLATEAU * most)
