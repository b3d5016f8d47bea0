"""What a profile consists of: points of load, each under one setting of the server."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MILLIS_NS: Final = 1e6
PLATEAU: Final = 0.95
"""More clients that gain less than this beyond the rest only wait longer."""


class BatchingMode(StrEnum):
    AS_IS = "as is"
    """The revision's own configuration."""
    OFF = "off"
    ON = "on"
    """Dynamic batching of the server: waiting requests are computed together."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The server's setting in a measurement; None: as in the revision."""

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
    """How a request's time is spent within the server, in ms: means over all requests of a point."""

    queue_millis: float
    """Waiting for a free instance, or for others to be batched with."""
    input_millis: float
    """Preparing the input for the model."""
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
    """A language model's speed at a point."""

    tokens_per_second: float
    """Tokens a second of all answers together."""
    first_p50_millis: float
    """From a request to its first token."""
    first_p95_millis: float
    token_millis: float | None
    """From one token to the next, median over the answers."""
    running: float | None
    """The most requests that the server computed at a time; None where it is not exposed."""
    waiting: float | None
    """The most that waited in it."""
    kv_cache: float | None
    """The peak fill level of its key-value cache, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Point:
    """A constant number of clients, each of which sends its next request upon an answer."""

    setting: Setting
    concurrency: int
    seconds: float
    """The duration of the measurement."""
    requests: int
    """Successful answers in that time."""
    failures: int
    problem: str
    """The last failure's message; empty without one."""
    p50_millis: float
    p95_millis: float
    p99_millis: float
    mean_millis: float
    split: LatencySplit | None
    """None where the server reports none."""
    mean_batch: float | None
    """Requests computed together, by execution."""
    largest_batch: int | None
    server_cores: float | None
    """Processors that the server kept busy; None where this is not visible."""
    generator_cores: float
    """Processors used by the load itself."""
    node_busy_cores: float | None = None
    """Busy processors of the whole node."""
    text: TextFigures | None = None
    """None where the answers are not streams."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def pace(self) -> float:
        """The useful output: tokens a second for texts, otherwise requests a second."""
        return self.rate if self.text is None else self.text.tokens_per_second

    @property
    def pace_words(self) -> str:
        return f"{figure(self.pace)} {'requests' if self.text is None else 'tokens'}/s"

    @property
    def outside_millis(self) -> float | None:
        """Mean time outside queue and model: connection, HTTP, reading and writing the bodies."""
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
    """All results of one run."""

    server: str
    """Its name and version; empty where it reports none."""
    cores: float
    """Its processors: its limit, or those of its node."""
    node_cores: float
    limited: bool
    """Whether it has a limit of its own."""
    body_bytes: int
    made_up: bool
    """Whether the request was made from the model's metadata."""
    points: tuple[Point, ...]
    skipped: tuple[SkippedSetting, ...] = ()
    again: Point | None = None
    """The first setting again at the end, with the most clients; None where nothing is compared."""
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
    """The fewest clients with (nearly) the server's full throughput: more of them only wait longer."""
    most = max(point.pace for point in points)
    return next(point for point in points if point.pace >= PLATEAU * most)
