"""Sends copies to the stable version again, to count its answers, with limited concurrency."""

import http.client
import queue
import threading
from urllib.parse import urlsplit

AT_ONCE = 4
WAITING = 64
SECONDS = 30
MOST_BYTES = 1 << 20
MARK = "x-sluice-observer"
"""A header by which a server can tell that its answer is not waited for."""
NOT_PASSED_ON = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect", "content-length",
     "accept-encoding", "proxy-connection", "proxy-authorization", MARK}
)  # fmt: skip


class Asking:
    """address: http://host:port."""

    def __init__(self, address, counting):
        parts = urlsplit(address)
        self._host, self._port = parts.hostname, parts.port or 80
        self._counting = counting
        self._waiting = queue.Queue(WAITING)
        for number in range(AT_ONCE):
            threading.Thread(target=self._work, name=f"ask-{number}", daemon=True).start()

    def put(self, path, body, headers):
        """Returns at once; a copy without room is counted as such."""
        if not self._counting.counts_answers:
            return
        try:
            self._waiting.put_nowait((path, body, headers))
        except queue.Full:
            self._counting.failed("Overloaded")

    def _work(self):
        connection = None
        while True:
            asked = self._waiting.get()
            connection = connection or http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
            try:
                kept = self._ask(connection, *asked)
            except (OSError, http.client.HTTPException, ValueError):
                self._counting.failed("Unreachable")
                kept = False
            if not kept:
                connection.close()
                connection = None

    def _ask(self, connection, path, body, headers):
        """Whether the connection can be reused."""
        passed = {name: value for name, value in headers.items() if name not in NOT_PASSED_ON}
        connection.request("POST", path, body, {**passed, MARK: "1", "accept-encoding": "identity"})
        answer = connection.getresponse()
        content = answer.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            self._counting.failed("TooLarge")
            return False
        if answer.status != 200:
            self._counting.failed("Failed")
        else:
            self._counting.answer(content, {name.lower(): value for name, value in answer.getheaders()})
        return not answer.will_close
