"""Adapters of a language model: each answers by its name, is warmed up, and is released when it changes."""

import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.e2e.chats import ADAPTERS, NAME, SERVERS, Chat
from tests.support import patience
from tests.support.live import tokenstreams
from tests.support.live.scene import Object, Scene

REQUESTS: Final = 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=SERVERS)
def chat(scene: Scene, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    chat: Chat = request.param
    model = with_adapters(chat, dict(zip(ADAPTERS, ADAPTERS, strict=True)))
    chat.serve(scene, tmp_path_factory.mktemp(chat.case.name), model=model, warmup={"requests": REQUESTS})
    yield chat
    chat.end(scene)


def with_adapters(chat: Chat, files: dict[str, str]) -> Object:
    """The first version, with adapters of these files by their names."""
    listed = [chat.adapter(name, file) for name, file in files.items()]
    return {"format": chat.case.format, "uri": chat.uri("1"), "adapters": listed}


def answer(scene: Scene, model: str) -> str:
    """What it goes on with; always the same."""
    target = scene.target(NAME)
    body: dict[str, Any] = {"model": model, "prompt": "Once upon a time", "max_tokens": 60, "temperature": 0}
    found = httpx.post(
        f"{target.url}/v1/completions", json=body, headers={"Host": target.host}, timeout=patience.HANG_SECONDS
    )
    found.raise_for_status()
    return str(found.json()["choices"][0]["text"])


def test_each_is_warmed_up_and_answers_by_its_name(chat: Chat, scene: Scene) -> None:
    [pod] = scene.ready_pods(NAME)
    log = scene.tools.kubectl("logs", pod, scene.where, "--container=warm-up")
    print(f"\n{log}")
    assert len(re.findall(rf"{REQUESTS} requests.*: the first took", log)) == 1 + len(ADAPTERS)
    answers = {model: answer(scene, model) for model in (NAME, *ADAPTERS)}
    print(answers)
    assert len(set(answers.values())) == 1 + len(ADAPTERS)


def test_a_changed_one_is_released_and_cuts_no_stream(chat: Chat, scene: Scene) -> None:
    first, second = ADAPTERS
    base, other = answer(scene, NAME), answer(scene, second)
    with tokenstreams.kept_whole(scene, NAME, model=first, count=5, tokens=chat.tokens) as streams:
        model = with_adapters(chat, {first: second, second: second})
        rollout = scene.begun_by(NAME, lambda: scene.patch(NAME, {"model": model}))
        status = scene.wait_outcome(rollout, 180 * chat.times)
        assert status["outcome"] == "Promoted", status["message"]
        streams.open_through(lambda: scene.wait_only_stable_runs(NAME, 180 * chat.times))
    assert answer(scene, NAME) == base
    assert answer(scene, first) == other
