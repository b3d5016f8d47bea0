"""An address that only pods can resolve, taken apart: `http://SERVICE.NAMESPACE[.svc[.DOMAIN]][:PORT][/PATH]`."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""A Service's name (DNS-1035): never a number, as in an IP address."""
NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PATH: Final = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
"""No segment leads up, and nothing needs quoting: it becomes part of a path of the API server."""
PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """A Service of the cluster, and a path behind it."""

    scheme: str
    service: str
    namespace: str
    port: int
    path: str = ""
    """Begins with a slash, and ends without one; empty: the root."""
    host: str = ""
    """The name as it was given."""

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.service}"

    @property
    def proxy_path(self) -> str:
        """The API server's proxy path for it."""
        scheme = "https:" if self.scheme == "https" else ""
        name = f"{scheme}{self.service}:{self.port}"
        return f"/api/v1/namespaces/{self.namespace}/services/{name}/proxy{self.path}"


def parsed(url: str) -> ServiceAddress | None:
    """The Service in the address; None for any other address, or one with parts that a proxy does not pass on."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # malformed brackets or port
        return None
    if parts.scheme not in PORTS or parts.username is not None or parts.query or parts.fragment or port == 0:
        return None
    host = (parts.hostname or "").removesuffix(".")
    service, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    path = parts.path.rstrip("/")
    if domain.split(".")[0] not in ("", "svc") or domain.startswith(".") or rest.endswith("."):
        return None
    if not (SERVICE.fullmatch(service) and NAMESPACE.fullmatch(namespace) and PATH.fullmatch(path)):
        return None
    return ServiceAddress(parts.scheme, service, namespace, port or PORTS[parts.scheme], path, host)
