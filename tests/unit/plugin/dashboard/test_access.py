"""Who gets in, what each answer carries, and what nobody gets."""

import asyncio
import hashlib
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubectl_sluice.dashboard import app as dashboard
from kubectl_sluice.dashboard import server, sessions
from kubectl_sluice.dashboard.guard import HEADERS, local
from sluice_core.adapters.listener import Listener
from tests.unit.plugin.dashboard.conftest import ALL, NOBODY, OF_A, World

PAGES = ("/", "/models/team-a/digits", "/models/team-a/digits/releases/digits-r1", "/batches", "/rules")
RELEASED = {
    "htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "htmx-ext-sse-2.2.4.min.js": "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136",
    "LICENSE-htmx.txt": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    "LICENSE-htmx-ext-sse.txt": "a17d224ce9afdc21ec9491b76a2f5d036d19aa641ac4f85ca29c21f9f7e54fdf",
}
"""Files of the npm packages htmx.org 2.0.11 and htmx-ext-sse 2.2.4."""


def protected(answer: httpx.Response) -> None:
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, (answer.url, name)


@pytest.mark.parametrize("path", [*PAGES, "/events", "/nowhere"])
async def test_without_a_token_there_is_a_page_that_says_how_to_get_one(world: World, path: str) -> None:
    async with world.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    assert "kubectl create token" in answer.text
    assert 'name="token"' in answer.text
    assert world.api.asked == []
    protected(answer)


@pytest.mark.parametrize("token", ["unknown", "two words", "x" * 20_000, "a\tb"])
async def test_a_token_that_is_none_gets_in_nowhere(world: World, token: str) -> None:
    async with world.client(token) as client:
        answer = await client.get("/")
    assert answer.status_code == 401
    assert "team-a" not in answer.text
    assert token not in answer.text
    protected(answer)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_its_headers_and_nothing_inline(world: World, path: str) -> None:
    async with world.client(ALL) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    protected(answer)
    for inline in ("<style", " style=", "onclick=", "<script>", "javascript:", "http://", "https://"):
        assert inline not in answer.text.replace("http://digits.default.models.local", ""), inline


@pytest.mark.parametrize("path", ["/static/style.css", *(f"/static/{name}" for name in RELEASED)])
async def test_what_is_the_same_everywhere_needs_no_token_and_may_be_kept(world: World, path: str) -> None:
    async with world.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "private, max-age=86400"


def test_the_scripts_are_the_published_ones() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dashboard.STATIC.iterdir()}
    assert {name: found[name] for name in RELEASED} == RELEASED
    assert {name for name in found if name.endswith(".js")} < set(RELEASED)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?namespace=team-a",
        "/?namespace=team-b",
        "/?namespace=team-a,team-b",
        "/models/team-b/hidden-model",
        "/models/team-b/hidden-model/releases/hidden-model-r1",
        "/models/team-b/hidden-model/releases/hidden-model-r1/verdict",
        "/models/team-a/hidden-model",
        "/models/team-a/hidden-model/releases/hidden-model-r1",
        "/models/team-a/hidden-model/releases/hidden-model-r1/verdict",
        "/batches?namespace=team-b",
        "/batches/team-b/any",
        "/models/%2e%2e/hidden-model",
        "/models/team-a%3f/digits",
        "/models/team-b%2fmodeldeployments/hidden-model",
    ],
)
async def test_a_reader_of_one_namespace_gets_no_byte_of_another(world: World, path: str) -> None:
    app = world.app()
    async with world.client(ALL, app=app) as everybody:  # whatever is kept for others is kept
        assert "hidden words" in (await everybody.get("/")).text
        await everybody.get(path)
    async with world.client(OF_A, app=app) as client:
        answer = await client.get(path)
    assert "hidden words" not in answer.text
    assert ("hidden-model" in answer.text) <= ("hidden-model" in path)  # what was typed may come back
    assert "GatheringEvidence" not in answer.text or "team-a" in answer.text
    protected(answer)


async def test_a_reader_of_one_namespace_sees_it_by_naming_it(world: World) -> None:
    async with world.client(OF_A) as client:
        first = await client.get("/")
        named = await client.get("/?namespace=team-a")
        both = await client.get("/?namespace=team-a+team-b")
    assert first.status_code == 403
    assert "Which namespace?" in first.text
    assert "digits" in named.text
    assert "faces" in named.text
    assert "as you may not list models there: team-b" in both.text


async def test_a_reader_of_nothing_sees_nothing(world: World) -> None:
    async with world.client(NOBODY) as client:
        for path in PAGES[:4]:
            answer = await client.get(path)
            assert answer.status_code == 403
            assert "GatheringEvidence" not in answer.text


