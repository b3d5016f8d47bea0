"""What waits in a pod of vLLM until its answers are read, before the server is told to stop."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import patience
from tests.support.stores import webserver
from tests.support.stores.webserver import Page, WebServer

SCRIPT = Path("charts/sluice/servers/vllm_drain.py").read_text()
HASTY = SCRIPT.replace("time.sleep(1)", "time.sleep(0.02)")
"""It looks again soon, where a test does nothing between two looks."""


def metrics(running: float, waiting: float = 0.0) -> Page:
    labels = '{engine="0",model_name="chat"}'
    lines = [
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{labels} {running}",
        f"vllm:num_requests_waiting{labels} {waiting}",
        f"vllm:num_requests_waiting_by_reason{labels} 3.0",
    ]
    return Page("\n".join(lines).encode())


@contextmanager
def begun(port: int, *, script: str = HASTY, pause: int = 0, drain: int = 60) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-I", "-c", script, str(port), str(pause), str(drain)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_tests_look_sooner() -> None:
    assert HASTY != SCRIPT


def wait_asked(web: WebServer, times: int) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while len(web.asked) < times:
        assert time.monotonic() < deadline, web.asked
        time.sleep(0.02)


@pytest.mark.parametrize("busy", [metrics(1.0), metrics(0.0, 1.0), Page(b"up 1.0"), Page(status=500)])
def test_it_waits_until_nothing_is_in_progress_and_while_that_cannot_be_seen(busy: Page) -> None:
    with webserver.running() as web:
        web.pages["/metrics"] = busy
        with begun(web.port) as process:
            wait_asked(web, 2)
            assert process.poll() is None
            web.pages["/metrics"] = metrics(0.0)
            assert process.wait(patience.HANG_SECONDS) == 0


def test_a_request_that_is_counted_late_is_waited_for() -> None:
    """A pause between two answers is no end."""
    with webserver.running() as web:
        web.pages["/metrics"] = metrics(0.0)
        with begun(web.port, script=SCRIPT) as process:
            wait_asked(web, 1)
            web.pages["/metrics"] = metrics(1.0)
            wait_asked(web, 4)
            assert process.poll() is None


def test_it_ends_with_the_drain() -> None:
    with webserver.running() as web:
        web.pages["/metrics"] = metrics(1.0)
        with begun(web.port, drain=1) as process:
            assert process.wait(patience.HANG_SECONDS) == 0
        assert web.asked


def test_it_ends_with_its_server() -> None:
    with webserver.running() as web:
        port = web.port
    with begun(port) as process:
        assert process.wait(patience.HANG_SECONDS) == 0


def test_it_leaves_the_gateway_time_to_learn_that_the_pod_goes() -> None:
    with webserver.running() as web, begun(web.port, pause=60) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert web.asked == []
