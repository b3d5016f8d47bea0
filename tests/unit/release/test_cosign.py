"""A signature beside an image is over its digest, and gets into a registry as that asks for it."""

import base64
import hashlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest

from lab.processes import LabError
from release import cosign
from release.login import Login

DIGEST: Final = f"sha256:{'0a' * 32}"
BASIC: Final = base64.b64encode(b"releaser:s3cret").decode()
KEYS: Final = {
    "EC": ("ecparam", "-name", "prime256v1", "-genkey", "-noout"),
    "RSA": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
}


@dataclass
class AskingRegistry:
    """A registry that asks for a token, which is given for name and password alone."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    challenge: str = 'Bearer realm="https://auth.example/token",service="registry",scope="repository:team/a:pull,push"'

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            right = request.headers.get("Authorization") == f"Basic {BASIC}"
            assert request.url.params["scope"] == "repository:team/a:pull,push"
            return httpx.Response(200, json={"token": "t"}) if right else httpx.Response(401)
        if request.headers.get("Authorization") != "Bearer t":
            return httpx.Response(401, headers={"WWW-Authenticate": self.challenge})
        path = request.url.path.removeprefix("/v2/team/a/")
        match request.method, path.partition("/")[0]:
            case "HEAD", "manifests":
                return httpx.Response(200, headers={"Docker-Content-Digest": DIGEST})
            case "POST", "blobs":
                return httpx.Response(202, headers={"Location": "/v2/team/a/blobs/uploads/1?state=x"})
            case "PUT", "blobs":
                assert request.url.params["state"] == "x"
                self.blobs[request.url.params["digest"]] = request.content
                return httpx.Response(201)
            case "PUT", "manifests":
                self.manifests[path.removeprefix("manifests/")] = request.content
                return httpx.Response(201)
        return httpx.Response(404)

    def client(self, basic: str = BASIC) -> httpx.Client:
        return httpx.Client(base_url="https://r.example/v2/", auth=Login(basic), transport=httpx.MockTransport(self))


def new_key(kind: str) -> str:
    return subprocess.run(["openssl", *KEYS[kind]], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", KEYS)
def test_it_is_where_cosign_looks_for_it_and_holds(kind: str, tmp_path: Path) -> None:
    registry, key = AskingRegistry(), new_key(kind)
    with registry.client() as client:
        cosign.sign(client, "r.example/team", "a", "1.2.3", key)
    [(tag, text)] = registry.manifests.items()
    assert tag == f"sha256-{'0a' * 32}.sig"
    [layer] = json.loads(text)["layers"]
    body = registry.blobs[layer["digest"]]
    assert {f"sha256:{hashlib.sha256(each).hexdigest()}" for each in registry.blobs.values()} == set(registry.blobs)
    critical = json.loads(body)["critical"]
    assert critical["image"]["docker-manifest-digest"] == DIGEST
    assert critical["identity"]["docker-reference"] == "r.example/team/a"
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "signature").write_bytes(base64.b64decode(layer["annotations"][cosign.ANNOTATION]))
    public = subprocess.run(
        ["openssl", "pkey", "-pubout"], input=key, capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "public").write_text(public)
    held = ["openssl", "dgst", "-sha256", "-verify", "public", "-signature", "signature", "body"]
    subprocess.run(held, cwd=tmp_path, check=True, capture_output=True)


def test_without_the_right_login_nothing_is_signed() -> None:
    registry = AskingRegistry()
    with registry.client(base64.b64encode(b"a:b").decode()) as client, pytest.raises(LabError, match="401"):
        cosign.sign(client, "r.example/team", "a", "1.2.3", new_key("EC"))
    assert not registry.manifests


def test_a_registry_that_wants_a_login_names_the_variables() -> None:
    registry = AskingRegistry(challenge='Basic realm="r"')
    with registry.client("") as client, pytest.raises(LabError, match="set REGISTRY_USER and REGISTRY_PASSWORD"):
        cosign.sign(client, "r.example/team", "a", "1.2.3", new_key("EC"))
