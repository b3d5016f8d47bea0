"""A model over a DataFrame.

driver      name ──Kubernetes API──> URI ──> model ──> which columns feed it, and what it answers
executors   URI ──once a process──> model;   Arrow batches ──> the same batches with answers, or with why there is none
"""

import functools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow
from pyarrow import types

from sluice_batch import answers
from sluice_batch import columns as feeding
from sluice_batch import model as models
from sluice_batch.columns import Feature, Tensor
from sluice_batch.failures import BatchError, FailureReason
from sluice_batch.model import Model
from sluice_batch.read import Chunk
from sluice_batch.runplan import RunPlan
from sluice_batch.score import AnsweredChunk, Scorer
from sluice_batch.spark import fetched

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FAILURE: Final = "failure"
"""The column with the reason of a missing answer."""
SPARK_TYPES: Final[Mapping[Any, Any]] = {
    pyarrow.uint8(): pyarrow.int16(),
    pyarrow.uint16(): pyarrow.int32(),
    pyarrow.uint32(): pyarrow.int64(),
    pyarrow.uint64(): pyarrow.decimal128(20, 0),
    pyarrow.float16(): pyarrow.float32(),
}
"""Spark lacks these types; each maps to one with room for all values."""


def score(
    df: "DataFrame",
    model: str | None = None,
    namespace: str | None = None,
    *,
    uri: str | None = None,
    columns: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    batch_size: int = 256,
) -> "DataFrame":
    """The rows with a further column for each output of the model, and the column `failure`.

    A row that the model cannot be given, or that it refuses, has nulls for answers and the reason in `failure`; of every
    other row that is null. Rows keep their order within a partition. Nothing is computed before an action needs it.

    model, namespace: a ModelDeployment, whose stable revision is used; it is looked up now, once, so that all partitions
    get the same model. namespace: default is the kubeconfig's, or the pod's.
    uri: instead of a name, where an ONNX model is: s3://, gs://, file:// or a path that every executor has.
    columns: what feeds the model, in order: one column of lists, several scalar columns side by side, or for several
    inputs a column named as each. Default: the columns named as the inputs, otherwise all numeric ones.
    keep: columns that are passed through; default: those that do not feed the model.
    batch_size: rows that the model gets at once.

    Keys of the model's store come from the variables AWS_ACCESS_KEY_ID and the like of the driver and of the executors.
    Raises BatchError: `BadColumns`, `ObjectNotFound`, `AccessDenied`, `UnsupportedModel`, …
    """
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    place = _place(model, namespace, uri)
    loaded = fetched.model_at(place)
    given = to_arrow_schema(df.schema)
    features = _features(df, given, loaded.inputs, columns)
    kept = feeding.passed_through(given.names, features, keep, "keep")
    schema = _answer_schema(given, kept, _probed(loaded, features))
    needed = tuple(dict.fromkeys([*(name for feature in features for name in feature.columns), *kept]))
    wanted = _Wanted(place, needed, features, kept, batch_size, schema)
    # Numbers in place of names: Spark's mapInArrow takes a dot in a name for a path.
    rows = df.select([functions.col(_quoted(name)).alias(str(number)) for number, name in enumerate(needed)])
    return rows.mapInArrow(functools.partial(_scored, wanted), from_arrow_schema(schema))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The parameters of every task."""

    uri: str
    columns: tuple[str, ...]
    features: tuple[Feature, ...]
    keep: tuple[str, ...]
    batch_size: int
    schema: Any


def _place(name: str | None, namespace: str | None, uri: str | None) -> str:
    if (name is None) == (uri is None):
        raise BatchError(FailureReason.INVALID_OPTION, "give either model=, the name of a ModelDeployment, or uri=")
    if uri is not None:
        return uri
    from sluice_batch.spark import resolve  # its Kubernetes client is not needed for a known URI

    return resolve.stable_uri(name or "", namespace)


def _features(
    df: "DataFrame", given: Any, inputs: Sequence[Tensor], requested: Sequence[str] | None
) -> tuple[Feature, ...]:
    def first_length(name: str) -> int:
        """Only called where the model leaves the length open."""
        column = df.select(_quoted(name)).dropna().first()
        size = int(np.asarray(column[0]).size) if column is not None else 0
        if not size:
            raise BatchError(FailureReason.BAD_COLUMNS, f"column {name!r} does not begin with a list that has values")
        return size

    return feeding.resolved(inputs, given, requested, first_length)


def _probed(loaded: Model, features: Sequence[Feature]) -> Any:
    """The schema of the model's answers, found by a request with zeros: their shapes depend only on the model."""
    rows = 1 if any(tensor.batch == 1 for tensor in loaded.inputs) else 2
    asked = {
        tensor.name: _zeros(rows, tensor, feature) for tensor, feature in zip(loaded.inputs, features, strict=True)
    }
    try:
        outputs = loaded.predict(asked)
    except models.Rejected as error:
        raise BatchError(
            FailureReason.UNSUPPORTED_MODEL,
            f"the model rejects a row of zeros, so the types of its answers are unknown: {error}",
        ) from error
    answers.require_rows(outputs, rows)
    return pyarrow.schema([(name, _known_to_spark(answers.column(array).type)) for name, array in outputs.items()])


