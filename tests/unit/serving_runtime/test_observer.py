"""How the observer answers, counts and asks."""

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import prometheus_client.parser
import pytest

from kubectl_sluice.offline import reference as references
from kubectl_sluice.offline.reference import BinnedFeature, Reference, SampledColumn
from lab import freeports
from tests.support import patience

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "observer"))

from sluice_observer import __main__ as program
from sluice_observer import asking, front, reference
from sluice_observer.asking import Asking
from sluice_observer.counting import Counting
from sluice_observer.front import Front

LABELS = ("feature", "bin", "outcome")
SECRET = "4111111111111111"


def put(file: Path, text: str) -> None:
    file.write_text(text)


def binned(column: SampledColumn) -> BinnedFeature:
    found = references.feature_of(column, 4)
    assert isinstance(found, BinnedFeature)
    return found


def document(*, answers: bool = False) -> str:
    """As the plugin writes it."""
    age = binned(SampledColumn("age", [float(n % 100) for n in range(400)]))
    land = binned(SampledColumn("land", ["de", "fr"] * 200))
    said = (binned(SampledColumn("y", [float(n % 10) for n in range(400)])),) if answers else ()
    return references.dumped(Reference(400, (age, land), said))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reference.json"
    path.write_text(document(answers=True))
    return path


