"""Validation: what a candidate must answer well before it gets any request, and its result."""

from typing import Annotated, ClassVar

from pydantic import Field

from sluice_core.api.v1alpha1.data import Column, Input
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, PositivePercent, TolerancePercent, no_items
from sluice_judge.schema.objectives import FailureRatio, Source


class ValidationObjective(ApiModel):
    """How many answers may be wrong; the limits have the same meaning as in a failureRatio."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "has(self.maximum) || has(self.relativeTolerance)",
            message="set at least one of maximum and relativeTolerance",
        ),
        Cel(
            "!has(self.ignoreBelow) || has(self.relativeTolerance)",
            message="ignoreBelow belongs to relativeTolerance; maximum alone does not need it",
            field_path=".ignoreBelow",
        ),
        Cel(
            "!has(self.maximum) || !has(self.ignoreBelow) || "
            "double(self.ignoreBelow.replace('%', '')) <= double(self.maximum.replace('%', ''))",
            message="ignoreBelow must not be above maximum",
            field_path=".ignoreBelow",
        ),
    )

    maximum: PositivePercent | None = None
    """The highest acceptable share of wrong answers. Together with relativeTolerance: applies only if stable's answers
    are better."""
    ignore_below: PositivePercent | None = None
    """Shares below this are negligible: they never roll back, and proof of them passes. For models that are nearly
    always right, so that few rows distinguish two versions."""
    relative_tolerance: TolerancePercent | None = None
    """How much more than the stable version's share, on the same rows, is still acceptable, relative to that share."""

    @property
    def failure_ratio(self) -> FailureRatio:
        """The limits in the judge's form."""
        return FailureRatio(
            source=Source.QUERY,
            maximum=self.maximum,
            ignore_below=self.ignore_below,
            relative_tolerance=self.relative_tolerance,
        )


class ValidationBatch(ApiModel):
    """A labelled data set, and the limits for its answers."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "!has(self.input.columns) || !(self.labels in self.input.columns)",
            message="labels must not be one of input.columns: the model would see the answers",
            field_path=".labels",
        ),
    )

    input: Input
    """The data set to read."""
    labels: Column
    """The column with the right answers. It does not feed the model."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 256
    """How many rows the model gets at once."""
    shards: Annotated[int, Field(ge=1, le=100)] = 1
    """The number of parts into which the data set is split, each for its own pod."""
    objective: ValidationObjective
    """How many answers may be wrong."""


class Validation(ApiModel):
    """What a candidate must pass before it gets any request, a copy of one, or a pod that could get one."""

    batch: ValidationBatch
    """The labelled data set."""
    deadline_seconds: Annotated[int, Field(ge=60, le=604_800)] = 3600
    """A Job that takes longer is stopped; the release then waits for a person."""


class ShardScore(ApiModel):
    """The result of one part of a labelled data set."""

    shard: int
    read: int
    failed: int
    """Rows without an answer."""
    wrong: int
    """Rows whose answer is not the label."""


class Score(ApiModel):
    """The result of one version on a labelled data set."""

    revision: str
    data: str
    """Hash of what determines the rows and labels."""
    shards: int
    """The number of parts."""
    finished: Annotated[list[ShardScore], Field(max_length=100)] = Field(default_factory=no_items)
    """The counted parts; each once, whatever happens to its pod."""

    @property
    def complete(self) -> bool:
        return len(self.finished) == self.shards

    @property
    def rows(self) -> int:
        return sum(part.read for part in self.finished)

    @property
    def bad(self) -> int:
        """Rows without the right answer."""
        return sum(part.failed + part.wrong for part in self.finished)


class ValidationStatus(ApiModel):
    """The progress of the validation."""

    passed: bool = False
    attempt: int = 1
    """Counts the attempts; a person may request another one."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """The judge's conclusion."""
    scores: Annotated[list[Score], Field(max_length=2)] = Field(default_factory=no_items)
    """The candidate's, and the stable version's if the two are compared."""
