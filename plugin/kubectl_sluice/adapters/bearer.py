"""The Kubernetes API with a reader's bearer token, and with nothing else."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubernetes.aio import client

from kubectl_sluice.adapters import kubectl
from sluice_core import errors
from sluice_core.adapters import exchange

AUTHORITIES: Final = Path("/etc/sluice-authorities/ca.crt")
"""Where the chart mounts the certificate authority of the cluster, which every namespace has, without a token."""
LONGEST: Final = 16_384
"""The most characters of a token: more do not fit into a header."""
MOST_BYTES: Final = 8 * 2**20
"""The most bytes of one answer: in memory it takes many times as much."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A token as RFC 6750 defines it: no line breaks, and nothing else that does not belong in a header."""
CONNECTIONS: Final = 104
"""The most connections of one reader: two for each watched namespace (`fleetwatch`), and some for pages."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The API server's address, and how it must identify itself."""

    address: str
    authorities: Path | None

    @classmethod
    def of_pod(cls, environment: Mapping[str, str] = os.environ) -> "ApiServer":
        """The API server from the environment that every pod has; raises `errors.NoCluster`."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise errors.NoCluster("there is no API server: this is no pod; use kubectl sluice dashboard")
        if not AUTHORITIES.exists():
            raise errors.NoCluster(f"{AUTHORITIES} is missing; mount ca.crt of ConfigMap kube-root-ca.crt there")
        return cls(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", AUTHORITIES)

    def connect(self, token: str) -> kubectl.Kubectl:
        """A connection with this token and no other credentials. Raises `errors.Denied` for a malformed token."""
        if len(token) > LONGEST or not _TOKEN.fullmatch(token):
            raise errors.Denied("this is not a bearer token: one line of letters, digits and - . _ ~ + / =")
        settings = client.Configuration()
        settings.host = self.address
        settings.connection_pool_maxsize = CONNECTIONS
        settings.ssl_ca_cert = str(self.authorities) if self.authorities is not None else None
        settings.api_key = {"BearerToken": f"Bearer {token}"}
        api = client.ApiClient(exchange.with_proxy(settings))
        return kubectl.Kubectl(api, "default", at_most_bytes=MOST_BYTES)
