"""Ports of another network namespace, on this machine's loopback address."""

import contextlib
import ctypes
import os
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

CLONE_NEWNET: Final = 0x40000000
CONNECT_SECONDS: Final = 30.0
CHUNK: Final = 65_536

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """The network namespace of a process. A socket stays in the namespace in which its thread created it."""

    def __init__(self, pid: int) -> None:
        self._theirs = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY)

    def connect(self, port: int) -> socket.socket:
        with self._entered():
            return socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)

    def close(self) -> None:
        os.close(self._theirs)

    def queued(self, port: int) -> Counter[int]:
        """Bytes on their way to this port that no program has read yet, by the port of the connection's client."""
        found: Counter[int] = Counter()
        for row in self._connections():
            local, remote = (int(address.rpartition(":")[2], 16) for address in row[1:3])
            unsent, unread = (int(queue, 16) for queue in row[4].split(":"))
            if remote == port:
                found[local] += unsent
            elif local == port:
                found[remote] += unread
        return found

    def _connections(self) -> list[list[str]]:
        """The rows of /proc/net/tcp and tcp6 (proc_pid_net(5))."""
        with self._entered():
            tables = [Path(f"/proc/thread-self/net/{table}").read_text() for table in ("tcp", "tcp6")]
        return [line.split() for table in tables for line in table.splitlines()[1:]]

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(self._theirs)
            yield
        finally:
            _enter(own)
            os.close(own)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Forward:
    """127.0.0.1:`port` leads to one port of a namespace. A connection refused there is closed here."""

    def __init__(self, namespace: Namespace, port: int) -> None:
        self._namespace = namespace
        self._target = port
        self._sent: Counter[int] = Counter()
        """Bytes to the namespace, by the port of each open connection's client there."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def begun(self) -> int:
        """Open connections of which the server has read something."""
        sent = dict(self._sent)
        queued = self._namespace.queued(self._target)
        return sum(sent[port] > queued[port] for port in sent)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), self._namespace.connect(self._target) as server:
            server.settimeout(None)
            port = server.getsockname()[1]
            try:
                self._exchange(client, server, port)
            finally:
                self._sent.pop(port, None)

    def _exchange(self, client: socket.socket, server: socket.socket, port: int) -> None:
        with selectors.DefaultSelector() as waiting:  # not select(), which fails beyond 1024 open files
            waiting.register(client, selectors.EVENT_READ, server)
            waiting.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in waiting.select():
                    source = client if key.fileobj is client else server
                    data = source.recv(CHUNK)
                    if data:
                        key.data.sendall(data)
                        if source is client:
                            self._sent[port] += len(data)
                    elif source is server:
                        return
                    else:  # the client sends no more, but may still read
                        waiting.unregister(client)
                        server.shutdown(socket.SHUT_WR)
