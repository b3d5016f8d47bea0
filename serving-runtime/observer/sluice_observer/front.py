"""The HTTP interface: every POST is a copy, answered at once; and the platform's /health and /metrics.

A copy waits in a queue until there is time for it. A copy without room is counted and dropped, so that neither memory
nor latency grows with the load.
"""

import asyncio
import collections
import random

import prometheus_client

WAITING_BYTES = 8 << 20
WAITING_COPIES = 512
BODY_SECONDS = 10
"""The time limit for a body."""


class Front:
    """An ASGI application."""

    def __init__(self, counting, asking, *, percent, most_bytes):
        self._counting, self._asking = counting, asking
        self._share, self._most_bytes = percent / 100, most_bytes
        self._waiting = collections.deque()
        self._bytes = 0
        self._arrived = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        if scope["method"] == "POST":
            await self._copy(scope, receive)
            return await _answer(send, 204, b"")
        if scope["path"] == "/metrics":
            self._counting.refresh()
            return await _answer(send, 200, self._counting.text(), prometheus_client.CONTENT_TYPE_LATEST)
        if scope["path"] == "/health":
            self._counting.refresh()
            said = self._counting.problem or "ok"
            return await _answer(send, 200 if self._counting.ready else 503, said.encode())
        self._counting.copies["NoBody"] += 1
        return await _answer(send, 204, b"")

    async def _copy(self, scope, receive):
        taken = random.random() < self._share  # noqa: S311 - a sample
        body = await self._body(receive, keep=taken)
        if isinstance(body, str):
            self._counting.copies[body] += 1
        elif self._bytes + len(body) > WAITING_BYTES or len(self._waiting) >= WAITING_COPIES:
            self._counting.copies["Overloaded"] += 1
        else:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
            query = scope["query_string"].decode("latin-1")
            self._bytes += len(body)
            self._waiting.append((f"{path}?{query}" if query else path, bytes(body), headers))
            self._arrived.set()

    async def _body(self, receive, *, keep):
        """The body, or the outcome of a copy without a usable one."""
        body, outcome = bytearray(), "" if keep else "NotSampled"
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        return outcome or "Unreadable"
                    if not outcome:
                        body += event.get("body", b"")
                        if len(body) > self._most_bytes:
                            outcome = "TooLarge"
                            body.clear()
                    if not event.get("more_body", False):
                        return outcome or (body if body else "NoBody")
        except TimeoutError:
            return outcome or "Slow"

    async def _live(self, receive, send):
        await receive()
        worker = asyncio.create_task(self._work())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        worker.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _work(self):
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                path, body, headers = self._waiting.popleft()
                self._bytes -= len(body)
                self._counting.copy(body, headers)
                if self._asking is not None:
                    self._asking.put(path, body, headers)
                await asyncio.sleep(0)  # requests that arrived meanwhile are answered first


async def _answer(send, status, body, kind="text/plain; charset=utf-8"):
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())] if body else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