@contextlib.asynccontextmanager
async def serving(counting: Counting, asks: Asking | None = None, **given: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The application with its worker."""
    served = Front(counting, asks, **{"percent": 100.0, "most_bytes": 1 << 20, **given})
    to, told = asyncio.Queue[dict[str, str]](), asyncio.Queue[Any]()
    life = asyncio.create_task(served({"type": "lifespan"}, to.get, told.put))
    await to.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(served), base_url="http://observer") as client:
            yield client
    finally:
        await to.put({"type": "lifespan.shutdown"})
        await life


async def metrics(client: httpx.AsyncClient) -> dict[str, float]:
    """All that is not zero, by name and labels."""
    text = (await client.get("/metrics")).text
    return {
        " ".join([sample.name, *(sample.labels[key] for key in LABELS if key in sample.labels)]): sample.value
        for family in prometheus_client.parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.value and sample.name.startswith("sluice")
    }


async def until(client: httpx.AsyncClient, look: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    async with asyncio.timeout(patience.HANG_SECONDS):
        while not look(found := await metrics(client)):  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.005)
        return found


def copies(found: dict[str, float], outcome: str) -> float:
    return found.get(f"sluice_observer_copies_total {outcome}", 0)


async def test_copies_are_answered_at_once_and_counted(file: Path) -> None:
    async with serving(Counting(file, "digits", "digits-aaa")) as client:
        for age in (5, 60):
            answer = await client.post("/v1/models/digits:predict", json={"instances": [{"age": age, "land": "de"}]})
            assert (answer.status_code, answer.content) == (204, b"")
        found = await until(client, lambda found: copies(found, "Counted") == 2)
        assert found["sluice_observed_total land de"] == 2
        assert sum(value for name, value in found.items() if name.startswith("sluice_observed_total age")) == 2


async def test_the_reference_is_shown_beside_what_is_counted_by_it(file: Path) -> None:
    async with serving(Counting(file, "digits", "digits-aaa")) as client:
        found = await metrics(client)
        assert found["sluice_observer_reference_rows land de"] == 200
        assert sum(rows for name, rows in found.items() if name.startswith("sluice_observer_reference_rows age")) == 400
        assert not any("reference_rows y" in name for name in found), (
            "nobody takes an answer for a feature of that name"
        )
        answers = {
            name: rows for name, rows in found.items() if name.startswith("sluice_observer_reference_answer_rows")
        }
        assert sum(answers.values()) == 400


async def test_all_series_are_there_before_the_first_copy(file: Path) -> None:
    async with serving(Counting(file, "digits", "digits-aaa")) as client:
        text = (await client.get("/metrics")).text
    assert 'sluice_observed_total{bin="(missing)",feature="age",model="digits"} 0.0' in text
    assert 'sluice_observed_answers_total{bin="(missing)",feature="y",model="digits",revision="digits-aaa"} 0.0' in text
    assert 'sluice_observer_copies_total{model="digits",outcome="Unreadable"} 0.0' in text


async def test_no_value_leaves_it(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with serving(Counting(file, "digits", "")) as client:
        await client.post("/", json={"age": float(SECRET), "land": SECRET})
        await client.post("/", content=b'{"age": ' + SECRET.encode())
        await until(client, lambda found: copies(found, "Counted") == copies(found, "Unreadable") == 1)
        text = (await client.get("/metrics")).text
    out, err = capfd.readouterr()
    assert SECRET not in text + out + err


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        pytest.param({"content": b"{"}, "Unreadable", id="unreadable"),
        pytest.param({"content": b"x" * 2000}, "TooLarge", id="too large"),
        pytest.param({"content": b""}, "NoBody", id="empty"),
        pytest.param({"json": {"height": 3}}, "OtherSchema", id="another schema"),
    ],
)
async def test_what_becomes_of_other_copies(sent: dict[str, Any], outcome: str, file: Path) -> None:
    async with serving(Counting(file, "digits", ""), most_bytes=1000) as client:
        assert (await client.post("/", **sent)).status_code == 204
        found = await until(client, lambda found: copies(found, outcome) == 1)
    assert not any(name.startswith("sluice_observed_total") for name in found)


async def test_a_copy_without_body_is_nothing_to_look_at(file: Path) -> None:
    async with serving(Counting(file, "digits", "")) as client:
        assert (await client.get("/v2/models/digits")).status_code == 204
        assert copies(await metrics(client), "NoBody") == 1


async def test_it_samples_by_itself(file: Path) -> None:
    async with serving(Counting(file, "digits", ""), percent=20.0) as client:
        for _ in range(500):
            await client.post("/", json={"age": 5, "land": "de"})
        found = await until(client, lambda found: copies(found, "Counted") + copies(found, "NotSampled") == 500)
    assert 50 < copies(found, "Counted") < 160


async def test_what_finds_no_room_is_counted_and_forgotten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "WAITING_COPIES", 0)
    async with serving(Counting(file, "digits", "")) as client:
        assert (await client.post("/", json={"age": 5})).status_code == 204
        assert copies(await metrics(client), "Overloaded") == 1


async def test_a_body_that_does_not_come_is_not_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "BODY_SECONDS", 0.01)
    counting, forever = Counting(file, "digits", ""), asyncio.Event()
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}

    async def receive() -> Any:
        await forever.wait()

    async def send(event: Any) -> None:
        pass

    await Front(counting, None, percent=100.0, most_bytes=1)(scope, receive, send)
    assert counting.copies["Slow"] == 1


async def test_another_reference_counts_anew_and_a_broken_one_changes_nothing(file: Path) -> None:
    async with serving(Counting(file.parent, "digits", "")) as client:
        await client.post("/", json={"age": 5, "land": "de"})
        await until(client, lambda found: copies(found, "Counted") == 1)
        put(file, "{}")
        found = await metrics(client)
        assert found["sluice_observed_total land de"] == 1
        assert "sluice_observer_reference_readable" not in found
        assert (await client.get("/health")).status_code == 200
        put(file, document().replace('"land"', '"country"'))
        os.utime(file, ns=(1, 1))
        text = (await client.get("/metrics")).text
    assert 'bin="de",feature="country",model="digits"} 0.0' in text
    assert "sluice_observer_reference_readable" in text


async def test_without_a_reference_it_is_not_ready_and_waits_for_one(tmp_path: Path) -> None:
    async with serving(Counting(tmp_path, "digits", "")) as client:
        answer = await client.get("/health")
        assert answer.status_code == 503
        assert "cannot be read" in answer.text
        await client.post("/", json={"age": 5})
        await until(client, lambda found: copies(found, "NoReference") == 1)
        (tmp_path / "reference.json").write_text(document())
        assert (await client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"features": []}, {"features": [{}]}, {"features": [1]}, {"features": "x"},
        {"features": [{"name": "x", "edges": [2, 1], "bins": dict.fromkeys("abcde", 0)}]},
        {"features": [{"name": "x", "edges": [1], "bins": {"a": 0}}]},
        {"features": [{"name": "x", "edges": [1], "bins": dict.fromkeys("abcd", -1)}]},
        {"features": [{"name": "x", "edges": [1], "bins": dict.fromkeys("abcd", 1e300)}]},
        {"features": [{"name": "x", "edges": [1], "bins": list("abcd")}]},
        {"features": [{"name": "x", "values": ["a"], "bins": dict.fromkeys("abc", 0), "index": -1}]},
        {"features": [{"name": "x", "bins": {"a": 0, "b": 0}}]},
        {"features": [{"name": "x", "values": ["a"], "bins": dict.fromkeys("abc", 0)}] * 2},
        {"features": [{"name": f"x{n}", "values": ["a"], "bins": dict.fromkeys("abc", 0)} for n in range(65)]},
    ],
)  # fmt: skip
def test_what_is_no_reference(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({**json.loads(document()), **change}))
    with pytest.raises(reference.Unreadable):
        reference.load(path)


class Stable(ThreadingHTTPServer):
    """A model server that answers what a test wants."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, content))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def stable() -> Iterator[Callable[..., Stable]]:
    made: list[Stable] = []

    def make(status: int = 200, body: bytes = b'{"predictions": [3, 7]}') -> Stable:
        made.append(Stable(status, body))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


def answered(found: dict[str, float], outcome: str) -> float:
    return found.get(f"sluice_observer_answers_total {outcome}", 0)


async def test_the_stable_version_is_asked_again_and_its_answers_are_counted(
    file: Path, stable: Callable[..., Stable]
) -> None:
    counting, server = Counting(file, "digits", "digits-aaa"), stable()
    async with serving(counting, Asking(server.address, counting)) as client:
        for _ in range(3):
            await client.post("/v1/models/digits:predict?x=1", json={"instances": [[5], [6]]}, headers={"X-Own": "1"})
        found = await until(client, lambda found: answered(found, "Counted") == 3)
    assert sum(value for name, value in found.items() if name.startswith("sluice_observed_answers_total")) == 6
    path, headers, body = server.asked[0]
    assert (path, json.loads(body)) == ("/v1/models/digits:predict?x=1", {"instances": [[5], [6]]})
    assert (headers["x-own"], headers[asking.MARK], headers["accept-encoding"]) == ("1", "1", "identity")


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        pytest.param(500, b"{}", "Failed", id="an error"),
        pytest.param(200, b"nonsense", "Unreadable", id="nonsense"),
        pytest.param(200, b'{"outputs": []}', "OtherSchema", id="another schema"),
        pytest.param(200, b"x" * ((1 << 20) + 1), "TooLarge", id="too large"),
    ],
)
async def test_answers_that_are_not_counted(
    status: int, body: bytes, outcome: str, file: Path, stable: Callable[..., Stable]
) -> None:
    counting = Counting(file, "digits", "")
    async with serving(counting, Asking(stable(status, body).address, counting)) as client:
        await client.post("/", json={"age": 5})
        await until(client, lambda found: answered(found, outcome) == 1)


