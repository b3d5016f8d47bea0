"""The terms of batch inference: what a run's objects report, and what its pods are asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from sluice_core.api.v1alpha1.batchinference import BatchOutcome, ShardCounts
from sluice_core.kernel.reasons import AnyReason
from sluice_core.kernel.snapshot import Problem


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard reports at its successful end: rows of all of its splits, including those of an earlier pod."""

    read: int
    written: int
    failed: int
    wrong: int | None = None
    """Answers that differ from the label; None without labels."""


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """The progress of a running shard, in the same rows."""

    shard: int
    splits: int
    splits_done: int
    rows_total: int | None
    """None if the format of the input does not say."""
    read: int
    written: int
    failed: int

    @property
    def fraction(self) -> float:
        """From 0 to 1."""
        done, whole = (self.read, self.rows_total) if self.rows_total else (self.splits_done, self.splits)
        return min(1.0, done / whole) if whole else 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A pod to ask for its progress."""

    pod: str
    url: str


Answers: TypeAlias = Mapping[str, ShardProgress]
"""By pod; one that did not answer is absent, which changes nothing."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    outcome: BatchOutcome
    moment: float
    """Seconds since the epoch."""
    reason: AnyReason | None = None
    """None after success."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run according to the engine's objects."""

    exists: bool = False
    """Whether the object that executes it exists."""
    suspended: bool = False
    """Whether that object is suspended."""
    end: End | None = None
    shards: ShardCounts = field(default_factory=ShardCounts)
    finished: Mapping[int, ShardResult] = field(default_factory=lambda: MappingProxyType({}))
    """Results of finished shards whose pods still exist."""
    asked: tuple[Asked, ...] = ()
    """The running pods, to ask for their progress."""
    problem: Problem | None = None
    """Why a pod does not work."""
    setback: str = ""
    """Why a part of the run had to begin again, with the part; empty if none had to."""
    look_again_seconds: float | None = None
    """When the state changes by the clock alone."""
    alive: bool = False
    """Whether any pod may still write."""
