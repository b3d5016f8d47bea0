"""The answer to one request, as an ASGI application: sent as it is generated, and counted by how it ends."""

import asyncio
import json
import re
import time

from starlette.responses import JSONResponse, Response

from sluice_llamacpp.answers import AnswerPipe
from sluice_llamacpp.counting import Outcome, Source, computed_bucket

FINISHED = b'"finish_reason":"'
"""The mark of a complete choice. Text cannot look like it: there the quotes are escaped."""
ERROR = b'{"error":'
ROLE = b'"role":'
"""The mark of the event that comes with the first token of a chat, before it."""
NOTHING = b"null"
"""An event without text, which llama.cpp sends where a request has several prompts."""
PROGRESS = b'"prompt_progress":{'
"""The mark of an event before the first token, which says how far the prompt is computed."""
PROMPT = re.compile(rb'"prompt_progress":\{"total":(\d+),"cache":(\d+),"processed":\2,')
"""The first of these of a prompt: its tokens, and how many of them the prefix cache has."""
COMPUTED = re.compile(rb'"prompt_n":(\d+)')
REUSED = re.compile(rb'"cache_n":(\d+)')
TOKENS = re.compile(rb'"predicted_n":(\d+)')
GENERATED_MILLIS = re.compile(rb'"predicted_ms":([\d.]+)')
CODE = re.compile(rb'"code":(\d{3})')
HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


class Generation:
    def __init__(self, front, request, began):
        """began: when the request arrived, by time.perf_counter."""
        self._front = front
        self._counting = front.counting
        self._request = request
        self._began = began

    async def __call__(self, scope, receive, send):
        pipe = AnswerPipe()
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: pipe.leave())
        try:
            if not await self._front.slots.take(gone):
                return
            work = asyncio.get_running_loop().run_in_executor(self._front.threads, self._work, pipe)
            work.add_done_callback(lambda _: self._front.slots.free())
            answer = await self._begun(pipe, send)
            if answer is not None:
                self._counting.requests.labels(f"{answer.status_code // 100}xx").inc()
                await answer(scope, receive, send)
        finally:
            pipe.leave()
            gone.cancel()

    def _work(self, pipe):
        error = None
        put = _Gaps(self._counting.gaps, pipe.put).put if self._request.stream else pipe.put
        try:
            self._front.engine.answer(chat=self._request.chat, body=self._request.body, put=put)
        except Exception as raised:  # noqa: BLE001 - the engine's errors have no common class
            error = raised
        pipe.end(error)

    async def _begun(self, pipe, send):
        """The answer, where it is one piece; None: it was streamed, or the client is gone."""
        prompt = _Prompt(self._counting)
        batches = self._without_progress(pipe, prompt)
        first = await anext(batches, [])
        if pipe.left:
            return None
        if not first or first[0].startswith(ERROR):
            return _refusal(first, pipe.error)
        if self._request.stream:
            self._counting.requests.labels("2xx").inc()
            await self._streamed(pipe, prompt, first, batches, send)
            return None
        self._count_whole(first[0])
        return Response(first[0], media_type="application/json")

    async def _without_progress(self, pipe, prompt):
        """Batches of events, none of which is empty: clients see progress only if they ask for it."""
        async for batch in pipe.batches():
            prompt.add(batch)
            shown = batch if self._request.shows_progress else [event for event in batch if PROGRESS not in event]
            if shown:
                yield shown

    async def _streamed(self, pipe, prompt, batch, batches, send):
        stream = _Counted(self._counting, prompt, self._began)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            while batch:
                events = [event for event in batch if event != NOTHING]
                stream.add(events)
                await send(_part(b"".join(b"data: %b\n\n" % event for event in events)))
                batch = await anext(batches, [])
            if pipe.left and not stream.finished:
                stream.outcome = Outcome.CANCELLED
                return
            if not stream.finished and not stream.failed:
                error = {"code": 500, "type": "server_error", "message": f"the answer ended early: {pipe.error or ''}"}
                await send(_part(b"data: %b\n\n" % json.dumps({"error": error}).encode()))
            elif not stream.failed:
                stream.outcome = Outcome.COMPLETE
                await send(_part(b"data: [DONE]\n\n"))
            await send({"type": "http.response.body", "body": b""})
        finally:
            stream.close()

    def _count_whole(self, answer):
        now = time.perf_counter()
        tokens = _number(TOKENS, answer)
        counting = self._counting
        counting.output_tokens.inc(tokens)
        prompt = _Prompt(counting)
        prompt.count(computed=_number(COMPUTED, answer), reused=_number(REUSED, answer))
        counting.whole.labels(prompt.bucket).observe(now - self._began)
        # From llama.cpp: when the prompt was read, and how long each token took.
        generated = _number(GENERATED_MILLIS, answer) / 1000
        counting.first_token.labels(prompt.bucket).observe(max(0.0, now - self._began - generated))
        if tokens > 1:
            counting.between_tokens.labels(prompt.bucket).observe(generated / (tokens - 1))


