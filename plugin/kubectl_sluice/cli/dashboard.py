"""`kubectl sluice dashboard`: the web page on this machine, with the kubeconfig's credentials, for this user alone."""

import asyncio
import contextlib
import socket
import tempfile
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from urllib.parse import quote

import typer
import uvicorn

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster, installation, metrics
from kubectl_sluice.cli.options import Connection, Credentials, Prometheus
from kubectl_sluice.dashboard import proofs, server
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import LoopbackDoor
from kubectl_sluice.dashboard.sessions import ReaderSession
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings, UnusableSettings

HOST: Final = "127.0.0.1"
REDIRECT: Final = '<!doctype html><title>Sluice</title><meta http-equiv="refresh" content="0;url={url}">\n'

Port: TypeAlias = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="The port to listen on.", show_default="a free one")
]
NoBrowser: TypeAlias = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]


async def show(
    connection: Connection,
    *,
    port: Port = 0,
    no_browser: NoBrowser = False,
    prometheus: Prometheus = None,
    credentials: Credentials = None,
) -> int:
    """Serves the page until Ctrl-C."""
    async with cluster.connected(connection) as api:
        operator = await installation.fetch(api)
        source = metrics.of(
            api, operator, url=prometheus, credentials=credentials, timeout_seconds=proofs.ANSWER_SECONDS
        )
        settings = DashboardSettings(DashboardConfig(), operator.config)
        _require_preset(settings)
        user = await api.fetch_user()
        with contextlib.closing(source), _listening(port) as listener:
            number = listener.getsockname()[1]
            start = f"/?namespace={quote(connection.namespace)}" if connection.namespace else "/"
            door = LoopbackDoor(ReaderSession(user, api), number, start=start)
            url = f"http://{HOST}:{number}{door.path}"
            running = uvicorn.Server(server.configuration(application(door, settings, source), host=HOST, port=number))
            console.say(f"open this address, once: {url}\nCtrl-C ends it")
            with _opened(url) if not no_browser else contextlib.nullcontext():
                await running.serve(sockets=[listener])
    return exits.OK


def _require_preset(settings: DashboardSettings) -> None:
    try:
        _ = settings.preset
    except UnusableSettings as error:
        raise Failure(str(error)) from error


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Listens for this machine only."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise Failure(f"--port: {HOST}:{port} cannot be used: {error.strerror}; choose another one") from error
        yield listener


@contextlib.contextmanager
def _opened(url: str) -> Iterator[None]:
    """Opens the page through a private file: other users of the machine see the arguments of programs."""
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        file = Path(folder) / "open.html"
        file.touch(mode=0o600)
        file.write_text(REDIRECT.format(url=url))
        opening = asyncio.get_running_loop().run_in_executor(None, webbrowser.open, file.as_uri())
        try:
            yield
        finally:
            opening.cancel()
