"""Ports for servers that are told theirs on the command line.

A port that was bound as 0 and closed again is among those that the kernel gives to the next connection of anybody.
These are below that range, and a process has one for itself until it ends.
"""

import random
import socket
from typing import Final

RANGE: Final = range(20_000, 30_000)
"""Below the ports of connections (from 32768 on) and those of Services on nodes (from 30000 on)."""
_taken: list[int] = []
"""Descriptors of sockets at abstract addresses, named after ports: the kernel lets one process have each, and takes it
back when that ends."""


def take() -> int:
    """A port on which nobody listens. Raises OSError where all are taken."""
    for port in random.sample(RANGE, len(RANGE)):
        if _take(port):
            return port
    raise OSError(f"no port is free from {RANGE.start} to {RANGE.stop - 1}")


def _take(port: int) -> bool:
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0sluice-port-{port}")
        with socket.socket() as probe:
            probe.bind(("", port))
    except OSError:
        mark.close()
        return False
    _taken.append(mark.detach())
    return True
