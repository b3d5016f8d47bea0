"""Faster forms of a model, created by a Job."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sluice_core.api.v1alpha1.sources import Uri
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel


class Quantization(StrEnum):
    INT8_DYNAMIC = "Int8Dynamic"
    INT8_STATIC = "Int8Static"


class Optimize(ApiModel):
    """How a variant is created from the model."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (
        Cel(
            "self.quantization != 'Int8Static' || has(self.calibrationUri)",
            message="Int8Static needs calibrationUri",
        ),
        Cel(
            "!has(self.calibrationUri) || self.calibrationUri.startsWith('s3://')",
            message="calibrationUri must be in s3, like the model",
            field_path=".calibrationUri",
        ),
    )

    quantization: Quantization
    """Int8Dynamic: weights as integers, activations scaled at run time. Int8Static: both, scaled by a calibration set."""
    calibration_uri: Uri | None = None
    """An .npz file with one array for each input of the model, whose first axis counts the rows. The variant is
    compared with the model on these rows; without it, on random ones."""


class Variant(ApiModel):
    """A faster form of the model, created by a Job and stored next to it."""

    name: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Its name in model.variant."""
    optimize: Optimize
    """How it is created."""


class VariantState(StrEnum):
    PENDING = "Pending"
    READY = "Ready"
    FAILED = "Failed"


class VariantStatus(ApiModel):
    """One variant, with its agreement and speed."""

    name: str
    uri: str = ""
    """Where it is stored."""
    state: VariantState = VariantState.PENDING
    message: str = ""
    """Why it does not exist."""
    size_bytes: int | None = None
    original_size_bytes: int | None = None
    agreement: str | None = None
    """Share of the rows on which its answers agree with the model's, such as 99.2%."""
    rows: int | None = None
    calibrated: bool | None = None
    """Whether these rows are the user's; otherwise they are random."""
    latency_millis: str | None = None
    """Median latency of single rows on one thread, where the Job ran."""
    original_latency_millis: str | None = None
