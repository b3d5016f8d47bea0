"""Language models on llama.cpp: what bad models, servers and clients do, and what a profile says."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from demo import languagemodels
from demo.languagemodels import Adapter, Shape
from tests.e2e.chats import CANARY, NAME, ON_LLAMACPP, STREAMS
from tests.support import badplugin, patience
from tests.support.live import tokenstreams
from tests.support.live.scene import Scene, wait_until
from tests.support.live.tokenstreams import TokenStream, TokenStreams

DEPLOYMENTS: Final = "modeldeployments.sluice.dev"
PORT: Final = 8080
ROOM: Final = (f"--parallel={STREAMS}", "--context-length=1024")
BROKEN: Final = [
    {"name": "broken-streams", "failureRatio": {"source": "Server", "events": "BrokenStreams", "maximum": "5%"}}
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def chat(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A good one serves, and there is an adapter for a larger base."""
    folder = tmp_path_factory.mktemp("models")
    ON_LLAMACPP.serve(scene, folder)
    scene.apply(badplugin.config_map())
    path: Path = languagemodels.write_adapter(folder / "foreign.gguf", Adapter(Shape(width=128)))
    ON_LLAMACPP.upload(scene, "foreign", {"adapter.gguf": path.read_bytes()})


@pytest.fixture
def streams(scene: Scene) -> Iterator[TokenStreams]:
    """Twenty at a time of the good model, none of which is cut."""
    with tokenstreams.kept_whole(scene, NAME, count=STREAMS, tokens=ON_LLAMACPP.tokens) as streams:
        yield streams


@contextmanager
def served(scene: Scene, name: str, **spec: Any) -> Iterator[None]:
    ON_LLAMACPP.deploy(scene, name, **spec)
    scene.wait_ready(name)
    yield
    forget(scene, name)


def forget(scene: Scene, name: str) -> None:
    scene.tools.kubectl("delete", DEPLOYMENTS, name, scene.where, "--wait=false")


def read(scene: Scene, name: str, word: str, tokens: int) -> TokenStream:
    """A stream that is read to its end, whatever comes. word: what the bad plug-in hears."""
    with tokenstreams.asked(scene, name, prompt=word, count=1, tokens=tokens, again=False) as streams:
        wait_until(lambda: streams.over, "it is over")
    [stream] = streams.all
    return stream


def counted(scene: Scene, name: str, series: str) -> dict[str, float]:
    """Its value on each ready pod."""
    return {pod: scene.metric(pod, PORT, series) for pod in scene.ready_pods(name)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runtime": {"args": ["--context-length=40000"]}}, "was trained for 32768 tokens; use at most 32768"),
        (
            {
                "runtime": {"args": ["--context-length=32768", "--parallel=20"]},
                "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "256Mi"}},
            },
            "the KV cache takes 320 MiB, out of memory with 256 MiB",
        ),
        ({"runtime": {"args": ["--lora=poet=/models/model.gguf"]}}, "an adapter's is 'adapter'"),
        (
            {"model": {"adapters": [ON_LLAMACPP.adapter("poet", "foreign")]}},
            "was made for another base",
        ),
    ],
    ids=["context too long", "out of memory", "no adapter", "adapter of another base"],
)
def test_what_cannot_be_served_is_said_on_the_model(scene: Scene, change: dict[str, Any], words: str) -> None:
    ON_LLAMACPP.deploy(scene, "wrong", **change)
    ready = scene.wait_condition("wrong", "Ready", lambda found: words in found.get("message", ""), f"it says: {words}")
    print(f"\n{ready['message']}")
    assert (ready["status"], ready["reason"]) == ("False", "ModelNotLoadable")
    forget(scene, "wrong")


def test_a_server_that_the_kernel_ends_for_its_memory_says_so(scene: Scene) -> None:
    """Nothing could be said beforehand: its own code takes more."""
    ON_LLAMACPP.deploy(scene, "hungry", resources={"limits": {"memory": "32Mi"}})
    ready = scene.wait_condition("hungry", "Ready", lambda found: found.get("reason") == "OOMKilled", "it is told")
    assert ready["status"] == "False"
    assert "raise spec.resources.limits.memory" in ready["message"]
    forget(scene, "hungry")


