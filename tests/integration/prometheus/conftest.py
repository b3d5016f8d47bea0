"""A real Prometheus that scrapes a stand-in for the gateway once a second."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import paths
from tests.integration.prometheus.exporter import Exporter


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
    port = free_port()
    process = subprocess.Popen(
        [
            str(prometheus_binary()),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)
