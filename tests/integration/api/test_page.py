"""The web page before a real API server: tokens of ServiceAccounts, RBAC, lists in pages, and watches."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from kubectl_sluice.adapters import bearer, kubectl
from kubectl_sluice.dashboard.app import application
from kubectl_sluice.dashboard.guard import Guard, TokenDoor
from kubectl_sluice.dashboard.sessions import Sessions
from kubectl_sluice.dashboard.settings import DashboardConfig, DashboardSettings
from lab.apiserver import ApiServer
from sluice_core.api.config import OperatorConfig
from tests.support import connections, patience
from tests.support.live.kube import Kube, Object
from tests.support.simulated import scenarios

NAMESPACES = ("page-a", "page-b")
RBAC = "rbac.authorization.k8s.io"


def model(name: str, namespace: str) -> Object:
    made = scenarios.manifest(name=name)
    return {**made, "metadata": {"name": name, "namespace": namespace}}


def token(kube: Kube, name: str) -> str:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = kube.http.post(f"/api/v1/namespaces/page-a/serviceaccounts/{name}/token", json=request)
    return str(answer.raise_for_status().json()["status"]["token"])


def bind(kube: Kube, name: str, *, namespace: str = "") -> Object:
    """Lets a ServiceAccount of page-a view one namespace, or all."""
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": f"page-{name}", **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "sluice-view"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "page-a"}],
    }
    kube.apply(binding, manager="tests").raise_for_status()
    return binding


@pytest.fixture(scope="module")
def teams(installed: Kube) -> Iterator[Kube]:
    for namespace in NAMESPACES:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        installed.apply(made, manager="tests").raise_for_status()
        for number in range(3):
            installed.apply(model(f"model-of-{namespace}-{number}", namespace), manager="tests").raise_for_status()
    for name in ("everything", "one", "revoked"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "page-a"}}
        installed.apply(account, manager="tests").raise_for_status()
    bind(installed, "everything")
    bind(installed, "one", namespace="page-a")
    yield installed
    for namespace in NAMESPACES:
        installed.http.delete(f"/api/v1/namespaces/{namespace}")


@pytest.fixture
async def app(api_server: ApiServer, teams: Kube, tmp_path: Path) -> AsyncIterator[Guard]:
    cluster = yaml.safe_load(api_server.kubeconfig.read_text())["clusters"][0]["cluster"]
    authorities = tmp_path / "ca.crt"
    authorities.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    door = TokenDoor(
        Sessions(bearer.ApiServer(cluster["server"], authorities).connect),
        DashboardSettings(DashboardConfig(), OperatorConfig()),
    )
    yield application(door, DashboardSettings(DashboardConfig(), OperatorConfig()))
    await door.close()
    await connections.all_ended()


def client(app: Guard, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page", headers=headers)  # type: ignore[arg-type]


async def shows(browser: httpx.AsyncClient, path: str, text: str) -> bool:
    for _ in range(round(20 * patience.HANG_SECONDS)):
        if text in (await browser.get(path)).text:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_reader_of_everything_sees_it_page_by_page_and_as_it_changes(
    app: Guard, teams: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubectl, "PAGE_SIZE", 2)
    async with client(app, token(teams, "everything")) as browser:
        assert await shows(browser, "/", "model-of-page-b-2")  # RBAC is seen after a moment
        page = (await browser.get("/")).text
        assert all(f"model-of-{namespace}-{number}" in page for namespace in NAMESPACES for number in range(3))
        assert "system:serviceaccount:page-a:everything" in page
        teams.apply(model("newcomer", "page-b"), manager="tests").raise_for_status()
        assert await shows(browser, "/", ">newcomer</a>")
        # A kind that was just installed is first answered with 429.
        assert await shows(browser, "/models/page-b/newcomer", "newcomer</h1>")
        assert await shows(browser, "/models/page-b/nobody", "Not found")
        assert await shows(browser, "/rules", "<summary>default</summary>")
        assert await shows(browser, "/batches", "<h1>Batches</h1>")


async def test_a_reader_of_one_namespace_gets_no_byte_of_another(app: Guard, teams: Kube) -> None:
    async with client(app, token(teams, "one")) as browser:
        assert await shows(browser, "/?namespace=page-a", "model-of-page-a-0")
        for path in (
            "/",
            "/?namespace=page-a",
            "/?namespace=page-b",
            "/?namespace=page-a+page-b",
            "/batches",
            "/rules",
        ):
            assert "model-of-page-b" not in (await browser.get(path)).text, path
        assert (await browser.get("/models/page-b/model-of-page-b-0")).status_code == 403


async def test_a_token_that_is_none_and_one_that_was_taken_away(app: Guard, teams: Kube) -> None:
    async with client(app, "no.such.token") as browser:
        assert (await browser.get("/")).status_code == 401
    bind(teams, "revoked", namespace="page-a")
    async with client(app, token(teams, "revoked")) as browser:
        assert await shows(browser, "/models/page-a/model-of-page-a-0", "model-of-page-a-0</h1>")
        teams.http.delete("/api/v1/namespaces/page-a/serviceaccounts/revoked").raise_for_status()
        assert await shows(browser, "/models/page-a/model-of-page-a-0", "kubectl create token")