@pytest.mark.parametrize("megabytes", [2, 40], ids=lambda megabytes: f"{megabytes} MB")
def test_a_prompt_over_the_gateways_buffer_is_refused_and_cuts_none(
    scene: Scene, streams: TokenStreams, megabytes: int
) -> None:
    """Envoy holds 1 MiB of a connection; what is longer than the model's context is refused by the server alone."""
    target = scene.target(NAME)
    prompt = "a" * (megabytes * 1_000_000)
    body = {"model": NAME, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    url, headers = f"{target.url}{tokenstreams.PATH}", {"Host": target.host}
    asked: list[httpx.Response] = []
    streams.open_through(
        lambda: asked.append(httpx.post(url, json=body, headers=headers, timeout=patience.HANG_SECONDS))
    )
    [answer] = asked
    print(f"\n{answer.status_code}: {answer.text[:200]}")
    assert answer.status_code in (400, 413)


def test_an_engine_that_dies_inside_its_answers_is_taken_out(scene: Scene, streams: TokenStreams) -> None:
    """Each of its answers is a 200 with an error event: to the gateway all is well. Other models' streams stay whole."""
    streams.wait_all_open()
    name = "dying"
    with served(scene, name, rollout={"canary": CANARY, "objectives": BROKEN}):
        good = scene.stable(name)
        with tokenstreams.asked(scene, name, prompt=badplugin.BREAKS, count=5, tokens=50) as asked:
            wait_until(lambda: asked.whole > 5, "it answers")
            rollout = scene.begun_by(name, lambda: scene.patch(name, badplugin.spec(*ROOM)))
            status = scene.wait_outcome(rollout)
            scene.wait_status(rollout, lambda status: status.get("weight") == 0, "gets none")
            asked.finish()
        broken = [each for each in asked.all if each.problem]
        print(f"\n{status['message']}\n{len(broken)} of {len(asked.all)} broken: {broken[0].problem}")
        assert status["outcome"] == "RolledBack"
        assert "broken-streams" in status["message"]
        assert {"the answer ended early" in each.problem for each in broken} == {True}
        assert good not in {each.revision for each in broken}


def test_a_client_that_stops_reading_keeps_no_place(scene: Scene, streams: TokenStreams) -> None:
    """Two of them take both places of a model; each is ended, and who reads is answered."""
    streams.wait_all_open()
    name = "stalled"
    arguments = ["--parallel=2", "--context-length=32768", "--stalled-seconds=10"]
    cancelled = 'sluice_llm_streams_total{outcome="Cancelled"}'
    with served(scene, name, runtime={"args": arguments}), ExitStack() as stack:
        clients = [stack.enter_context(_reads_no_more(scene, name)) for _ in range(2)]
        wait_until(
            lambda: list(counted(scene, name, "sluice_llm_requests_running").values()) == [2],
            "both are taken",
        )
        answer = read(scene, name, "Say something.", tokens=20)
        print(f"\nanswered after {answer.first - answer.began:.0f} s")
        assert answer.problem == ""
        wait_until(lambda: list(counted(scene, name, cancelled).values()) == [len(clients)], "both are ended")
        assert list(counted(scene, name, 'sluice_llm_streams_total{outcome="Broken"}').values()) == [0]


@contextmanager
def _reads_no_more(scene: Scene, name: str) -> Iterator[socket.socket]:
    """A client that has read the first bytes of an answer that no buffer on the way has room for."""
    target = scene.target(name)
    body = {"model": name, "stream": True, "prompt": "Go on", "max_tokens": 30_000, "n_probs": 50}
    text = json.dumps(body).encode()
    url = httpx.URL(target.url)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {target.host}\r\nContent-Length: {len(text)}\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=patience.HANG_SECONDS) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + text)
        assert client.recv(1024).startswith(b"HTTP/1.1 200")
        yield client


