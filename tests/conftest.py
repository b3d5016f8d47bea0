"""What holds for every test: its verdict is not a matter of this machine's speed, nor of how the run was started."""

import os
import signal
import socketserver

import pytest
from hypothesis import HealthCheck, settings

from tests import coverage
from tests.support import patience, seed

settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("measured", settings.get_profile("sluice"), derandomize=True)
settings.load_profile("sluice")
socketserver.TCPServer.request_queue_size = 1024
"""A busy machine accepts late, and of connections that no queue of five holds the kernel resets some (SYN cookies)."""

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start what runs in the background without it


def pytest_configure(config: pytest.Config) -> None:
    """Measures the machine, which may need more patience than it was started with; the workers take that over.

    Coverage wants the same examples.
    """
    if config.getoption("cov_source", None):
        settings.load_profile("measured")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        workers = config.getoption("numprocesses", None) or 1
        asked = float(os.environ.get(patience.VARIABLE, 1))
        os.environ[patience.VARIABLE] = str(max(asked, patience.measured(workers)))
        seed.of_this_run()


def pytest_report_header() -> list[str]:
    return [
        f"limits of waiting: {patience.factor():g} times those of two calm processors",
        f"random walks: {seed.VARIABLE}={seed.of_this_run()}",
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The time that a whole test may take grows like the limits within it. What coverage is measured in is marked."""
    usual = float(config.getini("timeout"))
    for item in items:
        mark = item.get_closest_marker("timeout")
        limit = patience.seconds(mark.args[0] if mark else usual)
        item.add_marker(pytest.mark.timeout(limit), append=False)
        if coverage.is_measured(item.nodeid):
            item.add_marker(pytest.mark.measured)