async def test_a_stable_version_that_is_away(file: Path, stable: Callable[..., Stable]) -> None:
    server, counting = stable(), Counting(file, "digits", "")
    server.shutdown()
    server.server_close()
    async with serving(counting, Asking(server.address, counting)) as client:
        await client.post("/", json={"age": 5})
        await until(client, lambda found: answered(found, "Unreachable") == 1)


async def test_nobody_is_asked_without_bins_for_answers(file: Path, stable: Callable[..., Stable]) -> None:
    put(file, document())
    counting, server = Counting(file, "digits", ""), stable()
    async with serving(counting, Asking(server.address, counting)) as client:
        await client.post("/", json={"age": 5})
        await until(client, lambda found: copies(found, "Counted") == 1)
    assert server.asked == []


def test_questions_that_find_no_room(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "AT_ONCE", 0)
    monkeypatch.setattr(asking, "WAITING", 1)
    counting = Counting(file, "digits", "")
    asks = Asking("http://127.0.0.1:1", counting)
    for _ in range(3):
        asks.put("/", b"{}", {})
    assert counting.answers["Overloaded"] == 2


def test_options_that_nobody_gives() -> None:
    wanted = program.parsed(["--reference=x"])
    assert (wanted.ask, wanted.percent, wanted.port) == (None, 100.0, 8080)


@pytest.mark.parametrize("arguments", [[], ["--percent=0"], ["--percent=101"], ["--ask=https://x"], ["--ask=x"], ["--max-body-mebibytes=99"]])  # fmt: skip
def test_wrong_options(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        program.parsed([*arguments, *(["--reference=x"] if arguments else [])])


async def test_the_program_serves_and_ends_when_it_is_told(file: Path) -> None:
    port = freeports.take()
    served = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sluice_observer", f"--reference={file}", f"--port={port}"),
        env={**os.environ, "PYTHONPATH": str(Path(program.__file__).parents[1])},
    )
    try:
        async with (
            asyncio.timeout(patience.HANG_SECONDS),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=patience.HANG_SECONDS) as client,
        ):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    assert (await client.get("/health")).text == "ok"
                    break
                await asyncio.sleep(0.05)
            assert (await client.post("/", json={"age": 5, "land": "de"})).status_code == 204
            await until(client, lambda found: copies(found, "Counted") == 1)
            served.terminate()
            assert await served.wait() in (0, -15)
    finally:
        if served.returncode is None:
            served.kill()
            await served.wait()
