"""`kubectl sluice reference`: an observer's bins for counting requests, from training or validation data."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias
from urllib.parse import quote, urlsplit

import typer
import yaml
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_sluice.cli import console, exits, manifests
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.options import OutputFormat
from kubectl_sluice.cli.releases import tables
from kubectl_sluice.offline import reference
from kubectl_sluice.offline.reference import BinnedFeature, Reference, SampledColumn

if TYPE_CHECKING:
    from sluice_batch.sample import RowSample

FORMATS: Final = {".parquet": "Parquet", ".csv": "CSV", ".jsonl": "JSONLines", ".ndjson": "JSONLines"}
DEFAULT_BINS: Final = 10
SHOWN_BINS: Final = 4

Data: TypeAlias = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="URI",
        help="The rows: s3://, gs://, or a file or folder here. Parquet, CSV or JSON Lines.",
        show_default=False,
    ),
]
ConfigMapName: TypeAlias = Annotated[
    str, typer.Option("--name", metavar="NAME", help="The ConfigMap's name.", show_default=False)
]
Form: TypeAlias = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="Parquet, CSV or JSONLines.", show_default="by the file's name"),
]
Features: TypeAlias = Annotated[
    str | None,
    typer.Option("--features", metavar="A,B,C", help="The columns that requests have.", show_default="all that can be"),
]
Answers: TypeAlias = Annotated[
    str | None,
    typer.Option("--answers", metavar="A,B", help="The columns with what the model answers.", show_default="none"),
]
Input: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="TENSOR",
        help="The one tensor that all features are in, in their order.",
        show_default="each is a tensor or a field of its own",
    ),
]
Bins: TypeAlias = Annotated[
    int, typer.Option("--bins", min=2, max=reference.MOST_BINS, help="Of each feature, beside those for other values.")
]
Compare: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="FILE.yaml",
        help="An older reference: say how far each feature has moved by its bins.",
        show_default="nothing",
    ),
]


async def show(
    output: OutputFormat,
    *,
    data: Data,
    name: ConfigMapName,
    form: Form = None,
    features: Features = None,
    answers: Answers = None,
    tensor: Input = None,
    bins: Bins = DEFAULT_BINS,
    compare: Compare = None,
) -> int:
    """Prints the ConfigMap (-o yaml or json), or its content; nothing is written to the cluster."""
    uri = _uri(data)
    asked, said = _names(features), _names(answers) or ()
    before = read_reference(compare) if compare is not None else None
    with console.progress(f"reading {data}"):
        rows = _sampled(uri, _format(uri, form), None if asked is None else [*asked, *said], said)
    columns = sampled_columns(rows, said, tensor or "")
    made, left_out = referenced(columns, said, bins)
    for column, why in {**rows.left_out, **left_out}.items():
        console.say(f"{column} is left out: {why}")
    if rows.unreadable:
        console.say(f"{rows.unreadable} rows cannot be read, and are not counted; {rows.rows} are")
    if len(made.features) + len(made.answers) > reference.MOST_FEATURES:
        raise Failure(
            f"--data: {len(made.features) + len(made.answers)} features are more than {reference.MOST_FEATURES}; name those "
            "that matter with --features"
        )
    try:
        document = reference.configmap(made, name, data if "://" in data else Path(data).name)
    except ValueError as error:
        raise Failure(f"--data: {error}") from error
    text: RenderableType = Group(Text(f"{made.rows} of {rows.rows} rows of {data}"), _table(made))
    if before is not None:
        text = Group(text, Text(), _moved(before, made, columns))
    console.show(output, document, text)
    return exits.OK


def _sampled(uri: str, form: str, wanted: list[str] | None, answers: tuple[str, ...]) -> "RowSample":
    """Imports Apache Arrow, which reads the rows, only here: it is needed for nothing else."""
    try:
        from sluice_batch import sample, storage
        from sluice_batch.failures import BatchError
        from sluice_batch.options import Format
    except ImportError as error:
        raise Failure(
            f"reading data needs Apache Arrow; install it with: pip install sluice-batch ({error})"
        ) from error
    try:
        found = sample.sampled(storage.opened(uri, ""), Format(form), wanted, reference.MOST_FEATURES)
    except BatchError as error:
        raise Failure(f"--data: {error}") from error
    missing = [name for name in answers if name not in {each.column for each in found.features}]
    if missing:
        raise Failure(f"--answers: the data has no column {missing[0]!r} that can be one")
    return found


def sampled_columns(rows: "RowSample", answers: tuple[str, ...], tensor: str) -> tuple[SampledColumn, ...]:
    """Where requests and answers have the data's columns. tensor: the one with all features, empty: one each."""
    found, place = [], 0
    for each in rows.features:
        where, index = (each.column, each.index) if each.index is not None else ("", None)
        if tensor and each.column not in answers:
            where, index, place = tensor, place, place + 1
        found.append(SampledColumn(each.name, each.values, where, index))
    return tuple(found)


