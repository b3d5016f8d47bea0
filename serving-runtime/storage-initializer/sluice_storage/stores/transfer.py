"""Fetches one file over HTTP: with redirects, and resumed where the connection was lost.

GET Range: bytes=0-0 --> size, validator (strong ETag, otherwise Last-Modified) GET --> bytes, cut off after n GET
Range: bytes=n-, If-Range --> 206: the rest 200: the file changed, or the server does not support ranges here: from the
beginning
"""

import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from sluice_storage import addresses, failures
from sluice_storage.console import megabytes, say
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.tree import Allowance

PART: Final = ".part"
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
PAUSES_SECONDS: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)  # between attempts without progress; then it gives up
CHUNK_BYTES: Final = 1 << 20
MAXIMUM_REDIRECTS: Final = 10
DOCUMENT_BYTES: Final = 32 << 20

T = TypeVar("T")

_PASSING: Final = {408, 425, 429, 500, 502, 503, 504}
_CONTENT_RANGE: Final = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on a server."""

    url: str
    shown: str
    """Its name in messages: URLs may carry signatures."""
    advice: str
    """The remedy when the server refuses."""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """The server's facts about the file."""

    size: int | None
    etag: str = ""
    modified: str = ""
    immutable: bool = False
    """Whether the address identifies the content, so that no condition is needed."""

    @property
    def continues(self) -> bool:
        return self.immutable or bool(self.validator)

    @property
    def condition(self) -> dict[str, str]:
        """The condition of a request for a part."""
        return {} if self.immutable else {"If-Range": self.validator}

    @property
    def validator(self) -> str:
        """For If-Range, which takes strong ETags only; empty: a started download cannot be resumed."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    @property
    def version(self) -> str:
        return self.etag or (f"{self.modified} {self.size}" if self.modified else "")


@dataclass(frozen=True, slots=True)
class Page:
    """A small document."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(Exception):
    """Another attempt may succeed."""


class Adapter(requests.adapters.HTTPAdapter):
    """Checks every request of a session, including redirects: allowed addresses, bounded answers."""

    def __init__(self, *, reads_errors: bool = False) -> None:
        """reads_errors: whether the client reads the bodies of failures."""
        super().__init__()
        self._reads_errors = reads_errors

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *more: Any, **options: Any
    ) -> requests.Response:
        addresses.require_allowed(urlsplit(request.url or "").hostname or "")
        response = super().send(request, stream, *more, **options)
        if response.is_redirect:
            response._content = b""  # type: ignore[attr-defined]  # which requests reads to its end, if it has one
            response.close()
        elif not stream or (self._reads_errors and response.status_code >= 400):
            response._content, response._content_consumed = whole(response), True  # type: ignore[attr-defined]
        return response


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and resp.url.startswith("https://") and urljoin(resp.url, target).startswith("http://"):
            raise DownloadError(
                Reason.DOWNLOAD_FAILED,
                f"{_without_query(resp.url)} redirects to an address without encryption; use an https:// address",
            )
        return target


def new_session() -> requests.Session:
    session = _Session()
    session.max_redirects = MAXIMUM_REDIRECTS
    lend_adapter(session, Adapter())
    return session


def lend_adapter(session: requests.Session, adapter: Adapter) -> None:
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)


def whole(response: requests.Response) -> bytes:
    """An answer that a client keeps in memory."""
    try:
        body: bytes = response.raw.read(DOCUMENT_BYTES + 1, decode_content=True)
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    if len(body) > DOCUMENT_BYTES:
        response.close()
        raise too_long(response.url)
    return body


def too_long(url: str) -> DownloadError:
    return DownloadError(
        Reason.DOWNLOAD_FAILED, f"{_without_query(url)}: the store's answer is too long to be read; is it a store?"
    )


def ask(session: requests.Session, remote: Remote) -> Told:
    """The server's facts about the file, from fetching its first byte: signed URLs are often not valid for HEAD."""
    return _patiently(lambda: _asked(session, remote), lambda: 0, remote)


