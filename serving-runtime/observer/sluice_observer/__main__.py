"""`python -m sluice_observer --reference /reference [options]`: serves until SIGTERM. `--help` lists the options.

gateway ──copy──> 204 at once ──> queue, bounded ──> features ──> bins ──> /metrics
                                         └─ with --ask: the stable version ──> its answer ──> bins
"""

import argparse
import sys
from urllib.parse import urlsplit

import uvicorn

from sluice_observer.asking import Asking
from sluice_observer.counting import Counting
from sluice_observer.front import Front

IDLE_SECONDS = 300
"""How long an idle connection stays open. Closing it costs a gateway at most a copy."""
MOST_CONNECTIONS = 256


def main(arguments=None):
    wanted = parsed(arguments)
    counting = Counting(wanted.reference, wanted.model, wanted.revision)
    asking = Asking(wanted.ask, counting) if wanted.ask else None
    uvicorn.run(
        Front(counting, asking, percent=wanted.percent, most_bytes=wanted.max_body_mebibytes << 20),
        host="0.0.0.0",  # noqa: S104 - the kubelet, the gateway and Prometheus come from other hosts
        port=wanted.port,
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    return 0


def parsed(arguments=None):
    parser = argparse.ArgumentParser(prog="sluice_observer", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--reference", required=True, help="the reference, or the folder of its ConfigMap")
    parser.add_argument("--model", default="", help="the label `model` of all counters")
    parser.add_argument("--revision", default="", help="the label `revision` of what is counted of answers")
    parser.add_argument("--percent", type=_percent, default=100.0, help="of the copies, how many are looked at")
    parser.add_argument("--ask", type=_address, metavar="URL", help="who answers copies again: http://host:port")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--max-body-mebibytes", type=int, choices=range(1, 17), default=1, metavar="1…16")
    return parser.parse_args(arguments)


def _percent(text):
    number = float(text)
    if not 0 < number <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 100")
    return number


def _address(text):
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise argparse.ArgumentTypeError(f"{text} is not http://host:port")
    return text


if __name__ == "__main__":
    sys.exit(main())
