"""A language model whose replicas follow what its own server counts, on llama.cpp: pods come and go, and cut no stream."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from tests.e2e.chats import ON_LLAMACPP
from tests.e2e.conftest import keda_for
from tests.support import patience
from tests.support.live.scene import Scene, wait_until
from tests.support.live.tokenstreams import asked

SCALED_OBJECT: Final = "scaledobjects.keda.sh"
FEW: Final = 2
"""Streams that one pod is enough for: open from the first pod to the last."""
MORE: Final = 18
"""Together with them too many for one pod."""
SHARED: Final = 0.75
"""Of what one pod had each has less, when there are two."""

pytestmark = [pytest.mark.slow, pytest.mark.disturbs]


@dataclass(frozen=True, slots=True)
class Load:
    """A target that FEW and MORE streams exceed on one pod, and not by so much on two that these would be left again."""

    metric: str
    value: int
    parallel: int
    """Answers that a pod computes at a time; the others wait in it."""

    @property
    def name(self) -> str:
        """Of the ModelDeployment."""
        return f"by-{self.metric.lower()}"


LOADS: Final = [
    Load("RunningRequests", 12, parallel=FEW + MORE),  # 20 on one pod, 10 on each of two
    Load("WaitingRequests", 3, parallel=8),  # 12 wait in one pod, 2 in each of two
    Load("KVCacheUsage", 2, parallel=FEW + MORE),  # percent: the prompts alone fill 3 of one pod, with their answers 15
]


@pytest.fixture(scope="module")
def chat(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All that the model needs, and KEDA."""
    ON_LLAMACPP.prepare(scene, tmp_path_factory.mktemp("models"))
    with keda_for(scene):
        yield scene


def deploy(chat: Scene, load: Load) -> None:
    bounds = {"minimumReplicas": 1, "maximumReplicas": 2, "scaleDownAfterSeconds": 15}
    ON_LLAMACPP.deploy(
        chat,
        load.name,
        runtime={"args": [f"--parallel={load.parallel}", "--context-length=1024"]},
        autoscaling={**bounds, "target": {"metric": load.metric, "value": load.value}},
    )


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.metric)
def test_streams_make_a_second_pod_and_lose_it_again(chat: Scene, load: Load) -> None:
    deploy(chat, load)
    chat.wait_ready(load.name)
    revision = chat.stable(load.name)
    wait_until(lambda: measured(chat, revision) == 0, "nobody asks, and Prometheus knows")
    seen: list[float] = []

    def look() -> float:
        """What KEDA's question has for an answer now; what is missing is no load."""
        seen.append(measured(chat, revision) or 0.0)
        return seen[-1]

    with asked(chat, load.name, count=FEW, tokens=ON_LLAMACPP.tokens) as few:
        few.wait_all_open()
        with asked(chat, load.name, count=MORE, tokens=ON_LLAMACPP.tokens) as more:
            wait_until(lambda: look() > load.value, "Prometheus sees more than the target")
            wait_until(lambda: (look(), replicas(chat, revision))[1] == 2, "they have made a pod")
            wait_until(lambda: len(chat.ready_pods(load.name)) == 2, "it is ready")
            ready = time.monotonic()
            wait_until(lambda: answering(chat, revision) == 2, "both pods answer")
            wait_until(lambda: look() < SHARED * max(seen), "each has its part of them")
            wait_until(lambda: active(chat, load) == "True", "it is told")
            assert replicas(chat, revision) == 2, "two are as many as it takes"
        wait_until(lambda: replicas(chat, revision) == 1, "one pod is enough again", seconds=300)
        wait_until(lambda: len(chat.pods(load.name)) == 1, "the other one has ended")
        few.wait_all_open()
    every = [*few.all, *more.all]
    problems = [stream.problem for stream in every if stream.problem]
    print(f"\n{load.metric}: at most {max(seen):.3g}, {len(every)} streams, {len(problems)} cut: {problems[:3]}")
    assert any(stream.was_open(ready) for stream in every)
    assert problems == []
    assert all(stream.ended for stream in every)
    chat.tools.kubectl("delete", "modeldeployments.sluice.dev", load.name, chat.where, "--timeout=240s")


def replicas(chat: Scene, revision: str) -> int:
    return int(chat.tools.get("deployment", revision, chat.where)["spec"]["replicas"])


def active(chat: Scene, load: Load) -> str | None:
    """The status of the model's condition ScalingActive."""
    return chat.condition(load.name, "ScalingActive").get("status")


def measured(chat: Scene, revision: str) -> float | None:
    """Prometheus' answer to what the revision's ScaledObject asks; None: there is none."""
    [trigger] = chat.tools.get(SCALED_OBJECT, revision, chat.where)["spec"]["triggers"]
    values = answers(chat, trigger["metadata"]["query"])
    assert len(values) <= 1
    return values[0] if values else None


def answering(chat: Scene, revision: str) -> int:
    """How many pods have a request that they compute, as Prometheus has scraped them."""
    gauge = f'sluice_llm_requests_running{{namespace="{chat.namespace}", pod=~"{revision}-.*"}}'
    return len(answers(chat, f"{gauge} > 0"))


def answers(chat: Scene, query: str) -> list[float]:
    """The values of an instant query."""
    said = httpx.get(f"{chat.cluster.prometheus}/api/v1/query", params={"query": query}, timeout=patience.HANG_SECONDS)
    said.raise_for_status()
    return [float(each["value"][1]) for each in said.json()["data"]["result"]]