def fetch(session: requests.Session, remote: Remote, told: Told, target: Path, allowance: Allowance) -> Told:
    """Downloads the file to `target`, resuming `target`.part if it exists, and returns the server's facts.

    Makes no request where `target` is complete.
    """
    allowance.take_entry()
    if target.exists():
        allowance.take(_size(target))
        return told
    part = target.with_name(target.name + PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    if not told.continues:
        part.unlink(missing_ok=True)
    got = _patiently(lambda: _received(session, remote, told, part, allowance), lambda: _size(part), remote)
    allowance.take(_size(part))
    part.rename(target)
    return got


def read(session: requests.Session, remote: Remote, *, also: frozenset[int] = frozenset()) -> Page:
    """A small document. also: further statuses that are not failures here, beside success."""
    return _patiently(lambda: _read(session, remote, also), lambda: 0, remote)


def _read(session: requests.Session, remote: Remote, also: frozenset[int]) -> Page:
    with _answer(session, remote, {}, also) as response:
        try:
            body = response.raw.read(DOCUMENT_BYTES + 1, decode_content=False)
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise Lost(f"the connection was lost ({cause(error)})") from None
        if len(body) > DOCUMENT_BYTES:
            raise DownloadError(Reason.DOWNLOAD_FAILED, f"{remote.shown}: the server's answer is too long to be read")
        return Page(response.status_code, response.headers, body)


def _patiently(attempt: Callable[[], T], gained: Callable[[], int], remote: Remote) -> T:
    """Tries until it works, or several attempts in a row make no progress."""
    furthest, pauses = gained(), list(PAUSES_SECONDS)
    while True:
        try:
            return attempt()
        except Lost as lost:
            if gained() > furthest:
                furthest, pauses = gained(), list(PAUSES_SECONDS)
            if not pauses:
                raise _given_up(remote, furthest, lost) from lost
            say(f"  {remote.shown}: {lost}, at {megabytes(gained())}; trying again in {pauses[0]:.0f} s")
            time.sleep(pauses.pop(0))


def _given_up(remote: Remote, have: int, lost: Lost) -> DownloadError:
    if have:
        return DownloadError(
            Reason.DOWNLOAD_INTERRUPTED,
            f"{remote.shown}: {lost} after {megabytes(have)}, {len(PAUSES_SECONDS) + 1} times without progress; "
            "the next attempt continues there; check the server and the network",
        )
    return DownloadError(
        Reason.STORE_UNREACHABLE,
        f"{remote.shown}: {lost}; check the address in spec.model.uri or its Secret, the server, and the network",
    )


def _asked(session: requests.Session, remote: Remote) -> Told:
    with _answer(session, remote, {"Range": "bytes=0-0"}) as response:
        return _told(response)


def _received(session: requests.Session, remote: Remote, told: Told, part: Path, allowance: Allowance) -> Told:
    have = _size(part)
    if have and have == told.size:
        return told
    wanted = {"Range": f"bytes={have}-", **told.condition} if have and told.continues else {}
    with _answer(session, remote, wanted) as response:
        start = _start(response)
        if response.status_code == 416 or start not in (0, have):
            part.unlink(missing_ok=True)
            raise Lost("the server sent a different part from the one requested")
        if have:
            say(
                f"  {remote.shown}: continued at {megabytes(start)}"
                + ("" if start else ": the file changed, or the server does not support ranges")
            )
        got = _told(response)
        try:
            _store(response, part, start, allowance)
        except Lost:
            if not told.immutable and got.validator != told.validator:
                part.unlink()  # of another version, which must not be resumed with this one
            raise
    if got.size is not None and _size(part) != got.size:
        raise Lost("the connection ended early")
    return got


def _store(response: requests.Response, part: Path, start: int, allowance: Allowance) -> None:
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        try:
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                if file.tell() + len(chunk) > allowance.size:  # endless answers, too
                    raise allowance.excess
                file.write(chunk)
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise Lost(f"the connection was lost ({cause(error)})") from None


@contextmanager
def _answer(
    session: requests.Session, remote: Remote, headers: Mapping[str, str], also: frozenset[int] = frozenset()
) -> Iterator[requests.Response]:
    try:
        response = session.get(
            remote.url,
            headers={**remote.headers, "Accept-Encoding": "identity", **headers},
            stream=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
    except requests.exceptions.SSLError as error:
        raise DownloadError(
            Reason.STORE_UNREACHABLE,
            f"{remote.shown}: its certificate is not accepted ({cause(error)}); check the host",
        ) from None
    except (addresses.AddressRefused, requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        refused = addresses.refused_in(error)
        if refused is not None:
            raise failures.not_allowed(remote.shown, refused) from None
        raise Lost(f"no connection ({cause(error)})") from None
    except (requests.exceptions.RequestException, ValueError) as error:  # its text may quote the URL or a header
        raise DownloadError(
            Reason.DOWNLOAD_FAILED, f"{remote.shown}: {type(error).__name__}; check spec.model.uri and its Secret"
        ) from None
    with response:
        refusal = None if response.status_code in also else _refusal(response, remote)
        if refusal is not None:
            raise refusal
        yield response


def _refusal(response: requests.Response, remote: Remote) -> Exception | None:
    status = response.status_code
    if status in (200, 206, 416):
        return None
    if status in (404, 410):
        return DownloadError(Reason.OBJECT_NOT_FOUND, f"{remote.shown} does not exist; check spec.model.uri")
    if status in (401, 403, 407):
        return DownloadError(Reason.ACCESS_DENIED, f"{remote.shown} is not readable (HTTP {status}); {remote.advice}")
    if status in _PASSING:
        return Lost(f"the server answered HTTP {status}")
    return DownloadError(
        Reason.DOWNLOAD_FAILED, f"{remote.shown}: the server answered HTTP {status}; see the server's log"
    )


def _told(response: requests.Response) -> Told:
    headers = response.headers
    ranges = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    length = ranges[2] if ranges else headers.get("Content-Length", "")
    return Told(
        size=int(length) if _LENGTH.fullmatch(length) else None,
        etag=headers.get("ETag", ""),
        modified=headers.get("Last-Modified", ""),
    )


def _start(response: requests.Response) -> int:
    """The first byte of the answer."""
    ranges = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(ranges[1]) if response.status_code == 206 and ranges and ranges[1] else 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def cause(error: BaseException) -> str:
    """The innermost cause, without the URL that requests puts into its texts."""
    link: BaseException | None = error
    said = "closed by the other side"
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            said = link.strerror
        elif isinstance(link, (socket.timeout, urllib3.exceptions.TimeoutError, requests.exceptions.Timeout)):
            said = "no answer in time"
        inner = getattr(link, "reason", None) or (link.args[-1] if link.args else None)
        link = inner if isinstance(inner, BaseException) else link.__cause__ or link.__context__
    return said


def _without_query(url: str) -> str:
    return url.partition("?")[0]
