"""How the launcher of llama.cpp answers and counts, with an engine that says what a test wants."""

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import prometheus_client.parser
import pytest

from tests.support import patience

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "llamacpp"))

from sluice_llamacpp import answers, listening, options
from sluice_llamacpp.front import Front

Put = Callable[[bytes], bool]

PROMPT_TOKENS = "sluice_llm_prompt_tokens_total"
TOKEN = b'{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"a \\"finish_reason\\":\\"x"}}]}'
ROLE = b'{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]}'
LAST = b'{"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"timings":{"predicted_n":3,"predicted_ms":8.0}}'
WHOLE = (
    b'{"choices":[{"finish_reason":"stop","message":{"content":"abc"}}],"timings":{"cache_n":20,"prompt_n":80,'
    b'"predicted_n":3,"predicted_ms":8.0}}'
)
ERROR = b'{"error":{"code":500,"message":"failed to decode","type":"server_error"}}'
BODY = {"messages": [{"role": "user", "content": "x" * 100}]}


def progress(processed: int) -> bytes:
    """A prompt of 180 tokens, of which 80 are in the cache."""
    return ROLE[:-1] + b',"prompt_progress":{"total":180,"cache":80,"processed":%d,"time_ms":9}}' % processed


class FakeEngine:
    """Puts the events of `says`, sleeps where it says seconds, and raises what of it is an error."""

    def __init__(self, *says: bytes | float | Exception, hold: threading.Event | None = None) -> None:
        self.says = says
        self.hold = hold
        self.put = 0
        self.stopped = False
        self.bodies: list[bytes] = []

    def answer(self, *, chat: bool, body: bytes, put: Put) -> None:
        self.bodies.append(body)
        for event in self.says:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, float):
                time.sleep(event)  # the engine computes on a thread of its own
                continue
            if put(event):
                self.stopped = True
                return
            self.put += 1
        if self.hold:
            self.hold.wait(patience.HANG_SECONDS)

    def kv_cache_usage(self) -> float:
        return 0.25


def front(engine: Any, *arguments: str) -> Front:
    return Front(engine, options.parsed(["--model=x", "--alias=net", *arguments]), context=100)


def client(served: Front) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(served.application()), base_url="http://net")


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(patience.HANG_SECONDS):
        while not look():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.001)


async def counted(served: Front) -> dict[str, float]:
    """All that is not zero, without buckets."""
    async with client(served) as asked:
        text = (await asked.get("/metrics")).text
    return {
        f"{sample.name}{''.join(sample.labels.values())}": sample.value
        for family in prometheus_client.parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_bucket", "_sum"))
    }


