"""The shard's progress, for the operator and for Prometheus: GET /progress and GET /metrics."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from sluice_batch.checkpoint import SplitCounts

MOST_REASONS: Final = 5


class ProgressCounts:
    """Counts that one thread writes and others read."""

    def __init__(self, shard: int) -> None:
        self._lock = threading.Lock()
        self._shard = shard
        self._splits = 0
        self._rows_total: int | None = None
        self._splits_done = 0
        self._done = SplitCounts()
        self._under_way = SplitCounts()
        self._reasons: list[str] = []

    def begin(self, splits: int, rows_total: int | None, splits_done: int, done: SplitCounts) -> None:
        with self._lock:
            self._splits, self._rows_total = splits, rows_total
            self._splits_done, self._done, self._under_way = splits_done, done, SplitCounts()

    def add(self, counts: SplitCounts) -> None:
        """Rows of the current split."""
        with self._lock:
            self._under_way += counts

    def split_done(self, counts: SplitCounts) -> None:
        with self._lock:
            self._done, self._under_way = self._done + counts, SplitCounts()
            self._splits_done += 1

    def note(self, reason: str) -> None:
        """Keeps the first distinct reasons."""
        with self._lock:
            if len(self._reasons) < MOST_REASONS and reason not in self._reasons:
                self._reasons.append(reason)

    @property
    def done(self) -> SplitCounts:
        with self._lock:
            return self._done

    @property
    def first_reason(self) -> str:
        with self._lock:
            return self._reasons[0] if self._reasons else ""

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            rows = self._done + self._under_way
            return {
                "shard": self._shard,
                "splits": self._splits,
                "splitsDone": self._splits_done,
                "rowsTotal": self._rows_total,
                "read": rows.read,
                "written": rows.written,
                "failed": rows.failed,
                "reasons": list(self._reasons),
            }

    def as_metrics(self) -> str:
        """In Prometheus' text format."""
        told = self.as_json()
        lines = [
            "# HELP sluice_batch_rows_total Rows of this shard, by outcome.",
            "# TYPE sluice_batch_rows_total counter",
            *(f'sluice_batch_rows_total{{outcome="{outcome}"}} {told[outcome]}' for outcome in ("written", "failed")),
            "# HELP sluice_batch_rows_read_total Rows of this shard that were read.",
            "# TYPE sluice_batch_rows_read_total counter",
            f"sluice_batch_rows_read_total {told['read']}",
            "# HELP sluice_batch_splits Splits of this shard.",
            "# TYPE sluice_batch_splits gauge",
            f"sluice_batch_splits {told['splits']}",
            "# HELP sluice_batch_splits_done Splits of this shard that are done.",
            "# TYPE sluice_batch_splits_done gauge",
            f"sluice_batch_splits_done {told['splitsDone']}",
        ]
        return "\n".join(lines) + "\n"


@contextmanager
def served(progress: ProgressCounts, port: int) -> Iterator[int]:
    """Answers from its own threads until the shard is done. port 0: any; returns the actual port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/progress":
                self._say("application/json", json.dumps(progress.as_json()))
            elif self.path == "/metrics":
                self._say("text/plain; version=0.0.4; charset=utf-8", progress.as_metrics())
            else:
                self.send_error(404)

        def _say(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A line for each scrape would say nothing."""

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
