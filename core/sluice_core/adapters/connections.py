"""Limits of time and number for connections. uvicorn sets none for a client that sends half a request or does not read.

    whose turn   client: head or body is not complete, or an answer is not taken   server: it makes the answer
    too long     ended after its limit                                              never: its places are limited
    too many     the address that holds most gives its oldest ones                  stays, on the page

So a flood of half-sent requests evicts itself. Where all clients come through the gateway, its address holds most
connections, but its requests are complete within milliseconds, and then it is the server's turn.

Replaces nothing in uvicorn 0.54; it reads `H11Protocol.conn`, `.connections` and `.client`, which
`tests/unit/core/adapters/test_connections.py` uses as they are.
"""

import math
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

BACKLOG: Final = 2048
"""Connections that wait to be accepted."""
SEND_BYTES: Final = 64 * 1024
"""Bytes of an unread answer that the kernel keeps; by default this grows to some 3 MB of the pod's own memory."""
GIVES: Final = 20
"""Share of that address's connections that is ended at once, one in this many, so that a flood costs little."""
TICK_SECONDS: Final = 1.0


class Exchange(Enum):
    """What a connection waits for."""

    SERVER = auto()
    HEAD = auto()
    BODY = auto()
    READER = auto()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a listener."""

    open_at_once: int
    seconds: Mapping[Exchange, float]
    """How long each turn of a client may take."""
    keeps_answered: bool = True
    """Whether a connection is kept while the server prepares its answer. Without it, many cheap questions keep others
    out.
    """

    def may_end(self, turn: Exchange) -> bool:
        return turn is not Exchange.SERVER or not self.keeps_answered


class BoundedProtocol(H11Protocol):
    """A connection."""

    limits: ClassVar = Limits(1000, {Exchange.HEAD: 10.0, Exchange.BODY: 10.0, Exchange.READER: 30.0})

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self.began = self._since = self.loop.time()
        """When its client's turn began."""
        self._before: tuple[Exchange, Any] = (Exchange.HEAD, None)
        self._tick = self.loop.call_later(TICK_SECONDS, self._look)
        if len(self.connections) > self.limits.open_at_once:
            others = (each for each in self.connections if isinstance(each, BoundedProtocol))
            there = [each for each in others if not each.transport.is_closing()]
            if len(there) > self.limits.open_at_once:
                _make_room(there)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tick.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.began = self.loop.time()
        super().on_response_complete()

    @property
    def turn(self) -> Exchange:
        if self.transport.get_write_buffer_size():
            return Exchange.READER
        if self.conn.their_state is h11.SEND_BODY:
            return Exchange.BODY
        return Exchange.HEAD if self.conn.their_state is h11.IDLE else Exchange.SERVER

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    def _look(self) -> None:
        now, state = self.loop.time(), (self.turn, self.cycle)
        if state != self._before:
            self._before, self._since = state, now
        if now - self._since >= self.limits.seconds.get(self.turn, math.inf):
            self.transport.abort()
        else:
            self._tick = self.loop.call_later(TICK_SECONDS, self._look)


def _make_room(connections: list[BoundedProtocol]) -> None:
    """Ends the oldest connections of the address that holds most; the newest one if it is the server's turn on all
    others.
    """
    waiting = sorted((each for each in connections if each.limits.may_end(each.turn)), key=lambda each: each.began)
    address = Counter(each.address for each in waiting).most_common(1)[0][0]
    own = [each for each in waiting if each.address == address]
    for each in own[: max(1, len(own) // GIVES)]:
        each.transport.abort()
