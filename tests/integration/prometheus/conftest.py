"""A real Prometheus that scrapes a stand-in for the gateway once a second."""

import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from lab import paths
from tests.integration.prometheus.exporter import Exporter
from tests.support import kube

READY_SECONDS: Final = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a Prometheus there is nothing to test here."""
    if prometheus_binary() is None:
        here = (item for item in items if Path(__file__).parent in item.path.parents)
        for item in here:
            item.add_marker(pytest.mark.skip(reason="no Prometheus: the lab builds it (make lab-up)"))


def prometheus_binary() -> Path | None:
    """The one that the lab built."""
    return next(iter(sorted((paths.cache() / "tools").glob("prometheus-*/prometheus"))), None)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(config: Path, data: Path, *arguments: str) -> Iterator[str]:
    """The URL of a Prometheus that answers; before that it refuses connections, and then says 503."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(prometheus_binary()),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=error",
        *arguments,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        kube.wait_until(lambda: _is_ready(url), seconds=READY_SECONDS)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=READY_SECONDS):
            return True
    except OSError:
        return False


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    yield from served(Exporter())


def served(exporter: Exporter) -> Iterator[Exporter]:
    """While it can be scraped."""
    thread = threading.Thread(target=exporter.server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    yield exporter
    exporter.server.shutdown()
    thread.join()
    exporter.server.server_close()


@pytest.fixture
def jobs() -> tuple[str, ...]:
    """Who scrapes it; a test may have more."""
    return ("gateway",)


@pytest.fixture
def prometheus_url(tmp_path: Path, exporter: Exporter, jobs: tuple[str, ...]) -> Iterator[str]:
    config = tmp_path / "prometheus.yml"
    where = f"static_configs: [{{targets: ['127.0.0.1:{exporter.server.server_port}']}}]"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n" + "".join(f"- {{job_name: {job}, {where}}}\n" for job in jobs)
    )
    with running(config, tmp_path / "data") as url:
        yield url
