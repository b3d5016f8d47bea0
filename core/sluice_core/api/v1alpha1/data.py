"""Data sets for a model: where they are, and which columns feed it."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from sluice_core.api.v1alpha1.common import LocalObjectRef
from sluice_core.api.v1alpha1.sources import DataUri
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel


class DataFormat(StrEnum):
    PARQUET = "Parquet"
    CSV = "CSV"
    JSON_LINES = "JSONLines"


Column = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^,]+$")]
"""The name of a column, without a comma."""

Columns = Annotated[
    list[Column],
    Field(min_length=1, max_length=1024),
]
"""Names of columns, in order."""

NO_CREDENTIALS_FOR_CLAIMS: Final = Cel(
    "!has(self.credentialsSecretRef) || !self.uri.startsWith('pvc://')",
    message="pvc:// does not need credentials: the pods mount the claim",
    field_path=".credentialsSecretRef",
    reason="FieldValueForbidden",
)


class Input(ApiModel):
    """The data set to read."""

    cel_rules: ClassVar[tuple[Cel, ...]] = (NO_CREDENTIALS_FOR_CLAIMS,)

    uri: DataUri
    """One file, or a folder whose files are all read: s3://bucket/path, gs://bucket/path or pvc://claim/path."""
    format: DataFormat
    """Parquet, CSV (with a header line) or JSONLines (one object in each line)."""
    columns: Columns | None = None
    """The columns that feed the model, in order. With one model input: one list-typed column is the tensor, several
    scalar columns are stacked to rows × columns. With several inputs: the columns have the names of the inputs.
    Default: the columns named like the inputs; otherwise, with one input, all numeric columns."""
    credentials_secret_ref: LocalObjectRef | None = None
    """A Secret with the keys of the source. s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, optional AWS_ENDPOINT_URL,
    AWS_DEFAULT_REGION and AWS_SESSION_TOKEN. gs: GOOGLE_APPLICATION_CREDENTIALS_JSON or STORAGE_EMULATOR_HOST."""
