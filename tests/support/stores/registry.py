"""The registry of the CNCF's distribution project, and a way to push images."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from lab import freeports, gotools
from tests.support import patience

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
GZIP: Final = b"\x1f\x8b\x08"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
TAR: Final = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP: Final = f"{TAR}+gzip"


@dataclass(frozen=True)
class Registry:
    host: str
    login: tuple[str, str] | None = None

    def url(self, path: str) -> str:
        return f"http://{self.host}/v2/{path}"

    def blob(self, repository: str, body: bytes) -> dict[str, Any]:
        """Uploads and describes it."""
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        begun = requests.post(self.url(f"{repository}/blobs/uploads/"), auth=self.login, timeout=patience.HANG_SECONDS)
        begun.raise_for_status()
        where = begun.headers["Location"]
        done = requests.put(f"{where}&digest={digest}", data=body, auth=self.login, timeout=patience.HANG_SECONDS)
        done.raise_for_status()
        return {"digest": digest, "size": len(body)}

    def manifest(self, repository: str, tag: str, content: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(content).encode()
        headers = {"Content-Type": content["mediaType"]}
        put = requests.put(
            self.url(f"{repository}/manifests/{tag}"),
            data=body,
            headers=headers,
            auth=self.login,
            timeout=patience.HANG_SECONDS,
        )
        put.raise_for_status()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        return {"mediaType": content["mediaType"], "digest": digest, "size": len(body)}

    def push(self, repository: str, tag: str, *layers: tuple[str, bytes, str]) -> dict[str, Any]:
        """An image of layers (media type, content, title of an artifact's file or empty); returns its description."""
        contents = [gzip.decompress(body) if body.startswith(GZIP) else body for _, body, _ in layers]
        described = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in contents],
            },
        }
        body = json.dumps(described).encode()
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", **self.blob(repository, body)}
        pushed = [
            {
                "mediaType": kind,
                **self.blob(repository, body),
                **({"annotations": {"org.opencontainers.image.title": title}} if title else {}),
            }
            for kind, body, title in layers
        ]
        content = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": pushed}
        return self.manifest(repository, tag, content)


def layer(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return stream.getvalue()


@contextmanager
def running(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    htpasswd: str = "",
    login: tuple[str, str] | None = None,
) -> Iterator[Registry]:
    gotools.ensure("registry")
    port = port or freeports.take()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"{address}:{port}"},
    }
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        config["auth"] = {"htpasswd": {"realm": "models", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    command = [str(gotools.program("registry")), "serve", str(folder / "config.yml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://{address}:{port}/v2/")
        yield Registry(f"{address}:{port}", login)
    finally:
        process.terminate()
        process.wait(patience.HANG_SECONDS)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + patience.HANG_SECONDS
    while True:
        try:
            requests.get(url, timeout=patience.HANG_SECONDS).close()
            return
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
