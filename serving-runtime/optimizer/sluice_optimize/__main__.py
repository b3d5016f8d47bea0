"""`python -m sluice_optimize --uri s3://… --target s3://… --quantization Int8Dynamic [--calibration-uri s3://…]`.

original ── quantize ──> variant ── compare ──> target/model.onnx, target/report.json ──> termination message

An existing variant is not made again. Exit status 0 with the report as JSON in the termination log, or 1 with a
one-line reason.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from sluice_storage import addresses, layout
from sluice_storage.delivery import Order, deliver
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.signing import trust
from sluice_storage.stores import s3

from sluice_optimize import compare, quantize

MODEL: Final = "model.onnx"
REPORT: Final = "report.json"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.ca_bundle:
            trust.lend_bundle(options.ca_bundle)
        with addresses.checked(addresses.policy_of(options)):
            s3.allow_identity()
            report = made_before(options.target) or make(options)
    except DownloadError as error:
        print(error, file=sys.stderr, flush=True)
        _tell(options.termination_log, str(error))
        return 1
    _tell(options.termination_log, json.dumps(report))
    print(json.dumps(report), flush=True)
    return 0


def make(options: argparse.Namespace) -> dict[str, Any]:
    """Fetch, quantize, compare, store; the report."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _say(f"fetching {options.uri}")
        model = _fetched_model(options.uri, folder / "original")
        quantize.check(model)
        calibrated = bool(options.calibration_uri)
        rows = _rows(options.calibration_uri, folder / "rows", model) if calibrated else quantize.made_up(model)
        _say(f"quantizing: {options.quantization}")
        variant = quantize.quantized(model, options.quantization, rows, folder)
        _say(f"comparing on {len(next(iter(rows.values())))} rows")
        report = compare.compared(model, variant, rows, calibrated=calibrated).as_json()
        _say(f"storing {options.target}")
        _store(options.target, {MODEL: variant.read_bytes(), REPORT: json.dumps(report).encode()})
        return report


def made_before(target: str) -> dict[str, Any] | None:
    """The report of an existing variant: it is written last."""
    bucket, prefix = _place(target)
    try:
        stored = boto3.Session().client("s3").get_object(Bucket=bucket, Key=f"{prefix}/{REPORT}")
        found: dict[str, Any] = json.loads(stored["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise s3.explained(error, target) from error
    except (BotoCoreError, ValueError) as error:
        raise s3.explained(error, target) from error
    return found


def _fetched_model(uri: str, folder: Path) -> Path:
    wanted = Order(uri=uri, sha256="", layout=layout.Layout.PLAIN, model_name="model", destination=folder)
    deliver(wanted)
    models = sorted(folder.rglob("*.onnx"))
    if len(models) != 1:
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL, f"{uri} has {len(models)} .onnx files; a variant is made from exactly one"
        )
    return models[0]


def _rows(uri: str, folder: Path, model: Path) -> Any:
    folder.mkdir()
    bucket, key = _place(uri)
    file = folder / "rows.npz"
    try:
        boto3.Session().client("s3").download_file(bucket, key, str(file))
    except (ClientError, BotoCoreError) as error:
        raise s3.explained(error, uri) from error
    return quantize.read_rows(file, model)


def _store(target: str, files: dict[str, bytes]) -> None:
    """The report last: without it the variant does not count as made."""
    bucket, prefix = _place(target)
    try:
        store = boto3.Session().client("s3")
        for name, content in files.items():
            store.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)
    except (ClientError, BotoCoreError) as error:
        raise s3.explained(error, target) from error


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key.strip("/")


def _tell(log: Path, text: str) -> None:
    """The kubelet creates the file; elsewhere it may not exist, and then the output is enough."""
    try:
        log.write_text(text[:4096])
    except OSError as error:
        print(f"{log}: {error}", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice_optimize", description="Make a faster variant of a model.")
    parser.add_argument("--uri", required=True, help="the original: s3://bucket/folder or s3://bucket/model.onnx")
    parser.add_argument("--target", required=True, help="the folder for the variant")
    parser.add_argument("--quantization", required=True, choices=[quantize.DYNAMIC, quantize.STATIC])
    parser.add_argument("--calibration-uri", default="", help=".npz with an array for each input")
    addresses.add_arguments(parser)
    parser.add_argument("--ca-bundle", type=Path, help="certificates (PEM) that are trusted beside the public ones")
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
