"""The runner's command line."""

import argparse
import enum
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sluice_batch.failures import BatchError, FailureReason

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"


class Format(enum.Enum):
    PARQUET = "Parquet"
    CSV = "CSV"
    JSON_LINES = "JSONLines"

    @property
    def extension(self) -> str:
        return {"Parquet": "parquet", "CSV": "csv", "JSONLines": "jsonl"}[self.value]


class Mode(enum.Enum):
    ERROR_IF_EXISTS = "ErrorIfExists"
    OVERWRITE = "Overwrite"


class ServerProtocol(enum.Enum):
    V1 = "V1"
    V2 = "V2"


@dataclass(frozen=True, slots=True)
class InputData:
    """The location of the rows. columns: those that feed the model; None: found by `columns.resolved`."""

    uri: str
    format: Format
    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class OutputData:
    """The location for the answers. keep: input columns to pass through; None: those that do not feed the model."""

    uri: str
    format: Format
    mode: Mode
    keep: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Server:
    """A model server of the same pod."""

    endpoint: str
    protocol: ServerProtocol
    model_name: str


@dataclass(frozen=True, slots=True)
class Options:
    """model: a folder with one .onnx file, run in this process, or a server. target None: answers are compared with
    the column `labels`, and nothing is written."""

    run: str
    shards: int
    shard: int
    source: InputData
    target: OutputData | None
    labels: str
    batch_size: int
    maximum_failed_percent: float
    model: Path | Server
    progress_port: int
    scratch: Path
    termination_log: Path


def parsed(arguments: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> Options:
    """Raises BatchError for contradictory options."""
    given = _parser(environment).parse_args(arguments)
    if bool(given.output) == bool(given.labels):
        raise _invalid("pass either --output, or --labels if nothing is to be written")
    if bool(given.model) == bool(given.endpoint):
        raise _invalid("pass either --model, or --endpoint with --protocol and --model-name")
    if given.endpoint and not given.model_name:
        raise _invalid("--endpoint needs --model-name, the name by which the server knows the model")
    if given.shard is None:
        raise _invalid(f"give --shard, or set {INDEX_VARIABLE}")
    if not 0 <= given.shard < given.shards:
        raise _invalid(f"--shard {given.shard} is not among 0 … {given.shards - 1}")
    source = InputData(given.input, Format(given.input_format), given.columns)
    target = (
        OutputData(given.output, Format(given.output_format), Mode(given.mode), given.keep) if given.output else None
    )
    server = Server(given.endpoint, ServerProtocol(given.protocol), given.model_name) if given.endpoint else None
    return Options(
        run=given.run,
        shards=given.shards,
        shard=given.shard,
        source=source,
        target=target,
        labels=given.labels,
        batch_size=given.batch_size,
        maximum_failed_percent=given.maximum_failed_rows_percent,
        model=server or given.model,
        progress_port=given.progress_port,
        scratch=given.scratch,
        termination_log=given.termination_log,
    )


def termination_log(arguments: Sequence[str]) -> Path:
    """Where to write the reason, known even if the other options are wrong."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_termination_log(parser)
    return Path(parser.parse_known_args(arguments)[0].termination_log)


class _Parser(argparse.ArgumentParser):
    """A wrong command line fails at every attempt, so it must end with the exit code that says so."""

    def error(self, message: str) -> NoReturn:
        raise _invalid(message)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="sluice_batch", description="Run a model over one shard of a data set.", allow_abbrev=False)
    formats = [known.value for known in Format]
    parser.add_argument("--run", required=True, help="the run's name: shards of the same run share a plan")
    parser.add_argument("--shards", type=_positive, default=1)
    parser.add_argument("--shard", type=int, default=_index(environment), help=f"default: ${INDEX_VARIABLE}")
    parser.add_argument("--input", required=True, metavar="URI", help="a file or a folder: s3://, gs://, file://")
    parser.add_argument("--input-format", required=True, choices=formats)
    parser.add_argument("--columns", type=_names, help="columns that feed the model, in order: a,b,c")
    parser.add_argument("--output", default="", metavar="URI", help="a folder: s3://, gs://, file://")
    parser.add_argument("--output-format", default="Parquet", choices=formats)
    parser.add_argument("--mode", default="ErrorIfExists", choices=[known.value for known in Mode])
    parser.add_argument("--keep", type=_names, help="input columns that are passed through: a,b,c")
    parser.add_argument("--labels", default="", metavar="COLUMN", help="compare the answers with it, and write nothing")
    parser.add_argument("--batch-size", type=_positive, default=256, help="rows that the model gets at once")
    parser.add_argument("--maximum-failed-rows-percent", type=_percent, default=0.0)
    parser.add_argument("--model", type=Path, help="a folder with one .onnx file, or the file")
    parser.add_argument("--endpoint", default="", help="a model server of this pod: http://127.0.0.1:8080")
    parser.add_argument("--protocol", default="V2", choices=[known.value for known in ServerProtocol])
    parser.add_argument("--model-name", default="")
    parser.add_argument("--progress-port", type=int, default=8090)
    parser.add_argument("--scratch", type=Path, default=Path("/scratch"), help="a folder for the split in progress")
    _add_termination_log(parser)
    return parser


def _add_termination_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"))


def _index(environment: Mapping[str, str]) -> int | None:
    text = environment.get(INDEX_VARIABLE, "")
    return int(text) if text.isdigit() else None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or more")
    return number


def _percent(text: str) -> float:
    number = float(text.removesuffix("%"))
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not among 0 … 100")
    return number


def _names(text: str) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",") if name.strip()) or None


def _invalid(text: str) -> BatchError:
    return BatchError(FailureReason.INVALID_OPTION, text)
