"""One request to the Kubernetes API, and the error that its answer means; the messages are the caller's."""

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple
from urllib import request
from urllib.parse import urlencode, urlsplit

import aiohttp
from kubernetes.aio.client import Configuration

from sluice_core import errors
from sluice_core.adapters import deepjson
from sluice_core.kernel.rawobjects import Object

REQUEST_SECONDS: Final = 10.0
"""A request without an answer is given up after this time."""
QUOTED: Final = 600
"""Characters quoted from an answer that is not a JSON object."""

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"

ERRORS: Final[Mapping[int, type[errors.ApiError]]] = {
    **dict.fromkeys((400, 405, 413, 415, 422), errors.Refused),
    **dict.fromkeys((401, 403), errors.Denied),
    404: errors.Missing,
    409: errors.Conflict,
}
"""By status; any other failure may be temporary."""


NOT_OF_ITS_KIND: Final = "failed to create typed patch object"
"""Start of the API server's message, with status 500, when a server-side apply has a field or a type of value that the
kind does not have."""
CHUNK_BYTES: Final = 65_536


class NoAnswer(Exception):
    """The API server did not answer; the message says why."""


class TooLong(Exception):
    """The answer is longer than allowed."""


class Answer(NamedTuple):
    """The API server's answer."""

    status: int
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The answer as an object; what is not a JSON object (a proxy's page) becomes its message."""
        try:
            parsed = deepjson.loads(self.content)
        except ValueError:
            return {"message": self.content[:QUOTED].decode(errors="replace")}
        return parsed if isinstance(parsed, dict) else {"message": str(parsed)[:QUOTED]}

    @property
    def is_status(self) -> bool:
        """Whether the API server itself says how the request ended; a proxy in between does not use this form."""
        return self.document.get("kind") == "Status"

    @property
    def causes(self) -> tuple[dict[str, Any], ...]:
        """The API server's objections to the request."""
        return tuple((self.document.get("details") or {}).get("causes") or ())

    @property
    def error(self) -> type[errors.ApiError] | None:
        """The error that it means, whoever sent it; None for success."""
        if self.status < 400:
            return None
        if any(cause.get("reason") == "NamespaceTerminating" for cause in self.causes):
            return errors.Missing
        if self.is_status and str(self.document.get("message", "")).startswith(NOT_OF_ITS_KIND):
            return errors.Refused
        return ERRORS.get(self.status, errors.Unavailable)


def with_proxy(configuration: Configuration) -> Configuration:
    """The configuration with the environment's proxy, if there is one for the API server.

    By default the client looks it up at each request, and reads ~/.netrc, in a thread: one of two writes in the same
    millisecond would wait for it. .netrc is meant for other servers.
    """
    address = urlsplit(configuration.host)
    if configuration.proxy is None and not request.proxy_bypass(address.netloc):
        configuration.proxy = request.getproxies().get(address.scheme)
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration


async def ask(
    client: Any,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Object | None = None,
    content_type: str = JSON,
    accept: str = JSON,
    seconds: float = REQUEST_SECONDS,
    at_most_bytes: float = math.inf,
) -> Answer:
    """The answer, whatever its status. client: the Kubernetes client, which has no types.

    Raises `NoAnswer`, and `TooLong` for an answer of more bytes, whose rest is not read.
    """
    headers = {"Accept": accept, "Content-Type": content_type}
    try:
        response = await _begun(client, method, path, query=query, headers=headers, body=body, seconds=seconds)
        return Answer(response.status, await bounded(response, at_most_bytes))
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {seconds:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


async def follow(
    client: Any, path: str, *, query: Mapping[str, str], seconds: float, at_most_bytes: int
) -> AsyncIterator[Answer]:
    """The lines of a watch as they come, each as an answer; a single answer if the watch is refused.

    seconds: the watch ends after this time in any case. Raises `NoAnswer`, and `TooLong` for a longer line.
    """
    try:
        headers = {"Accept": JSON}
        response = await _begun(client, "GET", path, query=query, headers=headers, body=None, seconds=seconds)
        if response.status >= 400:
            yield Answer(response.status, await bounded(response, CHUNK_BYTES))
            return
        async with response:
            rest = b""
            async for part in response.content.iter_any():
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    yield Answer(response.status, line)
                if len(rest) > at_most_bytes:
                    raise TooLong
    except TimeoutError:
        return
    except (aiohttp.ClientError, OSError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error


async def _begun(
    client: Any,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None,
    headers: dict[str, str],
    body: Object | None,
    seconds: float,
) -> aiohttp.ClientResponse:
    """An answer whose body has not been read."""
    parameters = urlencode({key: value for key, value in (query or {}).items() if value})
    # Only this call adds the credentials and renews expired ones.
    _, url, headers, data, _ = await client.param_serialize(
        method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
    )
    url, limit = (f"{url}?{parameters}" if parameters else url), aiohttp.ClientTimeout(total=seconds)
    answer = await client.call_api(method, url, header_params=headers, body=data, _request_timeout=limit)
    response: aiohttp.ClientResponse = answer.response
    return response


async def bounded(response: aiohttp.ClientResponse, at_most_bytes: float) -> bytes:
    """The body of an answer. Raises `TooLong`."""
    body = bytearray()
    async with response:
        async for part in response.content.iter_chunked(CHUNK_BYTES):
            body += part
            if len(body) > at_most_bytes:
                response.close()
                raise TooLong
    return bytes(body)