def _zeros(rows: int, tensor: Tensor, feature: Feature) -> Any:
    known = math.prod(size for size in tensor.shape if size is not None)
    shape = [feature.width // known if size is None else size for size in tensor.shape]
    return np.full([rows, *shape], "" if tensor.dtype == np.object_ else 0, tensor.dtype)


def _known_to_spark(kind: Any) -> Any:
    if types.is_list(kind):
        return pyarrow.list_(_known_to_spark(kind.value_type))
    return SPARK_TYPES.get(kind, kind)


def _answer_schema(given: Any, kept: Sequence[str], outputs: Any) -> Any:
    """The columns that are passed through, the answers, and the reason."""
    names = [*kept, *outputs.names, FAILURE]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BatchError(
            FailureReason.BAD_COLUMNS,
            f"{twice!r} would exist twice: columns that are kept {list(kept)}, answers {outputs.names}, and "
            f"{FAILURE!r}; rename the column, or leave it out with keep=",
        )
    return pyarrow.schema([*(given.field(name) for name in kept), *outputs, pyarrow.field(FAILURE, pyarrow.string())])


def _scored(wanted: _Wanted, batches: Iterator[Any]) -> Iterator[Any]:
    """An executor's work on the batches of one partition."""
    scorer = Scorer(_model(wanted.uri), _plan(wanted.features, wanted.keep), wanted.batch_size)
    for batch in batches:
        table = pyarrow.Table.from_batches([batch]).rename_columns(list(wanted.columns))
        answered = scorer.answered(Chunk(table, np.arange(table.num_rows)))
        yield from _laid_out(table, answered, wanted).to_batches()


def _model(uri: str) -> Model:
    """With as many threads as the task has CPUs: other tasks of the executor use the others."""
    from pyspark import TaskContext

    task = TaskContext.get()
    os.environ.setdefault(models.THREADS, str(task.cpus() if task is not None else 1))
    return fetched.model_at(uri)


def _plan(features: tuple[Feature, ...], keep: tuple[str, ...]) -> RunPlan:
    """Spark has split the data; only the columns remain to plan."""
    return RunPlan(shards=1, files=(), splits=(), features=features, keep=keep, schema=None)


def _laid_out(table: Any, answered: AnsweredChunk, wanted: _Wanted) -> Any:
    """All rows in their order, with their answers, or with the reason why there are none."""
    reasons = {failure.position: failure.reason for failure in answered.failed}
    there = [row not in reasons for row in range(table.num_rows)]
    places = pyarrow.array(np.cumsum(there) - 1, mask=~np.array(there, np.bool_))
    arrays = []
    for field in wanted.schema:
        if field.name in answered.outputs:
            arrays.append(answers.column(answered.outputs[field.name]).cast(field.type).take(places))
        elif field.name == FAILURE:
            arrays.append(pyarrow.array([reasons.get(row) for row in range(table.num_rows)], field.type))
        elif field.name in wanted.keep:
            arrays.append(table.column(field.name))
        else:
            arrays.append(pyarrow.nulls(table.num_rows, field.type))
    return pyarrow.table(arrays, wanted.schema)


def _quoted(name: str) -> str:
    """Quoted, so that a dot is not taken for a path into a structure."""
    return "`" + name.replace("`", "``") + "`"
