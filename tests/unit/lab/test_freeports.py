"""Ports that nobody else has, neither a server of another test run nor a connection of anybody."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab import freeports

ROOT = Path(__file__).parents[3]
GIVEN_BACK = re.compile(
    r"with socket\.\w+\(.*\) as (\w+):\n"
    r"(?: +\1\.bind\(.*\)\n)?"
    r"(?P<inside> +)(?:return |\w+ = )(?:int\()?\1\.getsockname\(\)\[1\]\)?\n(?!(?P=inside))"
)
"""A port that the kernel chose, and has again before anybody uses it."""


def test_two_processes_never_have_the_same() -> None:
    program = "from lab import freeports; print(*[freeports.take() for _ in range(200)], flush=True); input()"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    first, second = [{int(port) for port in other.stdout.readline().split()} for other in others if other.stdout]
    for other in others:
        other.communicate("\n")
    assert len(first) == len(second) == 200
    assert not first & second


def test_connections_get_none_of_them() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert freeports.take() < freeports.RANGE.stop <= first


def test_one_on_which_somebody_listens_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    port = freeports.take()
    os.close(freeports._taken.pop())
    monkeypatch.setattr(freeports, "RANGE", range(port, port + 1))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match=f"free from {port} to {port}"):
        freeports.take()
    assert freeports.take() == port


def test_nobody_takes_a_port_from_the_kernel_and_gives_it_back() -> None:
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = [file for file in files.split() if GIVEN_BACK.search((ROOT / file).read_text())]
    assert found == [], "say freeports.take(), or keep the socket"
