"""A language model whose replicas follow what its own server counts, on llama.cpp: pods come and go, and cut no stream."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from demo import cluster as clusters
from demo import languagemodels, setup
from lab import images
from tests.e2e.conftest import keda_for, upgrade
from tests.support import together
from tests.support.runtimes.asking import Place
from tests.support.scene import Scene, wait_until
from tests.support.tokenstreams import TokenStreams

KEY: Final = "scaled-chat/model.gguf"
SCALED_OBJECT: Final = "scaledobjects.keda.sh"
FEW: Final = 2
"""Streams that one pod is enough for: open from the first pod to the last."""
MORE: Final = 18
"""Together with them too many for one pod."""
TOKENS: Final = 250
LONGEST_SECONDS: Final = 20
"""An answer's, on busy processors."""
SHARED: Final = 0.75
"""Of what one pod had each has less, when there are two."""

pytestmark = [pytest.mark.slow, pytest.mark.disturbs, pytest.mark.timeout(900)]


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
    """The server's image and runtime, a model in the store, and KEDA."""
    image = clusters.SERVER_IMAGES["llamacpp"]
    with together.locked(together.IMAGES):
        clusters.stage(image)
        images.build(image.context, image.tag, containerfile=image.containerfile)
    upgrade(scene.cluster, "--set=runtimes.llamacpp.create=true", f"--set=runtimes.llamacpp.image={image.tag}")
    path = languagemodels.write(tmp_path_factory.mktemp("model") / "model.gguf")
    setup.object_store(scene.cluster).upload_file(str(path), setup.BUCKET, KEY)
    with keda_for(scene):
        yield scene


def spec(load: Load) -> dict[str, Any]:
    bounds = {"minimumReplicas": 1, "maximumReplicas": 2, "scaleDownAfterSeconds": 15}
    return {
        "model": {"format": "gguf", "uri": f"s3://{setup.BUCKET}/{KEY}"},
        "runtime": {"args": [f"--parallel={load.parallel}", "--context-length=1024"]},
        "drainSeconds": LONGEST_SECONDS,
        "routing": None,  # the runtime's: no limit of the whole answer
        "autoscaling": {**bounds, "target": {"metric": load.metric, "value": load.value}},
    }


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.metric)
def test_streams_make_a_second_pod_and_lose_it_again(chat: Scene, load: Load) -> None:
    chat.deploy(load.name, "1", **spec(load))
    chat.wait_ready(load.name, 120)
    revision = chat.stable(load.name)
    wait_until(lambda: measured(chat, revision) == 0, "nobody asks, and Prometheus knows", seconds=90)
    seen: list[float] = []

    def look() -> float:
        """What KEDA's question has for an answer now; what is missing is no load."""
        seen.append(measured(chat, revision) or 0.0)
        return seen[-1]

    with streams(chat, load, FEW) as few:
        few.wait_all_open()
        with streams(chat, load, MORE) as more:
            wait_until(lambda: look() > load.value, "Prometheus sees more than the target", seconds=120)
            wait_until(lambda: (look(), replicas(chat, revision))[1] == 2, "they have made a pod", seconds=150)
            wait_until(lambda: len(chat.ready_pods(load.name)) == 2, "it is ready", seconds=90)
            ready = time.monotonic()
            wait_until(lambda: answering(chat, revision) == 2, "both pods answer", seconds=90)
            wait_until(lambda: look() < SHARED * max(seen), "each has its part of them", seconds=180)
            wait_until(lambda: active(chat, load) == "True", "it is told", seconds=30)
            assert replicas(chat, revision) == 2, "two are as many as it takes"
        wait_until(lambda: replicas(chat, revision) == 1, "one pod is enough again", seconds=300)
        wait_until(lambda: len(chat.pods(load.name)) == 1, "the other one has ended", seconds=120)
        few.wait_all_open()
    every = [*few.all, *more.all]
    problems = [stream.problem for stream in every if stream.problem]
    print(f"\n{load.metric}: at most {max(seen):.3g}, {len(every)} streams, {len(problems)} cut: {problems[:3]}")
    assert any(stream.was_open(ready) for stream in every)
    assert problems == []
    assert all(stream.ended for stream in every)
    chat.tools.kubectl("delete", "modeldeployments.sluice.dev", load.name, chat.where, "--timeout=120s")


def streams(chat: Scene, load: Load, count: int) -> TokenStreams:
    target = chat.target(load.name)
    place = Place(target.url.rstrip("/"), headers={"Host": target.host})
    return TokenStreams(place, load.name, count=count, tokens=TOKENS)


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
    said = httpx.get(f"{chat.cluster.prometheus}/api/v1/query", params={"query": query}, timeout=10)
    said.raise_for_status()
    return [float(each["value"][1]) for each in said.json()["data"]["result"]]
