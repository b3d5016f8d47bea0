"""`python -m sluice_resolver --credentials FOLDER [options]`: serves until SIGTERM. `--help` lists the options.

Only requests with the token in the variable SLUICE_TOKEN, the operator's, are answered.

GET /resolved?uri=models:/digits@champion --> {"resolved": [{"uri": …, "version": "7", "source": "s3://…", "digest": "sha256:…"}]}
POST /outcome {"name": "digits", "version": "7", "tags": {"sluice.outcome": "Promoted", …}} --> {}
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sluice_storage import addresses
from sluice_storage.failures import DownloadError
from sluice_storage.signing import trust
from sluice_storage.stores import transfer

from sluice_resolver import server
from sluice_resolver.registries import Registries

TOKEN = "SLUICE_TOKEN"  # noqa: S105 - a variable


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    token = os.environ.get(TOKEN, "")
    if not token:
        print(f"{TOKEN} is not set, and without it anybody could ask", file=sys.stderr)
        return 2
    transfer.PAUSES_SECONDS = ()  # the client repeats its question
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        if options.ca_bundle:
            trust.lend_bundle(options.ca_bundle)
    except DownloadError as error:
        print(error, file=sys.stderr)
        return 1
    with (
        addresses.checked(addresses.policy_of(options)),
        server.serving(Registries(options.credentials, options.plain_http), token, options.port),
    ):
        over.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice_resolver", description="Say which version of a model a registry names.", allow_abbrev=False
    )
    parser.add_argument("--credentials", type=Path, required=True, help="the folder of the Secret")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--ca-bundle", type=Path, help="certificates (PEM) that are trusted beside the public ones")
    parser.add_argument(
        "--plain-http", action="append", default=[], metavar="HOST:PORT", help="an image registry that speaks HTTP"
    )
    addresses.add_arguments(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