class _Prompt:
    """The tokens of a request's prompts, and where they came from."""

    def __init__(self, counting):
        self._counting = counting
        self._computed = 0

    @property
    def bucket(self):
        return computed_bucket(self._computed)

    def add(self, events):
        for event in events:
            found = PROMPT.search(event) if PROGRESS in event else None
            if found:
                total, reused = map(int, found.groups())
                self.count(computed=total - reused, reused=reused)

    def count(self, *, computed, reused):
        self._computed += computed
        self._counting.computed.observe(computed)
        self._counting.prompt_tokens.labels(Source.COMPUTED).inc(computed)
        self._counting.prompt_tokens.labels(Source.REUSED).inc(reused)


class _Gaps:
    """Counts the times between tokens on the engine's thread, without those for which it waits for the client."""

    def __init__(self, histogram, put):
        self._histogram = histogram
        self._put = put
        self._since = None
        self._finished = False

    def put(self, event):
        self._finished = self._finished or FINISHED in event
        token = not (self._finished or event == NOTHING or PROGRESS in event or ROLE in event)
        if token and self._since is not None:
            self._histogram.observe(time.perf_counter() - self._since)
        stop = self._put(event)
        if token:
            self._since = time.perf_counter()
        return stop


class _Counted:
    """A stream in progress; `close` counts it."""

    def __init__(self, counting, prompt, began):
        self._counting = counting
        self._prompt = prompt
        self._began = began
        self._first = self._last = 0.0
        self._events = 0
        self._tokens = 0
        self.finished = False
        """Whether the regular end was among the events."""
        self.failed = False
        """Whether an error was among them."""
        self.outcome = Outcome.BROKEN

    def add(self, events):
        self._last = time.perf_counter()
        events = [event for event in events if PROGRESS not in event]
        if not self._first and events:
            self._first = self._last
            self._counting.first_token.labels(self._prompt.bucket).observe(self._first - self._began)
        for event in events:
            self.finished = self.finished or FINISHED in event
            self.failed = self.failed or event.startswith(ERROR)
            self._tokens += int(_number(TOKENS, event))
        self._events += len(events)
        self._counting.output_tokens.inc(len(events))

    def close(self):
        self._counting.streams.labels(self.outcome).inc()
        # An event is a token, except the first with the role, the last with the sums, and letters of several tokens.
        self._counting.output_tokens.inc(max(0, self._tokens - self._events))
        if self.outcome is not Outcome.COMPLETE:
            return
        self._counting.whole.labels(self._prompt.bucket).observe(self._last - self._began)
        if self._tokens > 1:
            each = (self._last - self._first) / (self._tokens - 1)
            self._counting.between_tokens.labels(self._prompt.bucket).observe(each)


def _refusal(events, error):
    if events:
        return Response(events[0], status_code=int(_number(CODE, events[0]) or 500), media_type="application/json")
    status, kind = (400, "invalid_request_error") if isinstance(error, ValueError) else (500, "server_error")
    message = str(error or "the model did not answer")
    return JSONResponse({"error": {"code": status, "type": kind, "message": message}}, status_code=status)


def _number(pattern, event):
    found = pattern.search(event)
    return float(found[1]) if found else 0.0


def _part(body):
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _disconnected(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
