"""`python -m sluice_warmup --protocol V2 --port 8000 --model NAME --ready-path … --requests 20`, beside a model server.

    server not ready ── wait ──> ready ── requests ──> fast enough ──> this container is ready ── watches the server
                                            │   │                                                      │
                                    refused │   │ too slow for a minute              ended: cold again ┘
                                            ▼   ▼
                                 exit 1: WarmUpFailed, WarmUpTooSlow, where the operator reads it

A pod is Ready only when all of its containers are, so no user's request meets a cold server, even without the operator.
"""

import argparse
import http.client
import http.server
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sluice_warmup import protocols

HOST: Final = "127.0.0.1"
WAIT_SECONDS: Final = 0.2
WATCH_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 60.0
"""How long a server may take to become fast enough."""
NOT_YET: Final = frozenset({http.HTTPStatus.NOT_FOUND, http.HTTPStatus.SERVICE_UNAVAILABLE})
QUOTED: Final = 300
"""How many characters of a server's answer are quoted."""


class WarmUpError(Exception):
    """The pod does not become Ready. `str()` is the one line `Reason: what happened; what to do`."""


@dataclass(frozen=True, slots=True)
class Server:
    """The model server, as reached within the pod."""

    port: int
    model: str
    protocol: str
    ready_path: str
    """The path of its readiness probe; empty: it may be ready when it accepts a connection."""
    path: str = ""
    """The path for requests; empty: the protocol's."""

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
        try:
            if not self.ready_path:
                connection.connect()
                return True
            connection.request("GET", self.ready_path)
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def has_ended(self) -> bool:
        """Whether the port is closed; a server that is only too busy to answer is still warm."""
        try:
            socket.create_connection((HOST, self.port), timeout=2).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def payload(self) -> bytes:
        """A request made from the model's metadata, where the protocol needs any."""
        if self.protocol == "OpenAI":
            return protocols.completion(self.model)
        path = protocols.METADATA_PATHS.get(self.protocol, "").format(model=self.model)
        if not path:
            raise WarmUpError(
                f"WarmUpFailed: no request can be generated in protocol {self.protocol}; set one in "
                "spec.warmup.payloadRef"
            )
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise protocols.NoPayload(f"GET {path} answers {answer.status}")
            return protocols.BODIES[self.protocol](json.loads(text))
        except (OSError, http.client.HTTPException, ValueError, AttributeError, protocols.NoPayload) as error:
            raise WarmUpError(
                f"WarmUpFailed: no request can be generated: {error}; set one in spec.warmup.payloadRef"
            ) from error
        finally:
            connection.close()


def warm_up(server: Server, payload: bytes, requests: int, maximum_millis: float | None) -> list[float]:
    """Sends at least this many requests one after the other; the latencies, ms. Raises WarmUpError."""
    path = server.path or protocols.infer_path(server.protocol, server.model, payload)
    connection = http.client.HTTPConnection(HOST, server.port, timeout=TIMEOUT_SECONDS)
    latencies: list[float] = []
    if not server.ready_path:
        _wait_for_model(connection, path, payload)
    began = time.monotonic()
    try:
        while len(latencies) < requests or (maximum_millis is not None and late(latencies, requests) > maximum_millis):
            if len(latencies) >= requests and time.monotonic() - began > PATIENCE_SECONDS:
                raise WarmUpError(
                    f"WarmUpTooSlow: after {len(latencies)} requests, they still take "
                    f"{late(latencies, requests):.0f} ms, but spec.warmup.maximumLatencyMillis allows "
                    f"{maximum_millis:g}; request more CPU for the pod in spec.resources, or raise the limit"
                )
            latencies.append(_send(connection, path, payload))
    finally:
        connection.close()
    return latencies


