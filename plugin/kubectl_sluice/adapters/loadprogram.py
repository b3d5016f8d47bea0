"""The load generator: as a text to send, and as a process of this machine."""

import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import resources
from pathlib import PurePath
from typing import Final

from kubectl_sluice import loadgen
from kubectl_sluice.adapters import processes
from kubectl_sluice.loadgen import carried

PACKAGE: Final = loadgen.__name__


def program() -> str:
    """The generator's source, which `python3 -c` runs by itself, here or in a pod."""
    sources = {PACKAGE.partition(".")[0]: "", PACKAGE: "", **dict(_modules())}
    return f"{inspect.getsource(carried)}\n\nrun({PACKAGE!r}, {sources!r})\n"


def _modules() -> Iterator[tuple[str, str]]:
    for file in sorted(resources.files(loadgen).iterdir(), key=lambda each: each.name):
        path = PurePath(file.name)
        if path.suffix == ".py" and path.stem not in ("__init__", "carried"):
            yield f"{PACKAGE}.{path.stem}", file.read_text()


class LocalGenerator:
    """A running generator; `lines` is its output so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace"))

    @property
    def ended(self) -> bool:
        return self._reading.done()

    async def stop(self) -> None:
        await processes.end(self._process)
        await self._reading


@contextlib.asynccontextmanager
async def running(environment: Mapping[str, str]) -> AsyncIterator[LocalGenerator]:
    """Runs the generator with its plan in the environment; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", program()),
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    generator = LocalGenerator(process)
    try:
        yield generator
    finally:
        await generator.stop()