async def test_a_login_begins_a_session_by_cookie_and_ends_with_it(world: World) -> None:
    async with world.client(app=world.app()) as client:
        client.headers["Origin"] = "http://page"
        asked = await client.post("/login", data={"token": ALL, "next": "/models/team-a/digits"})
        assert (asked.status_code, asked.headers["Location"]) == (303, "/models/team-a/digits")
        cookie = asked.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert ALL not in cookie
        assert (await client.get("/")).status_code == 200
        session = client.cookies["sluice"]
        assert (await client.post("/logout")).status_code == 303
        assert (await client.get("/", headers={"Cookie": f"sluice={session}"})).status_code == 401


async def test_a_login_by_https_is_a_secure_cookie_of_this_host_alone(world: World) -> None:
    async with world.client(app=world.app(url="https://page")) as client:
        asked = await client.post("/login", data={"token": ALL}, headers={"Origin": "https://page", "Host": "page"})
    assert asked.headers["Set-Cookie"].startswith("__Host-sluice=")
    assert "Secure" in asked.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://elsewhere"},
        {"Origin": "null"},
        {"Origin": "http://elsewhere", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://page", "Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout"])
async def test_a_form_of_another_page_does_nothing(world: World, path: str, headers: dict[str, str]) -> None:
    async with world.client(ALL if path == "/logout" else "") as client:
        answer = await client.post(path, data={"token": ALL}, headers=headers)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


async def test_a_page_without_referrers_logs_in_by_the_browsers_word(world: World) -> None:
    async with world.client() as client:
        sent = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
        assert (await client.post("/login", data={"token": ALL}, headers=sent)).status_code == 303


async def test_another_name_is_not_answered(world: World) -> None:
    async with world.client(ALL, app=world.app(url="https://page")) as client:
        assert (await client.get("/", headers={"Host": "evil.example"})).status_code == 421
        assert (await client.get("/", headers={"Host": "page"})).status_code == 200


async def test_a_proxys_header_is_believed_only_if_it_is_named(world: World) -> None:
    sent = {"X-Forwarded-Access-Token": ALL}
    async with world.client() as client:
        assert (await client.get("/", headers=sent)).status_code == 401
    async with world.client(app=world.app(tokenHeader="X-Forwarded-Access-Token")) as client:
        assert (await client.get("/", headers=sent)).status_code == 200


async def test_no_log_has_a_token(world: World, caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        async with world.client(ALL) as client:
            for path in (*PAGES, "/nowhere"):
                await client.get(path)
        async with world.client("a-token-that-is-refused") as client:
            await client.get("/")
    shown = caplog.text + "".join(capsys.readouterr())
    assert ALL not in shown
    assert "a-token-that-is-refused" not in shown


async def test_a_token_that_ends_meanwhile_ends_the_session(world: World) -> None:
    async with world.client(app=world.app()) as client:
        await client.post("/login", data={"token": ALL}, headers={"Origin": "http://page"})
        del world.api.readers[ALL]
        answer = await client.get("/models/team-a/digits")
        assert answer.status_code == 401
        assert "does not accept" in answer.text
    assert len(world.doors[-1].sessions) == 0


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/models/a/b?x=1", "/models/a/b?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_nowhere_else(path: str, want: str) -> None:
    assert local(path) == want


def test_templates_switch_escaping_off_for_our_own_pictures_alone() -> None:
    folder = Path(dashboard.__file__).parent / "templates"
    unescaped = {
        path.name for path in folder.iterdir() if "|safe" in path.read_text() or "autoescape" in path.read_text()
    }
    assert unescaped == {"model.html", "verdictpart.html"}


async def test_a_token_is_forgotten_in_time_where_nobody_comes_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "SWEEP_SECONDS", 0.0)
    monkeypatch.setattr(sessions, "IDLE_SECONDS", -1.0)
    await world.client(ALL, app=world.app()).get("/batches")
    kept = world.doors[-1].sessions
    assert len(kept) == 1
    sweeping = asyncio.create_task(dashboard._swept(world.doors[-1]))
    for _ in range(1000):
        await asyncio.sleep(0)
    sweeping.cancel()
    assert len(kept) == 0


async def test_the_health_listener_tells_nothing_else(world: World) -> None:
    probes = await Listener.begin(at := server.listening(0), server.PROBES)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{at.getsockname()[1]}", trust_env=False) as kubelet:
        assert [(await kubelet.get(path)).status_code for path in ("/healthz", "/")] == [200, 404]
    await probes.close()
    async with world.client() as client:
        assert (await client.get("/healthz")).status_code == 401
