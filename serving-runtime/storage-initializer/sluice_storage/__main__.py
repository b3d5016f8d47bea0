"""`python -m sluice_storage --uri s3://… --layout … --model-name … [--destination /models]`.

Exit status 0 when the model lies ready, 1 with a one-line reason on standard error and in the termination log.
"""

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sluice_storage import fetch, layout
from sluice_storage.failures import DownloadError

# On the same volume as the destination, so that files are moved by renaming and never lie there twice.
STAGING: Final = ".download"
SERVER_CODE: Final = Path(__file__).with_name("triton_model.py")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    try:
        deliver(options.uri, layout.Layout(options.layout), options.model_name, options.destination)
    except DownloadError as error:
        print(error, file=sys.stderr, flush=True)
        _write_termination_message(options.termination_log, str(error))
        return 1
    return 0


def deliver(uri: str, wanted: layout.Layout, model_name: str, destination: Path) -> None:
    """Empty `destination`, fetch `uri` and lay its files out there. An earlier, interrupted attempt leaves no trace."""
    began = time.monotonic()
    _empty(destination)
    staging = destination / STAGING
    staging.mkdir()
    _say(f"fetching {uri}")
    files = fetch.fetch(uri, staging)
    size = sum((staging / file).stat().st_size for file in files)
    _say(f"fetched {len(files)} files, {size / 1e6:.1f} MB, in {time.monotonic() - began:.1f} s")
    _carry_out(layout.arranged(files, wanted, model_name), staging, destination)
    shutil.rmtree(staging)
    _say(f"laid out as {wanted.value} in {destination}")


def _carry_out(arrangement: layout.Arrangement, staging: Path, destination: Path) -> None:
    for source, target in arrangement.moves:
        _prepared(destination / target)
        (staging / source).rename(destination / target)
        _say(f"  {target}")
    for target, text in arrangement.texts:
        _prepared(destination / target).write_text(text)
        _say(f"  {target}")
    if arrangement.server_code:
        shutil.copyfile(SERVER_CODE, _prepared(destination / arrangement.server_code))
        _say(f"  {arrangement.server_code}")


def _prepared(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write_termination_message(path: Path, text: str) -> None:
    """The kubelet makes the file; elsewhere it may not exist, and then the message on standard error is enough."""
    try:
        path.write_text(text[:4096])
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice_storage", description="Fetch a model and lay it out for its server.")
    parser.add_argument("--uri", required=True, help="where the model is: s3://bucket/folder or s3://bucket/model.onnx")
    parser.add_argument("--layout", required=True, choices=[known.value for known in layout.Layout])
    parser.add_argument("--model-name", required=True, help="the served name")
    parser.add_argument(
        "--destination", type=Path, default=Path("/models"), help="an empty volume; what is in it is deleted"
    )
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
