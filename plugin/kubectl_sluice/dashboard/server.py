"""`sluice-dashboard`: the page in a cluster, for many readers. It has no token, and asks each reader for one."""

import argparse
import asyncio
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn

from kubectl_sluice.adapters.bearer import ApiServer
from kubectl_sluice.dashboard import settings
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import TokenDoor
from kubectl_sluice.dashboard.sessions import Sessions
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings, UnusableSettings
from sluice_core import errors
from sluice_core.adapters.connections import BACKLOG, BoundedProtocol
from sluice_core.adapters.listener import Listener, Read, Representation
from sluice_core.api.config import OperatorConfig

PORT: Final = 8080
HEALTH_PORT: Final = 8081


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until it is stopped."""
    given = _parser().parse_args(arguments)
    try:
        found = settings_of(given.config, given.operator_config, given.prometheus_credentials)
        server = ApiServer.of_pod()
        listeners = [listening(port) for port in (given.port, given.health_port)]
    except (UnusableSettings, errors.NoCluster, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    asyncio.run(serve(server, found, *listeners))
    return 0


async def serve(server: ApiServer, found: DashboardSettings, page: socket.socket, health: socket.socket) -> None:
    """Runs until a signal; health: shows the kubelet that this process lives, however busy the page is."""
    host, port = page.getsockname()[:2]
    app = application(TokenDoor(Sessions(server.connect), found), found)
    probes = await Listener.begin(health, PROBES)
    try:
        await uvicorn.Server(configuration(app, host=host, port=port)).serve(sockets=[page])
    finally:
        await probes.close()


async def _lives(_: str) -> Representation:
    return Representation(b"ok\n")


PROBES: Final[Mapping[str, Read]] = {"/healthz": _lives}


def settings_of(page: Path, operator: Path, credentials: Path) -> DashboardSettings:
    """From files; raises `UnusableSettings`."""
    own: DashboardConfig = settings.read(page, DashboardConfig)
    config: OperatorConfig = settings.read(operator, OperatorConfig)
    found = DashboardSettings(own, config, credentials if config.prometheus_secret_name else None)
    _ = found.preset
    return found


def configuration(app: Any, *, host: str, port: int) -> uvicorn.Config:
    """No request log: an address may hold a key. Failures are logged without headers and bodies."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        http=BoundedProtocol,
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=2,
        proxy_headers=False,
        lifespan="on",
    )


def listening(port: int) -> socket.socket:
    return socket.create_server(("0.0.0.0", port), backlog=BACKLOG)  # noqa: S104 - a pod is reached at its own address


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice-dashboard", description="Shows releases in a browser.")
    parser.add_argument(
        "--config", type=Path, default=Path("/etc/sluice-dashboard/dashboard.yaml"), help="settings (YAML)"
    )
    parser.add_argument("--operator-config", type=Path, default=Path("/etc/sluice/config.yaml"), help="the operator's")
    parser.add_argument(
        "--prometheus-credentials",
        type=Path,
        default=Path("/etc/sluice-prometheus"),
        help="folder with the files of the Secret that prometheusSecretName names",
    )
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--health-port", type=int, default=HEALTH_PORT, help="answers /healthz, for the kubelet")
    return parser
