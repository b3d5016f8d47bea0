"""Load at a concurrency, and the latency of its answers."""

import math
import statistics
import threading
import time
from collections.abc import Sequence
from typing import Final

from kubectl_sluice.loadgen import chunks, connection

WAIT_SECONDS: Final = 0.2
"""How long to wait after an unanswered request."""


class Load:
    """Threads, each with one request in flight, until stopped."""

    def __init__(
        self, host: str, port: int, path: str, body: bytes, concurrency: int, *, streams: bool = False
    ) -> None:
        self._address, self._path, self._body, self._streams = (host, port), path, body, streams
        self._stopping = threading.Event()
        self.answers: list[tuple[float, float]] = []
        """(arrival, duration in seconds); appending is atomic."""
        self.failures: list[tuple[float, str]] = []
        self.texts: list[chunks.StreamedAnswer] = []
        """The streamed answers, including incomplete ones."""
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(concurrency)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        server = connection.ServerConnection(*self._address)
        while not self._stopping.is_set():
            began = time.monotonic()
            text = chunks.StreamedAnswer(began)
            self.texts += [text] if self._streams else []
            try:
                problem = (
                    server.stream(self._path, self._body, text)
                    if self._streams
                    else server.problem("POST", self._path, self._body)
                )
            except connection.ERRORS as error:
                problem = connection.described(error)
                self._stopping.wait(WAIT_SECONDS)
            ended = time.monotonic()
            if problem:
                self.failures.append((ended, problem))
            else:
                self.answers.append((ended, ended - began))
        server.close()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(connection.TIMEOUT_SECONDS)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank: a measured value, at or below which this percentage lies."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def summary(latencies: Sequence[float]) -> dict[str, float]:
    """Milliseconds; empty without answers."""
    if not latencies:
        return {}
    ordered = sorted(latencies)
    seconds = {f"p{percent}": percentile(ordered, percent) for percent in (50, 95, 99)}
    return {name: round(value * 1000, 3) for name, value in (seconds | {"mean": statistics.fmean(ordered)}).items()}
