"""A real Prometheus that scrapes a stand-in for the gateway once a second."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import freeports, gotools
from tests.integration.prometheus.exporter import Exporter
from tests.support import patience
from tests.support.live import kube


def prometheus_binary() -> Path:
    """The one that the lab built."""
    found = gotools.program("prometheus")
    if not found.exists():
        pytest.fail("Prometheus is not built; build it: .venv/bin/python -m lab build prometheus", pytrace=False)
    return found


@contextmanager
def running(config: Path, data: Path, *arguments: str) -> Iterator[str]:
    """The URL of a Prometheus that answers; before that it refuses connections, and then says 503."""
    url = f"http://127.0.0.1:{freeports.take()}"
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
        kube.wait_until(lambda: _is_ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(patience.HANG_SECONDS)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=patience.HANG_SECONDS):
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
def labels() -> dict[str, str]:
    """What they say of it."""
    return {}


@pytest.fixture
def prometheus_url(tmp_path: Path, exporter: Exporter, jobs: tuple[str, ...], labels: dict[str, str]) -> Iterator[str]:
    config = tmp_path / "prometheus.yml"
    target = f"targets: ['127.0.0.1:{exporter.server.server_port}'], labels: {json.dumps(labels)}"
    where = f"static_configs: [{{{target}}}]"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n" + "".join(f"- {{job_name: {job}, {where}}}\n" for job in jobs)
    )
    with running(config, tmp_path / "data") as url:
        yield url
