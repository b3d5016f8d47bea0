"""Plain HTTP: to a model through the gateway, and to receivers of notifications."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from sluice_core.kernel.naming import REVISION_HEADER


class GatewayUnreachable(Exception):
    """No answer; the message says from where and why."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer."""

    status: int
    revision: str
    """The revision that answered; empty if the gateway itself answered."""
    text: str
    seconds: float
    """From the first byte sent to the last byte received."""


async def post_json(url: str, *, host: str, body: bytes, timeout_seconds: float) -> HttpAnswer:
    """Posts a JSON body under the Host header by which the gateway chooses the model."""
    headers = {"Host": host, "Content-Type": "application/json"}
    started = time.perf_counter()
    try:
        async with httpx.AsyncClient(timeout=timeout_seconds) as client:
            response = await client.post(url, content=body, headers=headers)
    except httpx.TimeoutException as error:
        raise GatewayUnreachable(f"{url} did not answer within {timeout_seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise GatewayUnreachable(
            f"{url} cannot be reached: {error}; pass the gateway's address with --gateway"
        ) from error
    return HttpAnswer(
        response.status_code, response.headers.get(REVISION_HEADER, ""), response.text, time.perf_counter() - started
    )


@dataclass(frozen=True, slots=True)
class HttpStream:
    """An answer that has begun."""

    status: int
    revision: str
    """As in HttpAnswer."""
    streamed: bool
    """Whether it is server-sent events."""
    lines: AsyncIterator[str]
    """Ends with `GatewayUnreachable` if the stream breaks off or nothing comes for too long."""


@contextlib.asynccontextmanager
async def streamed_json(url: str, *, host: str, body: bytes, timeout_seconds: float) -> AsyncIterator[HttpStream]:
    """Like `post_json`, line by line as the answer comes. timeout_seconds: the longest time without a byte."""
    headers, begun = {"Host": host, "Content-Type": "application/json"}, False
    try:
        async with (
            httpx.AsyncClient(timeout=timeout_seconds) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            kind, begun = response.headers.get("Content-Type", ""), True
            yield HttpStream(
                response.status_code,
                response.headers.get(REVISION_HEADER, ""),
                kind.startswith("text/event-stream"),
                response.aiter_lines(),
            )
    except httpx.TimeoutException as error:
        raise GatewayUnreachable(f"{url} sent nothing for {timeout_seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        if begun:
            raise GatewayUnreachable(f"{url}: the answer broke off: {error or type(error).__name__}") from error
        raise GatewayUnreachable(
            f"{url} cannot be reached: {error}; pass the gateway's address with --gateway"
        ) from error


class Unanswered(Exception):
    """No answer. The message never contains the URL, or the library's words about it: it may be a credential."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receiver's answer to a message."""

    status: int
    retry_after: str
    """The header Retry-After, or empty."""


class Connections:
    """A client that keeps its connections. It is created on first use, since it loads the public authorities, 2 MiB."""

    def __init__(self, timeout_seconds: float, **options: Any) -> None:
        """options: httpx's."""
        self._timeout_seconds = timeout_seconds
        self._options = options

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=self._timeout_seconds, **self._options)

    async def close(self) -> None:
        if "_client" in vars(self):
            await self._client.aclose()

    @contextlib.asynccontextmanager
    async def _answer(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        """An answer that has begun; reading it has the same time limit. Raises `Unanswered`."""
        client = self._client  # creating it must not use up the answer's time
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),  # httpx limits each read, not their sum
                client.stream(method, url, headers=headers, content=body) as response,
            ):
                yield response
        except (TimeoutError, httpx.TimeoutException):
            raise Unanswered(f"no answer within {self._timeout_seconds:g} s") from None
        except httpx.HTTPError as error:
            raise Unanswered(f"no connection ({type(error).__name__})") from None


class Poster(Connections):
    """Posts messages to addresses that are credentials. Redirects are not followed."""

    def __init__(self, timeout_seconds: float) -> None:
        super().__init__(timeout_seconds)

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """Posts the body; the answer's own body is not read. Raises `Unanswered`."""
        async with self._answer("POST", url, headers, body) as response:
            return Receipt(response.status_code, response.headers.get("Retry-After", ""))


class Reader(Connections):
    """Reads small texts from addresses of the cluster. Redirects are not followed."""

    def __init__(self, timeout_seconds: float) -> None:
        # A few compressed bytes can expand to any number.
        super().__init__(timeout_seconds, trust_env=False, headers={"Accept-Encoding": "identity"})

    async def get(self, url: str, *, at_most_bytes: int, headers: Mapping[str, str] | None = None) -> str:
        """The body of a 200; raises `Unanswered` for any other status and for a body that is longer or compressed."""
        return await self._body("GET", url, at_most_bytes, headers, None)

    async def post(self, url: str, *, body: bytes, at_most_bytes: int, headers: Mapping[str, str]) -> str:
        """Like `get`, for the answer to a message."""
        return await self._body("POST", url, at_most_bytes, headers, body)

    async def _body(
        self, method: str, url: str, at_most_bytes: int, headers: Mapping[str, str] | None, body: bytes | None
    ) -> str:
        async with self._answer(method, url, headers, body) as response:
            if response.status_code != httpx.codes.OK:
                raise Unanswered(f"status {response.status_code}")
            return await _bounded(response, at_most_bytes)


async def _bounded(response: httpx.Response, at_most_bytes: int) -> str:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise Unanswered(f"compressed ({encoding}), which was not asked for")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > at_most_bytes:
            raise Unanswered(f"more than {at_most_bytes} bytes")
    return body.decode(errors="replace")


def is_url(text: str) -> bool:
    """Whether the text is a URL that can be posted to."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