def late(latencies: Sequence[float], requests: int) -> float:
    """The median of the last half of a round, ms: the current latency for users."""
    return statistics.median(latencies[-max(1, requests // 2) :])


def _wait_for_model(connection: http.client.HTTPConnection, path: str, payload: bytes) -> None:
    """Waits until the server knows its model: where no path shows it, requests get 404 or 503 before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _ask(connection, path, payload)[0] in NOT_YET and time.monotonic() < deadline:
        time.sleep(WAIT_SECONDS)


def _send(connection: http.client.HTTPConnection, path: str, payload: bytes) -> float:
    began = time.monotonic()
    status, text = _ask(connection, path, payload)
    if status >= http.HTTPStatus.BAD_REQUEST:
        said = " ".join(text.decode(errors="replace").split())[:QUOTED]
        raise WarmUpError(
            f"WarmUpFailed: POST {path} answers {status}: {said}; check that the payload of "
            "spec.warmup.payloadRef fits the model"
        )
    return (time.monotonic() - began) * 1000


def _ask(connection: http.client.HTTPConnection, path: str, payload: bytes) -> tuple[int, bytes]:
    try:
        connection.request("POST", path, payload, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise WarmUpError(
            f"WarmUpFailed: POST {path}: {type(error).__name__}: {error}; see the log of the model server's container"
        ) from error


class Readiness:
    """The answer to this container's readiness probe."""

    def __init__(self, port: int) -> None:
        self.warm = False
        readiness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if readiness.warm else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """A line for each probe would say nothing."""

        self.server = http.server.HTTPServer(("", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def keep_warm(server: Server, readiness: Readiness, options: argparse.Namespace) -> None:
    """Warms the server up each time that it becomes ready; ends only with WarmUpError."""
    while True:
        _say("waiting until the model is ready")
        while not server.is_ready():
            time.sleep(WAIT_SECONDS)
        payload = _given(options.payload) if options.payload else server.payload()
        for whom, body in _asked(payload, options.adapter):
            latencies = warm_up(server, body, options.requests, options.maximum_latency_millis)
            _say(
                f"{len(latencies)} requests{whom}: the first took {latencies[0]:.1f} ms, the last half "
                f"{late(latencies, options.requests):.1f} ms (median)"
            )
        readiness.warm = True
        while not server.has_ended():
            time.sleep(WATCH_SECONDS)
        readiness.warm = False


def _asked(payload: bytes, adapters: Sequence[str]) -> list[tuple[str, bytes]]:
    """(target, request) for the model, and for each adapter beside it."""
    return [("", payload), *((f" to adapter {name}", protocols.addressed(payload, name)) for name in adapters)]


def _given(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WarmUpError(
            "WarmUpFailed: the ConfigMap of spec.warmup.payloadRef, or its key, does not exist; create it"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    server = Server(options.port, options.model, options.protocol, options.ready_path, options.path)
    try:
        keep_warm(server, Readiness(options.ready_port), options)
    except WarmUpError as error:
        print(error, file=sys.stderr, flush=True)
    return 1


def _say(text: str) -> None:
    print(f"warm-up: {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice_warmup", description="Warm up a model server before users' requests arrive."
    )
    parser.add_argument("--protocol", required=True, choices=protocols.PROTOCOLS)
    parser.add_argument("--path", default="", help="where requests go; default: the protocol's path")
    parser.add_argument("--port", type=int, required=True, help="where the server answers inference requests")
    parser.add_argument("--model", required=True, help="the served name")
    parser.add_argument("--adapter", action="append", default=[], help="another name that the server answers to")
    parser.add_argument("--ready-path", default="", help="the path of the server's readiness probe")
    parser.add_argument("--requests", type=int, default=20, help="the minimum number of requests")
    parser.add_argument("--maximum-latency-millis", type=float, help="how fast it must have become")
    parser.add_argument("--payload", type=Path, help="file with the body; default: generated from the model's metadata")
    parser.add_argument("--ready-port", type=int, required=True, help="the port of this container's readiness probe")
    return parser


if __name__ == "__main__":
    sys.exit(main())
