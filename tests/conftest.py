"""What holds for every test: its verdict is not a matter of this machine's speed, nor of how the run was started."""

import gc
import os
import signal
import socketserver
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import coverage
from tests.support import seed

settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("random", settings.get_profile("sluice"), derandomize=False)
settings.load_profile("sluice")  # `make test-full` looks for new examples: --hypothesis-profile random
socketserver.TCPServer.request_queue_size = 1024
"""A busy machine accepts late, and of connections that no queue of five holds the kernel resets some (SYN cookies)."""

os.environ["PATH"] += f"{os.pathsep}{Path(__file__).parents[1] / 'build/uv/bin'}"  # where `make setup` puts it
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start what runs in the background without it


def pytest_configure() -> None:
    """The workers take the seed over."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        seed.of_this_run()


def pytest_report_header() -> list[str]:
    return [f"random walks: {seed.VARIABLE}={seed.of_this_run()}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What coverage is measured in is marked."""
    for item in items:
        if coverage.is_measured(item.nodeid):
            item.add_marker(pytest.mark.measured)


def pytest_collection_finish() -> None:
    """Thousands of tests and their modules stay until the end: the garbage collector need not look at them again."""
    gc.collect()
    gc.freeze()
