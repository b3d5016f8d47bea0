"""The load generator as a process of this machine, through `kubectl port-forward`."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from sluice import errors

FORWARDING: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
START_SECONDS: Final = 20.0
END_SECONDS: Final = 5.0
QUOTED: Final = 300


def program() -> str:
    """The generator's source, which is run by itself, here or in a pod."""
    return Path(__file__).with_name("loadgen.py").read_text()


@contextlib.asynccontextmanager
async def forwarded(pod: str, port: int, *, namespace: str, options: Sequence[str]) -> AsyncIterator[int]:
    """The local port that leads to a pod's; kubectl knows how, and is there wherever a plugin of it is.

    options: which cluster, as kubectl takes them. Raises `errors.Unavailable`.
    """
    arguments = ("port-forward", f"pod/{pod}", f":{port}", "--address=127.0.0.1", f"--namespace={namespace}", *options)
    try:
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise errors.Unavailable(f"kubectl cannot be run ({error.strerror}); put it on the PATH") from error
    try:
        yield await _local_port(process)
    finally:
        await _end(process)


class LocalGenerator:
    """A running generator; `lines` is what it has written so far."""

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
        await _end(self._process)
        await self._reading


@contextlib.asynccontextmanager
async def generating(environment: Mapping[str, str]) -> AsyncIterator[LocalGenerator]:
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


async def _local_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    except TimeoutError as error:
        raise errors.Unavailable(f"kubectl port-forward did not connect within {START_SECONDS:.0f} s") from error
    found = FORWARDING.match(line)
    if found is None:
        said = " ".join((line + await process.stderr.read()).decode(errors="replace").split())[:QUOTED]
        raise errors.Unavailable(f"kubectl port-forward failed: {said}; you need create of pods/portforward")
    return int(found[1])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
