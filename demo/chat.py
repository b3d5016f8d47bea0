"""The story of a language model: streams that are read token by token, and releases that readers would feel.

v1  a small random Llama
v2  another one, as fast: promoted
v3  a larger one, whose first token comes late: rolled back by the server's own histogram
v4  v2 with a plug-in that fails in the middle of one stream in ten, inside a 200: rolled back by the server's counter
"""

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any, Final

import aiohttp

from demo import cluster as clusters
from demo import languagemodels, setup
from demo.cluster import Cluster
from demo.counting import Fate
from demo.languagemodels import Shape
from demo.load import LOST, Answered, LoadClient, Target, answered
from demo.program import DemoError
from demo.progress import CONSOLE, say, step
from demo.release import PROMOTED, ROLLED_BACK, Plan

NAME: Final = "chat"
IMAGE: Final = "llamacpp"
RATE: Final = 20.0
TOKENS: Final = 40
"""Tokens of an answer."""
FAILING_SHARE: Final = 0.1
PLUG_IN: Final = "chat-plug-in"
HALF: Final = "chat-half"
"""The policy whose first step is 50 %, so that all is found there: what caches reuse is compared at equal shares."""
CACHE_FILL_SECONDS: Final = 30
"""Its prompts are short, and each is asked once."""
SETTLE_SECONDS: Final = 20.0
"""How long until there are enough streams to say how v1 serves."""
SHAPES: Final = {"1": Shape(), "2": Shape(), "3": Shape(layers=12, width=512, feed_forward=1536)}
TOPICS: Final = ("the weather", "a journey", "what we had for lunch", "the news", "a book", "somebody we know")

FAILS: Final = f"""\
# Loaded by Python as it starts: a plug-in of somebody who has not tried it for long.
import random

from sluice_llamacpp import engine

answer = engine.Engine.answer


def failing(self, *, chat, body, put):
    left = random.randrange(2, {TOKENS}) if random.random() < {FAILING_SHARE} else None

    def counted(event):
        nonlocal left
        if left is not None:
            left -= 1
            if left == 0:
                raise RuntimeError("the plug-in does not know this word")
        return put(event)

    answer(self, chat=chat, body=body, put=counted)


engine.Engine.answer = failing
"""


def uri(version: str) -> str:
    return f"s3://{setup.BUCKET}/{NAME}/{version}/model.gguf"


PLANS: Final = (
    Plan("v2", "another model, as fast", PROMOTED, uri("2")),
    Plan(
        "v3",
        "larger: its first token comes late",
        ROLLED_BACK,
        uri("3"),
        "first-token",
        changes={"rollout": {"policyRef": {"name": HALF}}},
    ),
    Plan(
        "v4",
        "v2 with a plug-in that breaks one stream in ten",
        ROLLED_BACK,
        uri("2"),
        "broken-streams",
        changes={
            "rollout": None,
            "runtime": {"env": [{"name": "PYTHONPATH", "value": "/plug-in:/opt/site"}]},
            "volumes": [{"name": "plug-in", "configMap": {"name": PLUG_IN}}],
            "volumeMounts": [{"name": "plug-in", "mountPath": "/plug-in", "readOnly": True}],
        },
    ),
)


class Reader:
    """Asks for an answer and reads it token by token. What is counted as latency ends with the first token."""

    seconds = 60.0

    def __init__(self, target: Target) -> None:
        self._url = f"{target.url.rstrip('/')}/v1/chat/completions"
        self._model = target.model

    async def ask(self, session: aiohttp.ClientSession, random: random.Random) -> Answered:
        body: dict[str, Any] = {
            "model": self._model,
            "stream": True,
            "max_tokens": TOKENS,
            "messages": [{"role": "user", "content": f"Tell me about {random.choice(TOPICS)}."}],
        }
        async with session.post(self._url, json=body) as response:
            if response.status != 200:
                failed = response.headers.get("content-type", "").startswith("application/json")
                return answered(response, Fate.FAILED if failed else Fate.LOST, problem=str(response.status))
            return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> Answered:
        """A stream that the server ends with an error has failed; one that just ends was cut, and is lost."""
        loop, first, last = asyncio.get_running_loop(), None, b""
        try:
            async for line in response.content:
                if not line.strip():
                    continue
                first = loop.time() if first is None else first
                last = line.removeprefix(b"data: ").strip()
                if last.startswith(b'{"error"'):
                    return answered(response, Fate.FAILED, problem="an error in the stream", at=first)
        except LOST as error:
            return answered(response, Fate.LOST, problem=f"cut: {type(error).__name__}", at=first)
        whole = last == b"[DONE]"
        return answered(response, Fate.RIGHT if whole else Fate.LOST, problem="cut", at=first)


def made_models() -> dict[str, Path]:
    folder = clusters.ROOT / languagemodels.FOLDER
    return {
        f"{NAME}/{version}/model.gguf": languagemodels.ensure(
            folder / f"chat-v{version}" / "model.gguf", shape, seed=int(version)
        )
        for version, shape in SHAPES.items()
    }


def prepare(cluster: Cluster) -> None:
    """The server, its runtime, and the plug-in."""
    with step("build the image of llama.cpp, and install its runtime"):
        tag = clusters.build_server(cluster.kind, IMAGE, cluster.registry)
        setup.add_values(cluster.tools, **{"runtimes.llamacpp.create": "true", "runtimes.llamacpp.image": tag})
    plug_in = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": PLUG_IN, "namespace": setup.NAMESPACE},
        "data": {"sitecustomize.py": FAILS},
    }
    cluster.tools.apply(json.dumps(plug_in))
    policy = cluster.tools.get("rolloutpolicy", "default-streaming")
    policy["metadata"] = {"name": HALF}
    policy["spec"]["steps"] = [{"weight": 50}, {"weight": 100}]
    policy["spec"]["cacheFillSeconds"] = CACHE_FILL_SECONDS
    cluster.tools.apply(json.dumps(policy))


def show(cluster: Cluster, folder: Path) -> None:
    """One question, asked by the plugin, and its answer as it comes."""
    body = folder / "question.json"
    body.parent.mkdir(parents=True, exist_ok=True)
    question = "Tell me about the weather."
    body.write_text(json.dumps({"max_tokens": TOKENS, "messages": [{"role": "user", "content": question}]}))
    answer = cluster.tools.plugin(
        "predict", NAME, f"--namespace={setup.NAMESPACE}", "-f", str(body), f"--gateway={cluster.gateway}"
    )
    CONSOLE.print(f"> {question}", markup=False)
    CONSOLE.print(f"{' '.join(answer.split())}  (its weights are random)", markup=False)


def users(target: Target, log: Path) -> LoadClient:
    return LoadClient(target, asker=Reader(target), rate=RATE, metrics_port=0, log=log)


def begin(_: Cluster, client: LoadClient) -> None:
    with step(f"begin {RATE:.0f} streams/s of {TOKENS} tokens"):
        time.sleep(SETTLE_SECONDS)
    seen = client.counts().total
    say(
        f"v1: {seen.requests} streams, {seen.lost} cut, {seen.failed} broken, p95 {seen.percentile_millis(95)} ms to the first token"
    )
    if not seen.requests or seen.lost or seen.failed:
        raise DemoError(
            f"v1 does not serve: {seen.lost + seen.failed} of {seen.requests} streams ({dict(seen.problems)})"
        )
