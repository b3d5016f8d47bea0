"""A model server that costs nothing: it says who it is. Runs in a Pod with the standard library alone.

/       200 and its name        /fail   500        /slow   200 after SLOW_SECONDS        /count   its own counters
"""

import http.server
import json
import os
import threading
import time
from collections import Counter

PORT = 8080
SLOW_SECONDS = 12

seen: Counter[str] = Counter()
lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        if self.path == "/count":
            self.answer(200, json.dumps(seen))
            return
        with lock:
            seen[self.path] += 1
        if self.path == "/slow":
            time.sleep(SLOW_SECONDS)
        self.answer(500 if self.path == "/fail" else 200, os.environ.get("REVISION", ""))

    def answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Server(http.server.ThreadingHTTPServer):
    # With the default of 5 the kernel drops the sixth connection of a burst, which is tried again a second later.
    request_queue_size = 128


if __name__ == "__main__":
    Server(("", PORT), Handler).serve_forever()
