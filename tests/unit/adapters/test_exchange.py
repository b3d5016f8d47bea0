"""Which error an answer of the API server means: one mapping for the operator and for a person's commands."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sluice import errors
from sluice.adapters import exchange
from sluice.adapters.exchange import Answer, NoAnswer
from tests.support import patience
from tests.support.badserver import drips

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
            async with asyncio.timeout(patience.seconds(10)):
                await exchange.ask(Client(session), "GET", str(server.make_url("/")), seconds=0.3)
