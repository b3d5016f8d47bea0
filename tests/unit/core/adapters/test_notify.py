"""Notices by HTTP, from the Secret to the receiver: real servers on the loopback, one of them in the API server's place."""

import asyncio
import base64
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from sluice.adapters import notify
from sluice.shell.reporting.notifications import Notifications
from sluice.shell.reporting.telemetry import NOISY_LOGGERS, JsonFormatter, Telemetry
from sluice_core.adapters import http, kube
from sluice_core.api.v1alpha1.rolloutpolicy import NotificationFormat
from sluice_core.decide.notify import Delivered, Delivery, NoAddress, SinkRefused, TryAgain
from sluice_core.kernel.plan import Endpoint, Notice
from tests.support import patience
from tests.unit.operator.shell.builders import FakeClock, eventually

TOKEN = "T00-secret-B00"
"""The part of the URL that nobody may see."""


@dataclass
class Surroundings:
    """An API server with Secrets, and a receiver."""

    url: str = ""
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    secret_status: int = 200
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    """(status, headers) in turn; the last one stays."""
    received: list[dict[str, Any]] = field(default_factory=list)

    async def secret(self, request: web.Request) -> web.Response:
        data = self.secrets.get(request.match_info["name"])
        if self.secret_status != 200 or data is None:
            return web.json_response({"kind": "Status"}, status=self.secret_status if data is not None else 404)
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        return web.json_response({"kind": "Secret", "data": encoded})

    async def receive(self, request: web.Request) -> web.Response:
        headers = request.headers
        said = {"type": headers["Content-Type"], "key": headers["Idempotency-Key"]}
        self.received.append({**said, "body": json.loads(await request.read())})
        status, answered = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers=answered)


Given = tuple[Surroundings, notify.HttpNotifier]