def test_a_server_that_does_not_hear_the_end_and_an_answer_without_one_hold_up_nothing(scene: Scene) -> None:
    """What had begun and ends is whole; what never ends is cut when its time is over."""
    name, drain = "deaf", 10
    with served(scene, name, drainSeconds=drain, **badplugin.spec(*ROOM, deaf=True)):
        old = scene.stable(name)
        with (
            tokenstreams.kept_whole(scene, name, count=STREAMS - 1, tokens=ON_LLAMACPP.tokens) as whole,
            tokenstreams.asked(scene, name, prompt=badplugin.ENDLESS, count=1, again=False) as endless,
        ):
            endless.wait_all_open()
            rollout = scene.begun_by(
                name, lambda: scene.patch(name, {"runtime": {"env": None}, "volumes": None, "volumeMounts": None})
            )
            status = scene.wait_outcome(rollout)
            assert status["outcome"] == "Promoted", status["message"]
            whole.open_through(lambda: scene.wait_only_stable_runs(name))
            wait_until(lambda: endless.over, "it is cut")
        [cut] = endless.all
        print(f"\n{cut.events} events in {cut.ended - cut.began:.0f} s: {cut.problem}")
        assert cut.revision == old
        assert cut.problem


def test_an_answer_that_has_begun_is_never_asked_for_again(scene: Scene) -> None:
    """Its server ends after the first token: the other one is not asked."""
    name, requests = "twice", 'sluice_llm_requests_total{code="2xx"}'
    with served(scene, name, replicas=2, **badplugin.spec(*ROOM)):
        before = wait_until(
            lambda: found if len(found := counted(scene, name, requests)) == 2 else None, "two are ready"
        )
        cut = read(scene, name, badplugin.DIES, tokens=20)
        print(f"\n{cut.events} events, then {cut.problem}")
        assert cut.events > 0
        assert cut.problem
        died = wait_until(lambda: restarted(scene, name), "its server is begun again")
        assert len(died) == 1
        assert [scene.metric(pod, PORT, requests) for pod in before.keys() - died] == [0]


def restarted(scene: Scene, name: str) -> set[str]:
    """Pods whose server has ended and begun again."""
    return {
        pod["metadata"]["name"]
        for pod in scene.pods(name)
        if any(each["restartCount"] for each in pod["status"]["containerStatuses"])
    }


def test_without_a_limit_a_slow_stream_is_whole_and_a_silent_one_is_ended(scene: Scene) -> None:
    """By the gateway's idle limit, five minutes."""
    name, tokens = "idle", 17
    with served(scene, name, **badplugin.spec(*ROOM)):
        asked = partial(tokenstreams.asked, scene, name, count=1, again=False, silent_seconds=400)
        with asked(prompt=badplugin.RARE, tokens=tokens) as rare, asked(prompt=badplugin.SILENT) as silent:
            wait_until(lambda: rare.over and silent.over, "both end", seconds=480)
        [slow], [still] = rare.all, silent.all
        print(f"\nslow: {slow.ended - slow.began:.0f} s; silent: {still.ended - still.began:.0f} s, {still.problem}")
        assert slow.problem == ""
        assert slow.ended - slow.began > tokens * badplugin.RARE_SECONDS
        assert still.events > 0
        assert still.problem


def test_a_profile_says_what_a_server_of_language_models_can_do(scene: Scene) -> None:
    command = ("--concurrency=1,4,16,32", "--seconds=5")
    print(f"\n{scene.plugin('profile', NAME, *command)}")
    profile = json.loads(scene.plugin("profile", NAME, "--concurrency=4", "--seconds=2", "--output=json"))
    (row,) = profile["rows"]
    assert row["failures"] == 0
    assert row["tokensPerSecond"] > 0
    assert row["firstP50Millis"] > 0
    assert row["running"] == 4


def test_the_models_before_are_as_they_were(scene: Scene, streams: TokenStreams) -> None:
    streams.wait_all_open()
    assert scene.condition(NAME, "Ready")["status"] == "True"
