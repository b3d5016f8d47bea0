"""An emulator of Google Cloud Storage's API from a package, as a process of this machine; and a test's own buckets."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab import freeports
from tests.support import patience
from tests.support.stores.webserver import Page, WebServer

BUCKET = "models"


@contextmanager
def running(folder: Path, objects: Mapping[str, bytes], host: str = "127.0.0.1") -> Iterator[str]:
    """Its address, with the objects in `BUCKET`."""
    port = freeports.take()
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
            urllib.request.urlopen(
                urllib.request.Request(place, data=body, method="POST"), timeout=patience.HANG_SECONDS
            ).close()
        yield address
    finally:
        emulator.terminate()
        emulator.wait(patience.HANG_SECONDS)


def publish(web: WebServer, objects: Mapping[str, bytes], *, readable: bool = True) -> None:
    """A bucket unlike any real one: with these names, whoever may read its listed objects."""
    items = [
        {"name": name, "size": str(len(body)), "generation": str(number), "crc32c": "AAAAAA=="}
        for number, (name, body) in enumerate(objects.items(), start=1)
    ]
    listed = json.dumps({"kind": "storage#objects", "items": items}).encode()
    web.pages[f"/storage/v1/b/{BUCKET}/o"] = Page(listed, headers={"Content-Type": "application/json"}, ranges=False)
    for item, body in zip(items, objects.values(), strict=True):
        quoted = urllib.parse.quote(item["name"], safe="")
        refused = Page(status=403)
        web.pages[f"/download/storage/v1/b/{BUCKET}/o/{quoted}"] = Page(body) if readable else refused
        about = Page(json.dumps(item).encode(), headers={"Content-Type": "application/json"}, ranges=False)
        web.pages[f"/storage/v1/b/{BUCKET}/o/{quoted}"] = about if readable else refused


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=patience.HANG_SECONDS).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
