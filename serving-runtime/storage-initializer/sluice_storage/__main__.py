"""`python -m sluice_storage --uri s3://… --layout … --model-name … [--destination /models]`.

Exit status 0 when the model is ready, 1 with a one-line reason on standard error and in the termination log.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sluice_storage import addresses, cache, console, delivery, failures, layout
from sluice_storage.cache import Cache
from sluice_storage.delivery import Order, deliver
from sluice_storage.failures import DownloadError
from sluice_storage.signing import trust, verification
from sluice_storage.stores import sources


def main(arguments: Sequence[str] | None = None, *, alone: bool = False) -> int:
    """alone: whether this process belongs to the downloader only, and may lose the right to write elsewhere for
    good."""
    options = _parser().parse_args(arguments)
    console.show_logs_of_libraries()
    try:
        requirements = verification.read(options.verification)
    except DownloadError as error:
        return _failed(error, options.termination_log)
    order = Order(
        uri=options.uri,
        sha256=options.sha256,
        layout=layout.Layout(options.layout),
        model_name=options.model_name,
        destination=options.destination,
        mount=options.mount,
        plain_http=options.plain_http,
        namespace=options.namespace,
        cache=Cache(options.cache, options.cache_bytes, options.cache_reserve_percent) if options.cache else None,
        most_bytes=options.maximum_bytes,
        requirements=requirements,
        writes_to=(options.destination, options.termination_log) if alone else (),
    )
    try:
        if options.ca_bundle:
            trust.lend_bundle(options.ca_bundle)
        with addresses.checked(addresses.policy_of(options)):
            finding = deliver(order)
    except DownloadError as error:
        return _failed(error, options.termination_log)
    except OSError as error:
        return _failed(failures.of_the_volume(error, sources.shown(order.uri)), options.termination_log)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        return _failed(failures.unforeseen(error, sources.shown(order.uri)), options.termination_log)
    if finding is not None:
        _tell(finding.told(time.time()), options.termination_log)
    return 0


def _failed(error: DownloadError, termination_log: Path) -> int:
    print(error, file=sys.stderr, flush=True)
    _tell(str(error), termination_log)
    return 1


def _tell(text: str, termination_log: Path) -> None:
    """A message for the operator. The kubelet creates the file; elsewhere it may not exist, and standard error is
    enough."""
    try:
        termination_log.write_text(
            text.encode()[:4096].decode(errors="ignore")
        )  # the kubelet would keep the end of a longer one
    except OSError as unwritten:
        print(f"{termination_log}: {unwritten}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice_storage", description="Fetch a model and lay it out for its server.")
    parser.add_argument("--uri", required=True, help=f"where the model is: {sources.allowed()}")
    parser.add_argument("--sha256", default="", help="checksum of the one file that the URI names")
    parser.add_argument("--layout", required=True, choices=[known.value for known in layout.Layout])
    parser.add_argument("--model-name", required=True, help="the served name")
    parser.add_argument(
        "--destination", type=Path, default=Path("/models"), help="a volume for the model; its contents are deleted"
    )
    parser.add_argument(
        "--mount", type=Path, help="where the claim or the image of the URI is mounted; nothing is fetched"
    )
    parser.add_argument("--cache", type=Path, help="where models are kept for later pods of the node")
    parser.add_argument("--cache-bytes", type=int, default=50 << 30, help="the maximum size of all cached models")
    parser.add_argument("--namespace", default="", help="of the pod; models are kept for pods of the same one")
    parser.add_argument(
        "--cache-reserve-percent",
        type=int,
        default=cache.RESERVE_PERCENT,
        help="how much of the cache's disk stays free",
    )
    parser.add_argument(
        "--maximum-bytes", type=int, default=delivery.MOST_BYTES, help="what may lie in the destination at any time"
    )
    parser.add_argument("--verification", default="", help="who must have signed the model (JSON); empty: nobody")
    addresses.add_arguments(parser)
    parser.add_argument("--ca-bundle", type=Path, help="certificates (PEM) that are trusted beside the public ones")
    parser.add_argument("--plain-http", action="store_true", help="the registry of oci:// speaks HTTP")
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"))
    return parser


if __name__ == "__main__":
    sys.exit(main(alone=True))
