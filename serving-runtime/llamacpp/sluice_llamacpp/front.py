"""The HTTP interface: the OpenAI API, and the platform's /health and /metrics."""

import asyncio
import contextlib
import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import prometheus_client
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sluice_llamacpp import reading
from sluice_llamacpp.counting import Counting
from sluice_llamacpp.generation import Generation
from sluice_llamacpp.reading import Refused
from sluice_llamacpp.slots import Slots

LONGEST_TOKEN = 32
"""The most bytes of a token in the mean of a prompt. A longer prompt is refused unread, because some of llama.cpp's
tokenizers take quadratic time: minutes for a megabyte."""


class Front:
    def __init__(self, engine, options, context):
        """context: tokens of one request."""
        self.engine = engine
        self._longest_prompt = context * LONGEST_TOKEN
        self.slots = Slots(options.parallel)
        self.threads = ThreadPoolExecutor(options.parallel + 1, thread_name_prefix="answer")  # one for `_metrics`
        self.counting = Counting()
        self._options = options
        self._adapters = tuple(options.lora)
        self._began = int(time.time())
        self._kv_cache = 0.0
        self.counting.running.set_function(lambda: self.slots.running)
        self.counting.waiting.set_function(lambda: self.slots.waiting)
        self.counting.kv_cache.set_function(lambda: self._kv_cache)

    def application(self):
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._completions, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/health", self._health),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={Refused: self._refused},
        )

    async def _chat(self, request):
        return await self._generate(request, chat=True)

    async def _completions(self, request):
        return await self._generate(request, chat=False)

    async def _generate(self, request, *, chat):
        began = time.perf_counter()
        body = await self._body(request)
        request = reading.read(body, chat=chat, alias=self._options.alias, adapters=self._adapters)
        if request.prompt_bytes > self._longest_prompt:
            said = f"the prompt has {request.prompt_bytes} bytes; more than {self._longest_prompt} are in no context"
            raise Refused(400, "exceed_context_size_error", said)
        if self.slots.waiting >= self._options.max_waiting and self.slots.full:
            raise Refused(
                503, "overloaded_error", f"{self.slots.waiting} requests are waiting already; try again later"
            )
        return Generation(self, request, began)

    async def _body(self, request):
        most = self._options.max_body_mebibytes << 20
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise Refused(413, "invalid_request_error", f"the body has more than {most} bytes")
        return bytes(body)

    async def _models(self, _):
        usual = {"object": "model", "created": self._began, "owned_by": "sluice"}
        base = self._options.alias
        adapters = [{"id": name, **usual, "parent": base} for name in self._adapters]
        return JSONResponse({"object": "list", "data": [{"id": base, **usual}, *adapters]})

    async def _health(self, _):
        return JSONResponse({"status": "ok"})

    async def _metrics(self, _):
        with contextlib.suppress(OSError, http.client.HTTPException):  # busy with a long prompt: repeats the last value
            usage = asyncio.get_running_loop().run_in_executor(self.threads, self.engine.kv_cache_usage)
            self._kv_cache = await usage
        return Response(self.counting.text(), media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def _refused(self, _, error):
        self.counting.requests.labels(f"{error.status // 100}xx").inc()
        headers = {"Retry-After": "1"} if error.status == 503 else None
        return JSONResponse(error.document, status_code=error.status, headers=headers)
