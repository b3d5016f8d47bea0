"""The observer's costs: processor time, memory, and the time to answer a copy."""

import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.cluster import ROOT
from demo.progress import step
from kubectl_sluice.offline import reference
from kubectl_sluice.offline.reference import BinnedFeature, Reference, SampledColumn
from lab import freeports
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table

KEY: Final = "observer"
FEATURES: Final = 20
ROWS: Final = 4
CONNECTIONS: Final = 8
RATE: Final = 100.0
START_SECONDS: Final = 60.0
LARGEST: Final = 1_000_000
"""Bytes of a body of numbers, slightly less than the reading limit."""
MOST_MEBIBYTES: Final = 256
"""The chart's limit of the observer's memory."""
METHOD: Final = f"""\
Copies come at a steady rate over {CONNECTIONS} connections, as from a gateway's proxy: V2 requests in JSON with {ROWS} rows of
{FEATURES} features in one tensor, each with 10 bins. *Of a tenth*: the observer leaves out nine of ten, as behind a gateway
that copies all. *Hostile*: bodies of a megabyte of numbers, each sent as soon as the one before was answered. Processor time
and memory are those of the observer's process; on the data path nothing was measured, as there is no gateway."""


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """The load to send. rate: copies a second; None: as fast as they are answered. percent: of them, inspected."""

    name: str
    rate: float | None
    percent: int = 100
    hostile: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    percent_of_a_core: float
    mebibytes: float
    """The process's peak."""
    answer_millis: Sequence[float]
    """Sorted."""
    copies: dict[str, float]
    """By outcome."""


LOADS: Final = (
    Load(f"{RATE:.0f} copies/s", RATE),
    Load(f"{RATE:.0f} copies/s, of a tenth", RATE, percent=10),
    Load(f"{4 * RATE:.0f} copies/s", 4 * RATE),
    Load("hostile", None, hostile=True),
)


def measure(options: Options) -> Section:
    machine = report.host()
    found = {}
    for load in LOADS:
        with step(f"observer: {load.name}"):
            found[load.name] = asyncio.run(_cost(load, options.seconds))
    return section(found, machine)


def section(found: dict[str, Cost], machine: tuple[str, ...]) -> Section:
    usual, most = found[LOADS[0].name], max(cost.mebibytes for cost in found.values())
    columns = ("load", "of a core", "memory", "answered in, median", "99 of 100", "counted", "left out")
    return Section(
        key=KEY,
        title="The observer",
        method=METHOD,
        figures=(
            Figure(f"processor time at {LOADS[0].name}", f"{usual.percent_of_a_core:.1f} % of a core"),
            Figure(f"memory at {LOADS[0].name}", f"{usual.mebibytes:.0f} MiB"),
            Figure("memory at most", f"{most:.0f} MiB", f"≤ {MOST_MEBIBYTES} MiB", most <= MOST_MEBIBYTES),
        ),
        tables=(Table(columns, [_row(name, cost) for name, cost in found.items()]),),
        machine=machine,
    )


def _row(name: str, cost: Cost) -> tuple[str, ...]:
    ranked, counted = cost.answer_millis, cost.copies.get("Counted", 0.0)
    return (
        name,
        f"{cost.percent_of_a_core:.1f} %",
        f"{cost.mebibytes:.0f} MiB",
        f"{statistics.median(ranked):.1f} ms",
        f"{ranked[int(len(ranked) * 0.99)]:.1f} ms",
        f"{counted:,.0f}",
        f"{sum(cost.copies.values()) - counted:,.0f}",
    )


async def _cost(load: Load, seconds: float) -> Cost:
    port = freeports.take()
    sent = [_request(body) for body in (_hostile() if load.hostile else _bodies())]
    async with _serving(port, load.percent) as pid:
        before = await _metrics(port)
        parts = await asyncio.gather(*(_sends(port, worker, load.rate, seconds, sent) for worker in range(CONNECTIONS)))
        await asyncio.sleep(1)
        after = await _metrics(port)
        peak = _peak(pid)
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    outcomes = {
        name.split('outcome="')[1].split('"')[0]: value for name, value in after.items() if "copies_total" in name
    }
    return Cost(
        percent_of_a_core=100 * cpu / (seconds + 1),
        mebibytes=peak,
        answer_millis=sorted(value for part in parts for value in part),
        copies=outcomes,
    )


@asynccontextmanager
async def _serving(port: int, percent: int) -> AsyncIterator[int]:
    """The observer, started as in its image. Yields its process id."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / reference.KEY).write_text(_reference())
        served = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sluice_observer", "--reference", folder, "--model=digits"),
            *(f"--port={port}", f"--percent={percent}"),
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT / "serving-runtime" / "observer")},
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(port):  # noqa: ASYNC110 - what is looked at tells nobody
                    await asyncio.sleep(0.1)
            yield served.pid
        finally:
            served.terminate()
            await served.wait()


def _peak(pid: int) -> float:
    """The peak memory of a process, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


async def _answers(port: int) -> bool:
    try:
        return bool(await _metrics(port))
    except OSError:
        return False


def _reference() -> str:
    rolls = random.Random(1)
    made = [
        reference.feature_of(SampledColumn(f"f{place}", [rolls.gauss(0, 1) for _ in range(2000)], "x", place), 10)
        for place in range(FEATURES)
    ]
    return reference.dumped(Reference(2000, tuple(each for each in made if isinstance(each, BinnedFeature))))


def _bodies() -> list[bytes]:
    rolls = random.Random(2)
    return [_body(ROWS, [round(rolls.gauss(0, 1), 4) for _ in range(ROWS * FEATURES)]) for _ in range(100)]


def _hostile() -> list[bytes]:
    numbers = LARGEST // 3 // FEATURES * FEATURES
    return [_body(numbers // FEATURES, [1] * numbers)]


def _body(rows: int, data: Sequence[float]) -> bytes:
    tensor = {"name": "x", "shape": [rows, FEATURES], "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


def _request(body: bytes) -> bytes:
    return f"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return await reader.readexactly(int(length[1])) if length else b""


async def _metrics(port: int) -> dict[str, float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    text = (await _answer(reader)).decode()
    writer.close()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


async def _sends(port: int, worker: int, rate: float | None, seconds: float, sent: list[bytes]) -> list[float]:
    """Milliseconds of each answer, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began, took = time.monotonic(), list[float]()
    while True:
        due = 0.0 if rate is None else (len(took) * CONNECTIONS + worker) / rate
        if max(due, time.monotonic() - began) >= seconds:
            break
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        at = time.perf_counter()
        writer.write(sent[len(took) % len(sent)])
        await _answer(reader)
        took.append(1000 * (time.perf_counter() - at))
    writer.close()
    return took
