"""Who may see a page: a reader with a token or, on one's own machine, with the printed key."""

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from kubectl_sluice.dashboard.sessions import ReaderSession, Sessions
from kubectl_sluice.dashboard.settings import DashboardSettings
from sluice_core import errors

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
FORM_BYTES: Final = 32_768
FREE: Final = "/static/"
"""Files open to everyone: they are the same in every cluster."""


class Door(Protocol):
    """Lets readers in."""

    hosts: tuple[str, ...]
    """The accepted Host headers; empty: all."""

    async def session(self, request: Request) -> ReaderSession | None:
        """The request's session; None without a login. Raises errors of `sluice_core.errors`."""
        ...

    async def sweep(self) -> None:
        """Ends expired sessions."""
        ...

    async def close(self) -> None: ...


class TokenDoor:
    """For many readers: by `Authorization`, by a proxy's header where that is trusted, or by the cookie of a login."""

    def __init__(self, sessions: Sessions, settings: DashboardSettings) -> None:
        self.sessions: Final = sessions
        self._settings = settings
        self.hosts: tuple[str, ...] = (settings.host,) if settings.host else ()

    async def session(self, request: Request) -> ReaderSession | None:
        if (token := self._sent(request)) is not None:
            return await self.sessions.of_token(token)
        cookie = request.cookies.get(self.cookie_name(request))
        return await self.sessions.of_id(cookie) if cookie else None

    async def log_in(self, token: str) -> ReaderSession:
        """Begins a session; raises errors of `sluice_core.errors`."""
        return await self.sessions.of_token(token)

    async def sweep(self) -> None:
        await self.sessions.sweep()

    async def close(self) -> None:
        await self.sessions.close()

    def cookie_name(self, request: Request) -> str:
        """Where it is secure, with a prefix that browsers allow only this very host to set."""
        return "__Host-sluice" if self.secure(request) else "sluice"

    def secure(self, request: Request) -> bool:
        return self._settings.secure or request.url.scheme == "https"

    def _sent(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        name = self._settings.page.token_header
        sent = request.headers.get(name, "").strip() if name else ""
        return sent.removeprefix("Bearer ").strip() or None


class LoopbackDoor:
    """For one reader: the printed key works once, and from then on its cookie."""

    def __init__(self, session: ReaderSession, port: int, *, start: str = "/") -> None:
        self._session = session
        self.start: Final = start
        """The first page."""
        self._key: str | None = secrets.token_urlsafe(32)
        self.hosts: tuple[str, ...] = (f"127.0.0.1:{port}", f"localhost:{port}")
        self.cookie: Final = f"sluice-{port}"
        """Cookies ignore ports: another page of this machine must not overwrite it."""

    @property
    def path(self) -> str:
        """The path that opens the page, once."""
        return f"/open/{self._key}"

    def opened(self, key: str) -> str | None:
        """The cookie for the key, which is used up; None for another."""
        if self._key is None or not hmac.compare_digest(self._key.encode(), key.encode()):
            return None
        self._key = None
        return self._session.id

    async def session(self, request: Request) -> ReaderSession | None:
        cookie = request.cookies.get(self.cookie, "")
        return self._session if hmac.compare_digest(cookie.encode(), self._session.id.encode()) else None

    async def sweep(self) -> None:
        """The session ends with the command."""

    async def close(self) -> None:
        await self._session.close()


class Guard:
    """Wraps the whole application: headers on every answer, and no page without a reader."""

    def __init__(self, app: Application, door: Door, refused: Callable[[Request, str, int], Response]) -> None:
        self._app = app
        self._door = door
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                kept = scope["path"].startswith("/static/") and message["status"] == 200
                for name, value in HEADERS.items():
                    headers[name] = "private, max-age=86400" if kept and name == "Cache-Control" else value
            await send(message)

        answer = await self._answer(scope, receive)
        await (answer or self._app)(scope, receive, sent)

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        """The answer in place of a page; None where the page may be shown."""
        request = Request(scope, receive)
        if self._door.hosts and request.headers.get("Host", "") not in self._door.hosts:
            return PlainTextResponse("this page is not served under this name\n", 421)
        if request.method not in ("GET", "HEAD") and not same_origin(request):
            return PlainTextResponse("this form was sent from another page\n", 403)
        try:
            request.state.session = session = await self._door.session(request)
        except errors.Denied as error:
            return self._refused(request, str(error), 401)
        except errors.ApiError as error:
            return self._refused(request, str(error), 503)
        open_to_all = scope["path"].startswith((FREE, "/open/")) or scope["path"] == "/login"
        return None if session is not None or open_to_all else self._refused(request, "", 401)


def same_origin(request: Request) -> bool:
    """Whether the browser says that a form was sent from a page of ours.

    A page without referrers sends `Origin: null`, so the browser must say it in `Sec-Fetch-Site`, which it does over
    https and to this very machine: a token should not be sent over plain http from elsewhere.
    """
    origin, fetched = request.headers.get("Origin", ""), request.headers.get("Sec-Fetch-Site", "")
    ours = urlsplit(origin).netloc == request.headers.get("Host", "-")
    return fetched == "same-origin" and (ours or origin in ("", "null")) if fetched else ours


async def form(request: Request) -> dict[str, str]:
    """The first value of each field; none if the body is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=16)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def local(path: str) -> str:
    """A path of this page; the first page in place of anything else."""
    parts = urlsplit(path)
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return path if safe and path.isprintable() else "/"
