"""The cluster's page as a process, against an API server of the tests: `python -m tests.support.live.pageprocess
URL`."""

import asyncio
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from kubectl_sluice.adapters.bearer import ApiServer
from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from sluice_core.api.config import OperatorConfig
from tests.support import patience

REPOSITORY = Path(__file__).resolve().parents[3]
AUTHORITIES = ssl.create_default_context()
"""Read once, and not for each client: 20 ms."""
SETTINGS = {"MALLOC_ARENA_MAX": "2", "SSL_CERT_FILE": os.devnull}
"""As in the image; and in a cluster there is one public authority."""


@dataclass(frozen=True, slots=True)
class PageProcess:
    """A running page, and its ports."""

    process: subprocess.Popen[str]
    port: int
    health_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str = "") -> httpx.AsyncClient:
        """A browser or, with a token, a script, without time limits."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=patience.seconds(60),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
            verify=AUTHORITIES,
        )

    async def health(self) -> int:
        """The answer to the kubelet."""
        async with httpx.AsyncClient(timeout=patience.seconds(10), trust_env=False, verify=AUTHORITIES) as kubelet:
            return (await kubelet.get(f"http://127.0.0.1:{self.health_port}/healthz")).status_code

    def mebibytes(self) -> float:
        """The most resident memory so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


@contextmanager
def running(api: str) -> Iterator[PageProcess]:
    """Until the end of the block. api: the API server's address."""
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}", **SETTINGS}
    command = [sys.executable, "-m", "tests.support.live.pageprocess", api]
    with subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield PageProcess(process, *map(int, process.stdout.readline().split()))
        finally:
            process.kill()


if __name__ == "__main__":
    sockets = [server.listening(0), server.listening(0)]
    print(*(each.getsockname()[1] for each in sockets), flush=True)
    found = DashboardSettings(DashboardConfig(), OperatorConfig())
    asyncio.run(server.serve(ApiServer(sys.argv[1], None), found, *sockets))