def referenced(
    columns: tuple[SampledColumn, ...], answers: tuple[str, ...], bins: int
) -> tuple[Reference, Mapping[str, str]]:
    """The reference, and why columns are left out; a Failure where no feature is left."""
    made: dict[str, BinnedFeature] = {}
    left_out: dict[str, str] = {}
    for column in columns:
        feature = reference.feature_of(column, bins)
        if isinstance(feature, str):
            left_out[column.name] = feature
        else:
            made[column.name] = feature
    said = {column.name for column in columns if column.name in answers or column.input in answers}
    features = tuple(feature for name, feature in made.items() if name not in said)
    if not features:
        why = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise Failure(f"--data: no column has bins ({why})")
    answered = tuple(feature for name, feature in made.items() if name in said)
    return Reference(len(columns[0].values), features, answered), left_out


def _uri(data: str) -> str:
    if "://" in data:
        return data
    path = Path(data).absolute()
    if not path.exists():
        raise Failure(f"--data: {data} does not exist")
    return f"file://{quote(str(path))}"


def _format(uri: str, form: str | None) -> str:
    known = {each.lower(): each for each in FORMATS.values()}
    if form is not None:
        if form.lower() not in known:
            raise Failure(f"--format: {form!r} is not one of {', '.join(known.values())}")
        return known[form.lower()]
    name = urlsplit(uri).path.lower().removesuffix(".gz").rstrip("/")
    found = next((format_ for ending, format_ in FORMATS.items() if name.endswith(ending)), None)
    if found is None:
        raise Failure("--format: the name of the data does not tell; give one of " + ", ".join(known.values()))
    return found


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(filter(None, (name.strip() for name in text.split(","))))


def read_reference(file: str) -> Reference:
    """The reference from the manifest of its ConfigMap."""
    try:
        raw: Any = yaml.safe_load(manifests.read_text(file))
        return reference.parsed(raw["data"][reference.KEY])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise Failure(f"{file}: this is not the ConfigMap of a reference, with the key {reference.KEY}") from error
    except reference.UnreadableReference as error:
        raise Failure(f"{file}: {reference.KEY}: {error}") from error


def _table(made: Reference) -> Table:
    table = tables.plain()
    table.add_column("feature", overflow="fold")
    table.add_column("bins", justify="right")
    table.add_column("largest", overflow="fold", ratio=1)
    for feature in (*made.features, *made.answers):
        whole = max(1, sum(feature.counts.values()))
        largest = sorted(feature.counts.items(), key=lambda each: -each[1])[:SHOWN_BINS]
        shares = ", ".join(f"{name}: {100 * count / whole:.0f} %" for name, count in largest)
        kind = " (answer)" if feature in made.answers else ""
        table.add_row(f"{feature.name}{kind}", str(len(feature.counts)), shares)
    return table


def _moved(before: Reference, made: Reference, columns: tuple[SampledColumn, ...]) -> Table:
    """The new data in the old bins: bins of its own would hide a change."""
    there = {column.name: column for column in columns}
    old = {feature.name: feature for feature in (*before.features, *before.answers)}
    recounted = tuple(
        reference.recounted(old[each.name], there[each.name]) if each.name in old else each
        for each in (*made.features, *made.answers)
    )
    table = tables.plain()
    for heading in ("feature", "moved by (PSI)", "by chance"):
        table.add_column(heading, overflow="fold")
    for move in reference.moves(before, dataclasses.replace(made, features=recounted, answers=())):
        if move.index is None:
            table.add_row(move.name, Text(move.why, "yellow"), "")
        else:
            style = "bold yellow" if move.index > max(0.1, 3 * move.by_chance) else ""
            table.add_row(move.name, Text(f"{move.index:.3f}", style), f"{move.by_chance:.4f}")
    return table
