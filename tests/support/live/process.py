"""The operator as a process, against the tests' API server."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from lab import freeports
from tests.support import patience
from tests.support.live.kube import wait_until

REPOSITORY: Final = Path(__file__).resolve().parents[3]
CONFIG: Final = "domain: models.test\nprometheusUrl: http://127.0.0.1:9\n"
LEASE_SECONDS: Final = 6


@dataclass(frozen=True, slots=True)
class OperatorProcess:
    """A running operator, and its ports."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def probe(self, path: str) -> int:
        """Status of a probe; 0 while the port is closed."""
        try:
            return httpx.get(
                f"http://127.0.0.1:{self.port}/{path}", trust_env=False, timeout=patience.HANG_SECONDS
            ).status_code
        except httpx.TransportError:
            return 0

    def metric(self, name: str) -> float:
        """Sum over all series of a metric."""
        text = (
            httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False, timeout=patience.HANG_SECONDS)
            .raise_for_status()
            .text
        )
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    @property
    def refusals(self) -> list[str]:
        """Refused requests (status 403) in its log, without the times, which contain numbers, too."""
        told = (json.dumps({key: value for key, value in row.items() if key != "time"}) for row in self._rows())
        return [each for each in told if re.search(r"\b403\b", each)]

    def writes(self, namespace: str) -> list[str]:
        """Writes for the models of a namespace in its log."""
        rows = (row for row in self._rows() if str(row.get("model", "")).startswith(f"{namespace}/"))
        return [write for row in rows for write in row.get("writes", ())]

    def _rows(self) -> list[dict[str, Any]]:
        """Its log; an incomplete line is left out."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if re.fullmatch(r"\{.*\}", line)]

    def kill(self) -> None:
        """Like a node that vanishes: without a shutdown."""
        self.process.kill()
        self.process.wait(patience.HANG_SECONDS)

    def terminate(self) -> int:
        """Like a kubelet: returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience.HANG_SECONDS)


@contextmanager
def running(
    kubeconfig: Path,
    folder: Path,
    *,
    identity: str = "one",
    arguments: Sequence[str] = (),
    config: str = CONFIG,
    module: str = "sluice.shell.app",
) -> Iterator[OperatorProcess]:
    """Starts an operator and waits until it is ready; it ends with the block. module: the program to run."""
    path = folder / "config.yaml"
    path.write_text(config)
    log = folder / f"{identity}.log"
    port = freeports.take()
    command = [
        *(sys.executable, "-m", module, "--config", path, "--kubeconfig", kubeconfig),
        *("--namespace", "sluice-system", "--identity", identity, "--lease-seconds", LEASE_SECONDS),
        *(
            "--lease-name",
            re.sub(r"[^a-z0-9]+", "-", folder.name.lower()),
            "--liveness-port",
            port,
            "--metrics-port",
            port,
            *arguments,
        ),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    with log.open("wb") as output, log.with_suffix(".out").open("wb") as printed:
        process = subprocess.Popen([str(part) for part in command], env=environment, stdout=printed, stderr=output)
    operator = OperatorProcess(process, port, log)
    try:
        wait_until(lambda: process.poll() is not None or operator.probe("readyz") == 200)
        assert process.poll() is None, log.read_text()
        yield operator
    finally:
        process.kill()
        process.wait(patience.HANG_SECONDS)
