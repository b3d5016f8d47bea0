"""A connection from this machine to a pod's port, through `kubectl port-forward`."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from kubectl_sluice.adapters import processes
from sluice_core import errors

FORWARDING: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
START_SECONDS: Final = 20.0
QUOTED: Final = 300


@contextlib.asynccontextmanager
async def forwarded(pod: str, port: int, *, namespace: str, options: Sequence[str]) -> AsyncIterator[int]:
    """The local port that leads to a pod's, through kubectl, which is there wherever its plugin runs.

    options: which cluster, as kubectl takes them. Raises `errors.Unavailable`.
    """
    arguments = ("port-forward", f"pod/{pod}", f":{port}", "--address=127.0.0.1", f"--namespace={namespace}", *options)
    try:
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise errors.Unavailable(f"kubectl cannot be run ({error.strerror}); it must be on the PATH") from error
    try:
        yield await _local_port(process)
    finally:
        await processes.end(process)


async def _local_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    except TimeoutError as error:
        raise errors.Unavailable(f"kubectl port-forward did not connect within {START_SECONDS:.0f} s") from error
    address = FORWARDING.match(line)
    if address is None:
        said = " ".join((line + await process.stderr.read()).decode(errors="replace").split())[:QUOTED]
        raise errors.Unavailable(f"kubectl port-forward failed: {said}; you need create of pods/portforward")
    return int(address[1])
