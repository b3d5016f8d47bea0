"""The emulator of Google Cloud Storage's API that is a package, as a process of this machine."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import patience

BUCKET = "models"
START_SECONDS = 30.0


@contextmanager
def running(folder: Path, objects: Mapping[str, bytes], host: str = "127.0.0.1") -> Iterator[str]:
    """Its address, with the objects in `BUCKET`."""
    with socket.create_server((host, 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", f"--host={host}", f"--port={port}"]
    command += ["--in-memory", f"--default-bucket={BUCKET}"]
    emulator = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://{host}:{port}"
        _wait_for(f"{address}/storage/v1/b/{BUCKET}")
        for name, body in objects.items():
            place = (
                f"{address}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
            )
            urllib.request.urlopen(urllib.request.Request(place, data=body, method="POST"), timeout=10).close()
        yield address
    finally:
        emulator.terminate()
        emulator.wait(10)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + patience.seconds(START_SECONDS)
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
