"""A stream of requests at a steady rate that counts the lost ones."""

import http
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from kubectl_sluice.loadgen import connection, events
from kubectl_sluice.loadgen.server import MeasuredServer

MOST_AT_ONCE: Final = 256
REPORT_SECONDS: Final = 1.0


def run(plan: Mapping[str, Any], payload: bytes | None) -> None:
    """One request to a server, a look at its metrics, and a stream of requests to all. Raises `LoadFailed`."""
    server = MeasuredServer(plan)
    server.wait_ready()
    try:
        server.introduce(payload)
    finally:
        server.connection.close()
        if plan["metrics"] is not None:
            events.emit("metrics", **scraped(plan["metrics"]))
    to = plan["stream"]
    Stream(to["host"], to["port"], plan["path"], server.body).run(float(plan["rate"]), float(plan["seconds"]))
    events.emit("end")


def scraped(target: Mapping[str, Any]) -> dict[str, Any]:
    """Names of the series that a server exposes, or why there are none."""
    server = connection.ServerConnection(target["host"], target["port"])
    try:
        status, text = server.ask("GET", target["path"], Connection="close")
    except connection.ERRORS as error:
        return {"problem": connection.described(error)}
    if status != http.HTTPStatus.OK:
        return {"problem": f"{status} {connection.quoted(text)}"}
    lines = (line for line in text.decode(errors="replace").splitlines() if line and not line.startswith("#"))
    return {"problem": "", "series": sorted({line.partition("{")[0].partition(" ")[0] for line in lines})}


class Stream:
    """Requests at a steady rate, each on time and on a new connection, as from new clients."""

    def __init__(self, host: str, port: int, path: str, body: bytes) -> None:
        self._address, self._path, self._body = (host, port), path, body
        self._lock = threading.Lock()
        self._under_way: dict[int, float] = {}
        self.problems: Counter[str] = Counter()

    def run(self, rate: float, seconds: float) -> None:
        began = reported = time.monotonic()
        sent = 0
        with ThreadPoolExecutor(MOST_AT_ONCE) as threads:
            while (now := time.monotonic()) < began + seconds:
                if now - reported >= REPORT_SECONDS:
                    reported = now
                    self._report(sent, now - began, now)
                self._under_way[sent] = now
                threads.submit(self._ask, sent)
                sent += 1
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))

    def _report(self, sent: int, elapsed: float, now: float) -> None:
        """`settled`: seconds from the start up to which the outcome of every request is known."""
        with self._lock:
            oldest = min(self._under_way.values(), default=now)
            lost, problem = sum(self.problems.values()), next(iter(self.problems), "")
        settled = round(elapsed - (now - oldest), 3)
        events.emit("stream", elapsed=round(elapsed, 3), settled=settled, sent=sent, lost=lost, problem=problem)

    def _ask(self, number: int) -> None:
        server = connection.ServerConnection(*self._address)
        try:
            problem = server.problem("POST", self._path, self._body, Connection="close")
        except connection.ERRORS as error:
            problem = connection.described(error)
        server.close()
        with self._lock:
            del self._under_way[number]
            if problem:
                self.problems[problem] += 1
