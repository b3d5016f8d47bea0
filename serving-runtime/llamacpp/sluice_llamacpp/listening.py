"""The socket for requests. Connections inherit its options."""

import socket


def opened(options):
    """A listening socket for options.host and .port."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.create_server((options.host, options.port), family=family, backlog=2048)
    # The system closes connections whose client reads nothing for this long.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, options.stalled_seconds * 1000)
    # Each token is sent at once. Otherwise, on a connection that a gateway keeps, the second small part of an answer
    # waits until the first is acknowledged, which takes 40 ms. asyncio sets this only for sockets that it opens itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
