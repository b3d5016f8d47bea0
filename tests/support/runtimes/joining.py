"""Many concurrent callers of a Triton without a cluster, and its statistics of the batches that it made."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from tests.support.runtimes.asking import Ask, Place
from tests.support.runtimes.local import LocalHost
from tests.support.runtimes.table import MODEL, Case

BATCHING: Final = {"runtime": {"batching": {"maximumBatchSize": 16, "maximumQueueDelayMicroseconds": 2000}}}
CALLERS: Final = 16


@dataclass(frozen=True, slots=True)
class Joined:
    """rate: requests/s. mean_batch: requests for each run of the model, from Triton's own statistics."""

    rate: float
    mean_batch: float


@contextmanager
def served(case: Case, folder: Path) -> Iterator[Place]:
    folder.chmod(0o755)
    host = LocalHost(case, folder)
    try:
        with host.start() as server:
            server.wait_ready(host.case.seconds)
            yield host.place(server)
    finally:
        host.close()


async def sent(asks: Sequence[Ask], place: Place) -> list[str]:
    """Problems of the requests, sent by a fixed number of concurrent callers."""
    free = asyncio.Semaphore(CALLERS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLERS)) as session:

        async def one(ask: Ask) -> str:
            async with free:
                return await ask.send(session, place)

        return await asyncio.gather(*map(one, asks))


def joined(asks: Sequence[Ask], place: Place) -> Joined:
    """Raises AssertionError unless each request is answered correctly."""
    began = time.monotonic()
    assert asyncio.run(sent(asks, place)) == [""] * len(asks)
    return Joined(len(asks) / (time.monotonic() - began), mean_batch(place))


def mean_batch(place: Place) -> float:
    [stats] = asyncio.run(_fetched(f"{place.url}/v2/models/{MODEL}/stats"))["model_stats"]
    return float(stats["inference_count"]) / float(stats["execution_count"])


def infer(rows: Any, labels: list[int], *, name: str = "image", version: str = "") -> Ask:
    rows = np.asarray(rows, np.float32)
    tensor = {"name": name, "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    body = {"inputs": [tensor], "outputs": [{"name": "label"}]}
    path = f"/v2/models/{MODEL}{version}/infer"
    return Ask("V2", path, body, lambda answer: answer["outputs"][0]["data"] == labels)


async def _fetched(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()
