"""Which addresses may be connected to, whether from a URI, a Secret, a redirect or a registry's challenge.

Names prove nothing: their owner can point one at any address, and at another a second later. So each connection is
checked when it is made, by its actual address, in the one place that all clients use: the socket.
"""

import argparse
import ipaddress
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: Final = (
    ("0.0.0.0/8", "no host's"),
    ("127.0.0.0/8", "a loopback address"),
    ("169.254.0.0/16", "a link-local address, such as that of a cloud's metadata"),
    ("100.100.100.200/32", "that of a cloud's metadata"),
    ("168.63.129.16/32", "that of a cloud's metadata"),
    ("192.0.0.0/24", "that of a cloud's metadata"),
    ("224.0.0.0/3", "no host's"),
    ("::1/128", "a loopback address"),
    ("::/96", "no host's"),
    ("64:ff9b:1::/48", "one of IPv4 that only the network can translate"),
    ("2001::/32", "one of IPv4 behind a tunnel"),
    ("fe80::/10", "a link-local address"),
    ("fd00:ec2::/32", "that of a cloud's metadata"),
    ("fd20:ce::/32", "that of a cloud's metadata"),
    ("ff00::/8", "no host's"),
)
PRIVATE: Final = (
    ("10.0.0.0/8", "a private address"),
    ("172.16.0.0/12", "a private address"),
    ("192.168.0.0/16", "a private address"),
    ("100.64.0.0/10", "a private address"),
    ("198.18.0.0/15", "a private address"),
    ("fc00::/7", "a private address"),
    ("fec0::/10", "a private address"),
)
IDENTITY: Final = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23")
"""Where a provider's own client gets the identity of its pod."""
TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator (NAT64)."""


class AddressRefused(OSError):
    """`strerror` says which, and why."""


@dataclass(frozen=True, slots=True)
class Policy:
    allowed: tuple[Network, ...] = ()
    """In any case."""
    private: bool = True
    """Whether addresses of private networks are allowed, such as those of a cluster's Services."""

    def refusal(self, address: Address) -> str:
        """Why an address is refused; empty: it is allowed."""
        plain = _plain(address)
        if any(plain in network for network in self.allowed):
            return ""
        refused = NEVER if self.private else (*NEVER, *PRIVATE)
        return next((why for network, why in refused if plain in ipaddress.ip_network(network)), "")


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-addresses",
        action="append",
        default=[],
        metavar="NETWORK",
        help="addresses (10.1.0.0/16) that are connected to in any case, even of this machine; may be repeated",
    )
    parser.add_argument(
        "--no-private-addresses",
        dest="private_addresses",
        action="store_false",
        help="connect to addresses of private networks only where they are allowed one by one",
    )


def policy_of(options: argparse.Namespace) -> Policy:
    return Policy(networks(options.allow_addresses), options.private_addresses)


class _Guard:
    """The current rules; outside of `checked` there are none."""

    policy: Policy | None = None
    identity = False
    hooked = False


@contextmanager
def checked(policy: Policy) -> Iterator[None]:
    if not _Guard.hooked:
        sys.addaudithook(_look)
        _Guard.hooked = True
    _Guard.policy = policy
    try:
        yield
    finally:
        _Guard.policy, _Guard.identity = None, False


def allow_identity() -> None:
    """For a source at the provider's own address: its client may ask for the identity of this pod."""
    _Guard.identity = True


def require_allowed(host: str) -> None:
    """Checks a URL's host before the request: a proxy, if any, makes the connection. Raises AddressRefused."""
    address = _numeric(host.strip("[]").rstrip("."))
    if address is not None:
        _require(address)


def refused_in(error: BaseException | None) -> AddressRefused | None:
    """Whether a refused address made a connection fail."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, AddressRefused):
            return error
        seen.add(id(error))
        inner = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    return None


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or _Guard.policy is None:
        return
    connection, address = arguments
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        numeric = _numeric(str(address[0]))
        if numeric is None:
            raise AddressRefused(None, f"{address[0]} is a name, which would be looked up again")
        _require(numeric)


def _require(address: Address) -> None:
    if _Guard.policy is None or (_Guard.identity and str(address) in IDENTITY):
        return
    why = _Guard.policy.refusal(address)
    if why:
        raise AddressRefused(None, f"{address} is {why}")


def _numeric(host: str) -> Address | None:
    """The address that a host denotes in any notation that the system reads: 2852039166 is 169.254.169.254."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
