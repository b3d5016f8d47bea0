"""The words of batch inference: what a run's objects say, and what is asked of its pods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from sluice_core.api.v1alpha1.batchinference import BatchOutcome, ShardCounts
from sluice_core.kernel.reasons import AnyReason
from sluice_core.kernel.snapshot import Problem


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard reports when it has ended well: rows of all of its splits, those that an earlier pod did included."""

    read: int
    written: int
    failed: int
    wrong: int | None = None
    """Answers that are not the label; None where there are no labels."""


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """How far a running shard is, in the same rows."""

    shard: int
    splits: int
    splits_done: int
    rows_total: int | None
    """None where the format of the input does not tell."""
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
    """A pod whose progress is asked for."""

    pod: str
    url: str


Answers: TypeAlias = Mapping[str, ShardProgress]
"""By pod; one that did not answer is absent, and that is no news."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended."""

    outcome: BatchOutcome
    moment: float
    """Seconds since the epoch."""
    reason: AnyReason | None = None
    """None where it ended well."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunState:
    """What the engine's objects say of a run."""

    exists: bool = False
    """Whether the object that runs it is there."""
    suspended: bool = False
    """Whether that object is."""
    end: End | None = None
    shards: ShardCounts = field(default_factory=ShardCounts)
    finished: Mapping[int, ShardResult] = field(default_factory=lambda: MappingProxyType({}))
    """What finished shards reported, as far as their pods are still there."""
    asked: tuple[Asked, ...] = ()
    """The running pods, to ask for their progress."""
    problem: Problem | None = None
    """What keeps a pod from its work."""
    setback: str = ""
    """Why a part of the run had to begin again, with the part; empty where none had to."""
    look_again_seconds: float | None = None
    """When the clock alone makes the objects say something else."""
    alive: bool = False
    """Whether any pod may still write."""