@pytest.mark.parametrize(
    ("says", "outcome", "end"),
    [
        pytest.param((TOKEN, TOKEN, LAST), "Complete", b"data: [DONE]\n\n", id="whole"),
        pytest.param((b"null", TOKEN, LAST), "Complete", b"data: [DONE]\n\n", id="an event without a word"),
        pytest.param((TOKEN, ERROR), "Broken", b"data: " + ERROR + b"\n\n", id="an error inside a 200"),
        pytest.param((TOKEN, TOKEN), "Broken", b'"message": "the answer ended early: "}}\n\n', id="no end"),
        pytest.param((TOKEN, RuntimeError("dead")), "Broken", b'"the answer ended early: dead"}}\n\n', id="dead"),
    ],
)
async def test_a_stream_is_counted_by_how_it_ended(
    says: tuple[bytes | Exception, ...], outcome: str, end: bytes
) -> None:
    served = front(FakeEngine(progress(80), progress(180), ROLE, *says))
    async with client(served) as asked:
        answer = await asked.post("/v1/chat/completions", json={**BODY, "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.content.endswith(end)
    await until(lambda: not served.slots.running)
    found = await counted(served)
    assert {name: value for name, value in found.items() if "streams" in name} == {
        f"sluice_llm_streams_total{outcome}": 1
    }
    assert found["gen_ai_server_time_to_first_token_seconds_count128"] == 1
    assert found.get("gen_ai_server_time_per_output_token_seconds_count128", 0) == (outcome == "Complete")
    assert found.get("gen_ai_server_request_duration_seconds_count128", 0) == (outcome == "Complete")
    assert found["sluice_llm_requests_total2xx"] == 1
    assert found["sluice_llm_kv_cache_usage_ratio"] == 0.25
    assert "sluice_llm_requests_running" not in found


@pytest.mark.parametrize(
    ("says", "status", "stream"),
    [
        ((ERROR,), 500, True),
        ((progress(80), ERROR), 500, True),
        ((ERROR,), 500, False),
        ((ValueError("'messages' is required"),), 400, True),
        ((RuntimeError("gone"),), 500, False),
        ((), 500, False),
        ((b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}',), 400, True),
    ],
)
async def test_what_fails_before_its_first_token_has_the_status_of_its_error(
    says: tuple[bytes | Exception, ...], status: int, stream: bool
) -> None:
    served = front(FakeEngine(*says))
    async with client(served) as asked:
        answer = await asked.post("/v1/completions", json={"prompt": "a", "stream": stream})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)
    await until(lambda: not served.slots.running)  # its thread ends a moment after its answer
    found = await counted(served)
    assert found.pop(f"sluice_llm_requests_total{status // 100}xx") == 1
    if progress(80) in says:
        assert (found.pop(f"{PROMPT_TOKENS}Computed"), found.pop(f"{PROMPT_TOKENS}Reused")) == (100, 80)
        assert found.pop("sluice_llm_computed_prompt_tokens_count") == 1
    assert set(found) == {"sluice_llm_kv_cache_usage_ratio"}


async def test_an_answer_in_one_piece_is_counted_by_what_the_engine_measured() -> None:
    served = front(FakeEngine(WHOLE))
    async with client(served) as asked:
        answer = await asked.post("/v1/completions", json={"prompt": "a"})
    assert answer.content == WHOLE
    found = await counted(served)
    assert found["gen_ai_server_time_to_first_token_seconds_count128"] == 1
    assert found["gen_ai_server_time_per_output_token_seconds_count128"] == 1
    assert found["sluice_llm_output_tokens_total"] == 3
    assert (found[f"{PROMPT_TOKENS}Computed"], found[f"{PROMPT_TOKENS}Reused"]) == (80, 20)


@pytest.mark.parametrize("shown", [True, False])
async def test_progress_is_counted_and_shown_to_a_client_that_asks_for_it(shown: bool) -> None:
    engine = FakeEngine(progress(80), progress(180), ROLE, TOKEN, LAST)
    served = front(engine)
    async with client(served) as asked:
        body = {**BODY, "stream": True, **({"return_progress": True} if shown else {})}
        answer = await asked.post("/v1/chat/completions", json=body)
    assert json.loads(engine.bodies[0])["return_progress"] is True
    assert answer.content.count(b'"prompt_progress"') == 2 * shown
    found = await counted(served)
    assert (found[f"{PROMPT_TOKENS}Computed"], found[f"{PROMPT_TOKENS}Reused"]) == (100, 80)
    assert found["gen_ai_server_time_to_first_token_seconds_count128"] == 1


async def test_a_pause_between_two_tokens_is_a_gap() -> None:
    """Nothing before the first token is one, nor is what follows the last."""
    served = front(FakeEngine(progress(80), 0.06, ROLE, TOKEN, TOKEN, 0.06, TOKEN, 0.06, LAST, 0.06, b"null"))
    async with client(served) as asked:
        await asked.post("/v1/chat/completions", json={**BODY, "stream": True})
        text = (await asked.get("/metrics")).text
    below = 'sluice_llm_inter_token_latency_seconds_bucket{le="0.05"} 1.0'
    assert below in text
    assert (await counted(served))["sluice_llm_inter_token_latency_seconds_count"] == 2


async def test_waiting_for_a_slow_client_is_no_gap() -> None:
    engine, reader = FakeEngine(*[TOKEN] * (answers.MOST + 10), LAST), Reader()
    served = front(engine)
    reader.room.clear()
    asked = reader.asking(served)
    await until(lambda: engine.put >= answers.MOST - 1)
    await asyncio.sleep(0.5)
    reader.room.set()
    await asked
    async with client(served) as other:
        text = (await other.get("/metrics")).text
    assert f'sluice_llm_inter_token_latency_seconds_bucket{{le="0.4"}} {answers.MOST + 9:.1f}' in text


async def test_models_are_the_served_name_and_the_adapters() -> None:
    served = front(FakeEngine(), "--lora=poet=/poet.gguf")
    async with client(served) as asked:
        found = (await asked.get("/v1/models")).json()["data"]
        other = await asked.post("/v1/completions", json={"prompt": "a", "model": "other"})
    assert [(each["id"], each.get("parent")) for each in found] == [("net", None), ("poet", "net")]
    assert (other.status_code, other.json()["error"]["message"]) == (404, "there is no model 'other'; use net, poet")


async def test_a_body_that_is_too_large_is_refused() -> None:
    served = front(FakeEngine(), "--max-body-mebibytes=1")
    async with client(served) as asked:
        answer = await asked.post("/v1/completions", content=b'{"prompt": "' + b"a" * (1 << 20) + b'"}')
    assert answer.status_code == 413


async def test_a_prompt_that_no_context_holds_is_refused_unread() -> None:
    engine = FakeEngine(WHOLE)
    served = front(engine)
    async with client(served) as asked:
        answer = await asked.post("/v1/completions", json={"prompt": "a" * 3201})
        largest = await asked.post("/v1/completions", json={"prompt": "a" * 3200})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "exceed_context_size_error")
    assert (largest.status_code, len(engine.bodies)) == (200, 1)


async def test_who_finds_no_slot_waits_and_too_many_are_refused() -> None:
    hold = threading.Event()
    engine = FakeEngine(WHOLE, hold=hold)
    served = front(engine, "--parallel=1", "--max-waiting=1")
    async with client(served) as asked:

        async def ask() -> httpx.Response:
            return await asked.post("/v1/completions", json={"prompt": "a"})

        first = await ask()  # its slot is the engine's until that has ended, too
        second = asyncio.create_task(ask())
        await until(lambda: served.slots.waiting > 0)
        found = await counted(served)
        assert (found["sluice_llm_requests_running"], found["sluice_llm_requests_waiting"]) == (1, 1)
        refused = await ask()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        hold.set()
        assert [first.status_code, (await second).status_code] == [200, 200]


class Reader:
    """An ASGI client that leaves when it is told to."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.room = asyncio.Event()
        self.room.set()
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": json.dumps({**BODY, "stream": True}).encode()}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        await self.room.wait()

    def asking(self, served: Front) -> asyncio.Task[None]:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [],
            "query_string": b"",
            "root_path": "",
        }
        return asyncio.create_task(served.application()(scope, self.receive, self.send))


async def test_a_stream_that_its_client_ends_is_cancelled_and_generates_no_more() -> None:
    engine, reader = FakeEngine(*[TOKEN] * 10_000), Reader()
    served = front(engine)
    asked = reader.asking(served)
    await until(lambda: len(reader.sent) >= 3)
    reader.left.set()
    await asked
    await until(lambda: not served.slots.running)
    assert engine.stopped
    found = await counted(served)
    assert found["sluice_llm_streams_totalCancelled"] == 1
    assert "sluice_llm_streams_totalBroken" not in found


async def test_a_client_that_reads_nothing_holds_a_bounded_number_of_events() -> None:
    engine, reader = FakeEngine(*[TOKEN] * 10_000), Reader()
    served = front(engine)
    reader.room.clear()
    asked = reader.asking(served)
    await until(lambda: engine.put >= answers.MOST - 1)
    await asyncio.sleep(0.1)  # in which it would put thousands
    assert engine.put <= answers.MOST + 1
    reader.room.set()
    reader.left.set()
    await asked


async def test_a_client_that_leaves_while_it_waits_takes_no_slot() -> None:
    hold = threading.Event()
    engine = FakeEngine(WHOLE, hold=hold)
    served = front(engine, "--parallel=1")
    async with client(served) as asked:
        await asked.post("/v1/completions", json={"prompt": "a"})
        reader = Reader()
        waits = reader.asking(served)
        await until(lambda: served.slots.waiting > 0)
        reader.left.set()
        await waits
        assert (served.slots.waiting, reader.sent) == (0, [])
        hold.set()
        answer = await asked.post("/v1/completions", json={"prompt": "a"})
    assert answer.status_code == 200
    assert len(engine.bodies) == 2


async def test_a_stream_that_the_server_gives_up_is_broken() -> None:
    """As at the end of the drain: uvicorn cancels what still runs."""
    hold = threading.Event()
    served, reader = front(FakeEngine(TOKEN, hold=hold)), Reader()
    asked = reader.asking(served)
    await until(lambda: len(reader.sent) >= 2)
    asked.cancel()
    await asyncio.wait({asked})
    hold.set()
    assert (await counted(served))["sluice_llm_streams_totalBroken"] == 1


def test_what_is_written_to_a_connection_is_sent_at_once_and_who_reads_nothing_is_left() -> None:
    """Not when what came before is acknowledged."""
    wanted = options.parsed(["--model=x", "--alias=net", "--host=127.0.0.1", "--port=0", "--stalled-seconds=7"])
    with (
        listening.opened(wanted) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