@pytest.fixture
async def given(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Given]:
    monkeypatch.setattr(notify, "TIMEOUT_SECONDS", patience.HANG_SECONDS)
    around = Surroundings()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/sluice-system/secrets/{name}", around.secret)
    app.router.add_post(f"/services/{TOKEN}", around.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    around.url = f"{base}/services/{TOKEN}"
    around.secrets["hooks"] = {"url": f"{around.url}\n".encode()}  # files end with a line break
    configuration = Configuration()
    configuration.host = base
    api = kube.Kube(configuration, clock=FakeClock(), identity="sluice-1")
    notifier = notify.HttpNotifier(api, namespace="sluice-system")
    yield around, notifier
    await notifier.close()
    await api.close()
    await runner.cleanup()


def make_notice(number: int = 1, *, format: NotificationFormat = NotificationFormat.SLACK, key: str = "url") -> Notice:
    return Notice(
        Endpoint("slack", format, "hooks", key),
        id=f"id-{number}",
        time="2026-03-01T12:00:00Z",
        reason="Promoted",
        message="",
        warning=False,
        namespace="team",
        model="digits",
    )


async def test_slack_and_cloud_events_as_they_arrive(given: Given) -> None:
    around, notifier = given
    for format in NotificationFormat:
        assert await notifier.send(make_notice(format=format)) == Delivered()
    cloud_event, slack = around.received
    text = {"text": "*team/digits* Promoted"}
    assert slack == {"type": "application/json; charset=utf-8", "key": "id-1", "body": text}
    assert cloud_event["key"] == cloud_event["body"]["id"] == "id-1"
    assert cloud_event["type"] == "application/cloudevents+json; charset=utf-8"
    assert cloud_event["body"]["type"] == "dev.sluice.model.Promoted"


@pytest.mark.parametrize(
    ("status", "headers", "want"),
    [
        (200, {}, Delivered()),
        (204, {}, Delivered()),
        (302, {"Location": "/elsewhere"}, SinkRefused("the endpoint answered 302")),
        (404, {}, SinkRefused("the endpoint answered 404")),
        (400, {}, SinkRefused("the endpoint answered 400")),
        (408, {}, TryAgain("the endpoint answered 408")),
        (429, {"Retry-After": "30"}, TryAgain("the endpoint answered 429", 30.0)),
        (429, {"Retry-After": "Sun, 01 Mar 2026 12:00:00 GMT"}, TryAgain("the endpoint answered 429")),
        (500, {}, TryAgain("the endpoint answered 500")),
        (503, {}, TryAgain("the endpoint answered 503")),
    ],
)
async def test_what_an_answer_means(given: Given, status: int, headers: dict[str, str], want: Delivery) -> None:
    around, notifier = given
    around.answers = [(status, headers)]
    delivery = await notifier.send(make_notice())
    assert type(delivery) is type(want)
    assert getattr(delivery, "after_seconds", None) == getattr(want, "after_seconds", None)
    assert getattr(delivery, "why", "").startswith(getattr(want, "why", ""))
    assert len(around.received) == 1


async def test_nobody_listens(given: Given) -> None:
    around, notifier = given
    around.secrets["hooks"]["url"] = f"http://127.0.0.1:9/services/{TOKEN}".encode()
    assert await notifier.send(make_notice()) == TryAgain("no connection (ConnectError)")


async def test_who_accepts_and_says_nothing_is_left_after_a_while() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody reads
        poster = http.Poster(timeout_seconds=0.1)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(http.Unanswered, match=r"^no answer within 0.1 s$"):
            await poster.post(url, body=b"{}", headers={"Content-Type": "application/json"})
        await poster.close()


@pytest.mark.parametrize(
    ("secrets", "status", "want"),
    [
        pytest.param({}, 200, NoAddress("Secret sluice-system/hooks does not exist; create it"), id="no Secret"),
        pytest.param({"hooks": {"other": b"x"}}, 200, NoAddress("Secret sluice-system/hooks has no key"), id="no key"),
        pytest.param(
            {"hooks": {"url": b"\xff\xfe"}}, 200, NoAddress("Secret sluice-system/hooks: the key"), id="binary"
        ),
        pytest.param(
            {"hooks": {"url": b"hooks.example/x"}}, 200, NoAddress("Secret sluice-system/hooks: the"), id="bare"
        ),
        pytest.param({"hooks": {"url": b"ftp://a/b"}}, 200, NoAddress("Secret sluice-system/hooks: the key"), id="ftp"),
        pytest.param(
            {"hooks": {"url": b"http://a:b/"}}, 200, NoAddress("Secret sluice-system/hooks: the key"), id="port"
        ),
        pytest.param({"hooks": {"url": b""}}, 200, NoAddress("Secret sluice-system/hooks: the key"), id="empty"),
        pytest.param(
            {"hooks": {}}, 403, NoAddress("Secret sluice-system/hooks may not be read; add its name"), id="denied"
        ),
        pytest.param({"hooks": {}}, 503, TryAgain("Secret sluice-system/hooks cannot be read"), id="API server away"),
    ],
)
async def test_no_url(given: Given, secrets: dict[str, dict[str, bytes]], status: int, want: Delivery) -> None:
    around, notifier = given
    around.secrets, around.secret_status = secrets, status
    delivery = await notifier.send(make_notice())
    assert type(delivery) is type(want)
    assert getattr(delivery, "why", "").startswith(getattr(want, "why", "?"))
    assert around.received == []


async def test_a_new_url_counts_at_once(given: Given) -> None:
    around, notifier = given
    right = around.secrets["hooks"]
    around.secrets["hooks"] = {}
    assert isinstance(await notifier.send(make_notice()), NoAddress)
    around.secrets["hooks"] = right
    assert await notifier.send(make_notice()) == Delivered()


async def test_the_whole_way_with_an_endpoint_that_is_ill_for_a_while(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    """503, a rate limit, a lost answer: every notice arrives once and in order, and no log line has the URL."""
    around, notifier = given
    around.answers = [(503, {}), (429, {"Retry-After": "1"}), (502, {}), (200, {})]
    telemetry = Telemetry()
    queue = Notifications(notifier, telemetry, monotonic=asyncio.get_running_loop().time)
    for name in NOISY_LOGGERS:
        caplog.set_level(logging.WARNING, logger=name)
    caplog.set_level(logging.DEBUG)  # last, as it also decides what is captured
    task = asyncio.create_task(queue.run())
    queue.submit([make_notice(number, format=NotificationFormat.CLOUD_EVENTS) for number in (1, 2, 3)])
    assert around.received == []  # nobody waited for it
    delivered = {"notification": "slack", "outcome": "delivered"}
    await eventually(lambda: telemetry.registry.get_sample_value("sluice_notifications_total", delivered) == 3.0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert [each["body"]["id"] for each in around.received] == ["id-1"] * 4 + ["id-2", "id-3"]
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("the endpoint answered 503" in line for line in lines)
    assert [line for line in lines if TOKEN in line] == []
