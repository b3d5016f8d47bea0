"""An object that a command needs for a while: created, watched, and removed whatever happens, even after Ctrl-C.

leftover of an earlier run? ──remove──> create ──> the block ──its end, an error, Ctrl-C, SIGTERM──> delete, wait: gone
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import console
from kubectl_sluice.cli.console import Failure
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.adapters.kinds import Resource
from sluice_core.kernel import commands
from sluice_core.kernel.snapshot import Object

POLL_SECONDS: Final = 0.5
GONE_SECONDS: Final = 120.0
"""How long a deleted object may take to end."""
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)

Say: TypeAlias = Callable[[str], None]
"""What is awaited, for a terminal."""


@dataclass(frozen=True, slots=True)
class TemporaryObject:
    """One object that the command must remove."""

    api: kubectl.Kubectl
    kind: Resource
    namespace: str
    name: str
    say: Say

    @property
    def words(self) -> str:
        return f"{'pod' if self.kind.kind == 'Pod' else self.kind.kind} {self.name}"

    @property
    def deletion(self) -> str:
        """The command for a person."""
        return commands.kubectl("delete", self.kind.kind.lower(), self.name, namespace=self.namespace)

    @contextlib.asynccontextmanager
    async def made(
        self, manifest: Object, *, refusal: Callable[[errors.ApiError], str], keep: bool = False
    ) -> AsyncIterator[None]:
        """Exists as long as the block lasts.

        refusal: the words of a `Failure` where the API server does not create it; keep: whether it stays afterwards.
        """
        self.say(f"creating {self.words}")
        try:
            await self.api.create(self.kind, manifest)
        except (errors.Denied, errors.Refused, errors.Conflict) as error:
            raise Failure(refusal(error)) from error
        except BaseException:
            # It may exist all the same: the answer was lost, or Ctrl-C came first.
            await self.remove()
            raise
        try:
            yield
        finally:
            if keep:
                console.say(f"left in place; to delete it: {self.deletion}")
            else:
                await self.remove()

    async def remove(self) -> bool:
        """Whether it is gone; if not, says how to remove it."""
        self.say(f"removing {self.words}")
        gone = False
        try:
            await self.api.delete(self.kind, self.namespace, self.name)
            gone = await until(self._is_gone, GONE_SECONDS)
        except errors.ApiError as error:
            console.say(f"{self.words} could not be removed: {error}")
        if not gone:
            console.say(f"{self.words} may still be there; remove it: {self.deletion}")
        return gone

    async def remove_leftover(self, maker: str) -> None:
        """Removes what an earlier run left: it was killed, or the API server was away. Raises `Failure`."""
        console.say(f"removing {self.words}, left behind by an earlier {maker}")
        if not await self.remove():
            describe = commands.kubectl("describe", self.kind.kind.lower(), self.name, namespace=self.namespace)
            raise Failure(f"{self.words} of an earlier {maker} is not ending; see why: {describe}")

    async def _is_gone(self) -> bool:
        """Including what it owns, if those are pods."""
        if self.kind.kind != "Pod":
            owned = kubectl.owned_by(self.name)
            return not await self.api.fetch_all(kinds.BY_KIND["Pod"], namespace=self.namespace, selector=owned)
        try:
            await self.api.fetch(self.kind, self.namespace, self.name)
        except errors.Missing:
            return True
        return False


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether a condition became true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if await holds():
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


@contextlib.contextmanager
def ending_as_on_ctrl_c() -> Iterator[None]:
    """Removes the object even when the terminal is closed or a pipeline is cancelled.

    Ctrl-C itself does not help there: a shell's background jobs ignore it.
    """
    loop, task, ended = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

    def end() -> None:
        ended.set()
        if task is not None:
            task.cancel()

    for number in ENDING:
        loop.add_signal_handler(number, end)
    try:
        yield
    except asyncio.CancelledError:
        if ended.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
