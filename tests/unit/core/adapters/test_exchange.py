"""Which error an answer of the API server means: one mapping for the operator and for a person's commands."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from sluice_core import errors
from sluice_core.adapters import exchange
from sluice_core.adapters.exchange import Answer, NoAnswer
from tests.support import patience
from tests.support.stores.badserver import drips

TERMINATING = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (200, {}, None),
        (201, {}, None),
        (400, {}, errors.Refused),
        (401, {}, errors.Denied),
        (403, {}, errors.Denied),
        (403, TERMINATING, errors.Missing),
        (404, {}, errors.Missing),
        (405, {}, errors.Refused),
        (409, {}, errors.Conflict),
        (413, {}, errors.Refused),
        (415, {}, errors.Refused),
        (422, {}, errors.Refused),
        (429, {}, errors.Unavailable),
        (500, {}, errors.Unavailable),
        (504, {}, errors.Unavailable),
    ],
)
def test_errors_by_status(status: int, body: Any, want: type[errors.ApiError] | None) -> None:
    assert Answer(status, json.dumps(body).encode()).error is want


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b'{"reason": "NotFound"}', {"reason": "NotFound"}),
        (b"<html>proxy</html>", {"message": "<html>proxy</html>"}),
        (b'["a"]', {"message": "['a']"}),
        (b"x" * 1000, {"message": "x" * 600}),
        (b"\xff", {"message": "\ufffd"}),
    ],
)
def test_every_answer_is_an_object(content: bytes, want: dict[str, Any]) -> None:
    assert Answer(502, content).document == want


class Client:
    """The two methods of the Kubernetes client that an exchange needs, against a server on the loopback."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def param_serialize(self, method: str, path: str, **_: Any) -> tuple[str, str, dict[str, str], None, None]:
        return method, path, {}, None, None

    async def call_api(self, method: str, url: str, **options: Any) -> SimpleNamespace:
        response = await self.session.request(method, url, timeout=options["_request_timeout"])
        return SimpleNamespace(status=response.status, response=response)


async def test_an_answer_that_comes_byte_by_byte_is_given_up_in_time() -> None:
    app = web.Application()
    app.router.add_get("/", drips)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        with pytest.raises(NoAnswer, match="no answer within"):
            async with asyncio.timeout(patience.HANG_SECONDS):
                await exchange.ask(Client(session), "GET", str(server.make_url("/")), seconds=0.3)


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https_proxy": "http://proxy.example:3128", "no_proxy": "cluster.example"}, None),
    ],
)
async def test_the_environment_is_read_once_and_not_at_each_request(
    environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    configuration = exchange.with_proxy(Configuration(host="https://cluster.example:6443"))
    assert configuration.proxy == proxy
    async with ApiClient(configuration) as client:
        session = client.rest_client._create_pool_manager()
        assert not session.trust_env
        await session.close()


def test_a_proxy_of_the_kubeconfig_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    configuration = Configuration(host="https://cluster.example:6443", proxy="http://mine.example:3128")
    assert exchange.with_proxy(configuration).proxy == "http://mine.example:3128"
