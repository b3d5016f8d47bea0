"""The web page behind a single sign-on: an issuer over https whom the API server trusts, and the ID token handed on."""

import asyncio
import base64
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kubectl_sluice.adapters import bearer
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import Guard, TokenDoor
from kubectl_sluice.dashboard.sessions import Sessions
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from lab import apiserver
from lab.apiserver import ApiServer
from sluice_core.api.config import OperatorConfig
from tests.integration.conftest import definitions, rendered
from tests.support import connections, patience
from tests.support.live.kube import Kube
from tests.support.stores import webserver
from tests.support.stores.webserver import Page, WebServer

CLIENT = "sluice"
HEADER = "X-Forwarded-Access-Token"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@dataclass
class Issuer:
    """Signs tokens, and says with what key."""

    web: WebServer
    folder: Path

    @property
    def url(self) -> str:
        return self.web.url("").replace("http://", "https://")

    @property
    def key(self) -> Path:
        """What signs tokens; the server's certificate has another one."""
        return self.folder / "signing.pem"

    def publish(self) -> None:
        shown = subprocess.run(
            ["openssl", "rsa", "-in", self.key, "-noout", "-modulus"],
            check=True,
            capture_output=True,
            timeout=patience.HANG_SECONDS,
        )
        modulus = bytes.fromhex(shown.stdout.decode().strip().partition("=")[2])
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": encoded(modulus), "e": "AQAB"}
        discovery = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
        }
        for path, document in {"/.well-known/openid-configuration": discovery, "/keys": {"keys": [key]}}.items():
            headers = {"Content-Type": "application/json"}
            self.web.pages[path] = Page(json.dumps(document).encode(), headers=headers)

    def token(self, *, audience: str = CLIENT, seconds: float = 600, subject: str = "ann") -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": audience, "sub": subject, "iat": now - 60, "exp": now + int(seconds)}
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key],
            input=signed.encode(),
            check=True,
            capture_output=True,
            timeout=patience.HANG_SECONDS,
        )
        return f"{signed}.{encoded(signature.stdout)}"

    def trusted(self) -> dict[str, Any]:
        """What the API server is told of it."""
        authority = (self.folder / "certificate.pem").read_text()
        return {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [
                {
                    "issuer": {"url": self.url, "audiences": [CLIENT], "certificateAuthority": authority},
                    "claimMappings": {"username": {"claim": "sub", "prefix": "sso:"}},
                }
            ],
        }


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    folder = tmp_path_factory.mktemp("issuer")
    _, tls = webserver.certificate(folder, "localhost")
    with webserver.running(tls=tls) as web:
        found = Issuer(web, folder)
        subprocess.run(
            ["openssl", "genrsa", "-out", found.key, "2048"],
            check=True,
            capture_output=True,
            timeout=patience.HANG_SECONDS,
        )
        found.publish()
        yield found


@pytest.fixture(scope="module")
def trusting(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that trusts the issuer, with a model that the issuer's ann may view."""
    folder = tmp_path_factory.mktemp("trusting")
    config = folder / "authentication.yaml"
    config.write_text(yaml.safe_dump(issuer.trusted()))
    server = apiserver.start(folder / "control-plane", flags=[f"--authentication-config={config}"])
    try:
        with Kube.connected(server.kubeconfig) as kube:
            kube.install_crds(definitions())
            [role] = [
                each
                for each in rendered()
                if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "sluice-view"
            ]
            group = "rbac.authorization.k8s.io"
            binding = {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "ann"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "sluice-view"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": "sso:ann"}],
            }
            for each in (role, binding):
                kube.apply(each, manager="tests").raise_for_status()
        yield server
    finally:
        server.stop()


@pytest.fixture
async def page(trusting: ApiServer, tmp_path: Path) -> AsyncIterator[Guard]:
    cluster = yaml.safe_load(trusting.kubeconfig.read_text())["clusters"][0]["cluster"]
    authorities = tmp_path / "ca.crt"
    authorities.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    settings = DashboardSettings(DashboardConfig(token_header=HEADER), OperatorConfig())
    door = TokenDoor(Sessions(bearer.ApiServer(cluster["server"], authorities).connect), settings)
    yield application(door, settings)
    await door.close()
    await connections.all_ended()


async def asked(page: Guard, token: str, *, wanted: int) -> httpx.Response:
    """The answer to a token in a proxy's header, once it has the wanted status: the API server asks the issuer later."""
    transport = httpx.ASGITransport(page)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://page", headers={HEADER: token}) as browser:
        for _ in range(round(5 * patience.HANG_SECONDS)):
            answer = await browser.get("/rules")
            if answer.status_code == wanted:
                break
            await asyncio.sleep(0.2)
    return answer


async def test_the_id_token_is_handed_on(page: Guard, issuer: Issuer) -> None:
    answer = await asked(page, issuer.token(), wanted=200)
    assert answer.status_code == 200
    assert re.search(r">sso:ann<", answer.text)


async def test_a_token_for_another_server_is_refused(page: Guard, issuer: Issuer) -> None:
    assert (await asked(page, issuer.token(), wanted=200)).status_code == 200
    for token in (issuer.token(audience="another"), issuer.token(seconds=-30), issuer.token() + "x"):
        assert (await asked(page, token, wanted=401)).status_code == 401
