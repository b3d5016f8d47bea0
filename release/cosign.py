"""Signatures beside what is pushed, where cosign 2 puts them: whoever admits images to a cluster can ask for them.

    REGISTRY/NAME@sha256:DIGEST        an image, or the chart
    REGISTRY/NAME:sha256-DIGEST.sig    one layer, whose bytes are signed and name the digest; the signature is an annotation

No program is needed for this, and none that could write a transparency log.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from lab import processes
from lab.processes import LabError
from release.bases import ACCEPTED, DIGEST
from release.login import HOSTS, Login
from release.publish import Registry

KIND: Final = "cosign container image signature"
LAYER: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
ANNOTATION: Final = "dev.cosignproject.cosign/signature"
TIMEOUT_SECONDS: Final = 60.0


def sign_all(registry: Registry, names: Mapping[str, str], key: str) -> None:
    """Sign what the registry has. names: by name below its address, the tag. Raises LabError."""
    with client_of(registry) as client:
        for name, tag in names.items():
            try:
                sign(client, registry.address, name, tag, key)
            except httpx.HTTPError as error:
                raise LabError(f"{registry.address}/{name}: cannot be signed: {error}") from error


def client_of(registry: Registry) -> httpx.Client:
    host = registry.address.partition("/")[0]
    kept = json.loads(registry.login.read_text())["auths"].get(host, {})
    base = f"{'http' if registry.plain_http else 'https'}://{HOSTS.get(host, host)}/v2/"
    return httpx.Client(base_url=base, auth=Login(kept.get("auth", "")), timeout=TIMEOUT_SECONDS)


def sign(client: httpx.Client, address: str, name: str, tag: str, key: str) -> None:
    """Put a signature beside what the tag stands for, in place of an earlier one."""
    repository = f"{address.partition('/')[2]}/{name}".lstrip("/")
    digest = _digest(client, repository, tag)
    body = payload(f"{address}/{name}", digest)
    layer = {**_described(LAYER, body), "annotations": {ANNOTATION: base64.b64encode(signature(body, key)).decode()}}
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = json.dumps({"architecture": "", "os": "", "config": {}, "rootfs": rootfs}).encode()
    for each in (config, body):
        _upload(client, repository, each)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _described(CONFIG, config), "layers": [layer]}
    _asked(
        client,
        "PUT",
        f"{repository}/manifests/{digest.replace(':', '-')}.sig",
        content=json.dumps(manifest).encode(),
        headers={"Content-Type": MANIFEST},
    )


def payload(reference: str, digest: str) -> bytes:
    """What is signed."""
    image = {"docker-manifest-digest": digest}
    critical = {"identity": {"docker-reference": reference}, "image": image, "type": KIND}
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def signature(body: bytes, key: str) -> bytes:
    """By a private key (PEM, elliptic or RSA), as `release.signatures` signs the checksums."""
    with tempfile.TemporaryDirectory() as folder:
        signed, result = Path(folder) / "body", Path(folder) / "signature"
        signed.write_bytes(body)
        processes.run(("openssl", "dgst", "-sha256", "-sign", "/dev/stdin", "-out", result, signed), text=key)
        return result.read_bytes()


def _digest(client: httpx.Client, repository: str, tag: str) -> str:
    answer = _asked(client, "HEAD", f"{repository}/manifests/{tag}", headers={"Accept": ACCEPTED})
    digest = str(answer.headers.get("Docker-Content-Digest", ""))
    if not DIGEST.fullmatch(digest):
        raise LabError(f"{repository}:{tag}: its registry answers without a digest")
    return digest


def _described(kind: str, body: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(body), "digest": f"sha256:{hashlib.sha256(body).hexdigest()}"}


def _upload(client: httpx.Client, repository: str, body: bytes) -> None:
    begun = _asked(client, "POST", f"{repository}/blobs/uploads/")
    place = begun.request.url.join(begun.headers["Location"])
    digest = {"digest": f"sha256:{hashlib.sha256(body).hexdigest()}"}
    _asked(client, "PUT", place.copy_merge_params(digest), content=body)


def _asked(client: httpx.Client, method: str, place: str | httpx.URL, **more: Any) -> httpx.Response:
    answer = client.request(method, place, **more)
    if answer.is_error:
        raise LabError(f"{answer.request.url}: the registry answers {answer.status_code}")
    return answer
