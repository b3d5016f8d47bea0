"""The surroundings for measuring the web page: `python -m tests.benchmarks.pageworld api` is an API server with large
pods, and `… page URL` this checkout's page in front of it. Each prints its address."""

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import Final

import uvicorn

from kubectl_sluice.adapters.bearer import ApiServer
from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import TokenDoor
from kubectl_sluice.dashboard.sessions import Sessions
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from sluice_core.api.config import OperatorConfig

SESSIONS: Final = 4
PODS: Final = 5
LABEL_BYTES: Final = 1_400_000
ATTACKER: Final = "attacker-{}"
OTHER: Final = "other"


async def api() -> None:
    """Two models, one of them with pods whose labels are as large as the API server stores."""
    from tests.support.live import tokenapi  # keeps the tests' imports out of the page
    from tests.support.live.tokenapi import Reader, TokenApi
    from tests.unit.plugin.dashboard import objects

    readers = {ATTACKER.format(number): Reader("attacker") for number in range(SESSIONS)} | {OTHER: Reader("other")}
    owner = {"sluice.dev/model-deployment": "digits", "sluice.dev/revision": "digits-1111111111"}
    labels = {f"{number:x}": "" for number in range(LABEL_BYTES // 10)} | owner
    pods = [
        {"kind": "Pod", "metadata": {"name": f"digits-{number}", "namespace": "team-a", "labels": labels}, "spec": {}}
        for number in range(PODS)
    ]
    async with tokenapi.running(TokenApi(readers, [*objects.two_namespaces(), *pods])) as found:
        print(found.address, flush=True)
        await asyncio.Event().wait()


def page(address: str) -> None:
    found = DashboardSettings(DashboardConfig(), OperatorConfig())
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        port = listener.getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)
        app = application(TokenDoor(Sessions(ApiServer(address, None).connect), found), found)
        uvicorn.Server(server.configuration(app, host="127.0.0.1", port=port)).run(sockets=[listener])


def main(arguments: Sequence[str]) -> None:
    if arguments[0] == "api":
        asyncio.run(api())
    else:
        page(arguments[1])


if __name__ == "__main__":
    main(sys.argv[1:])
