"""`sluice-dashboard`: the page in a cluster, for many readers. It has no token, and asks each reader for one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvicorn

from sluice import errors
from sluice.adapters.bearer import ApiServer
from sluice.api.config import OperatorConfig
from sluice.dashboard import settings
from sluice.dashboard.app import application
from sluice.dashboard.guard import TokenDoor
from sluice.dashboard.sessions import Sessions
from sluice.dashboard.settings import DashboardConfig, DashboardSettings, UnusableSettings

PORT: Final = 8080
OPEN_AT_ONCE: Final = 1000
"""Connections; more are answered with 503."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until it is told to stop."""
    given = _parser().parse_args(arguments)
    try:
        found = settings_of(given.config, given.operator_config, given.prometheus_credentials)
        server = ApiServer.of_pod()
    except (UnusableSettings, errors.NoCluster) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    door = TokenDoor(Sessions(server.connect), found)
    uvicorn.Server(configuration(application(door, found), host="0.0.0.0", port=given.port)).run()  # noqa: S104
    return 0


def settings_of(page: Path, operator: Path, credentials: Path) -> DashboardSettings:
    """From files; raises `UnusableSettings`."""
    own: DashboardConfig = settings.read(page, DashboardConfig)
    config: OperatorConfig = settings.read(operator, OperatorConfig)
    found = DashboardSettings(own, config, credentials if config.prometheus_secret_name else None)
    _ = found.preset
    return found


def configuration(app: Any, *, host: str, port: int) -> uvicorn.Config:
    """No log of requests: an address may hold a key. What goes wrong is logged, without headers and bodies."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=OPEN_AT_ONCE,
        timeout_graceful_shutdown=2,
        proxy_headers=False,
        lifespan="on",
    )


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
    return parser
