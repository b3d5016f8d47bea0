"""One request to the Kubernetes API, and which error its answer means; the words are the caller's."""

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
"""After this long without an answer a request is given up."""
QUOTED: Final = 600
"""Characters of an answer that is no JSON object."""

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"

ERRORS: Final[Mapping[int, type[errors.ApiError]]] = {
    **dict.fromkeys((400, 405, 413, 415, 422), errors.Refused),
    **dict.fromkeys((401, 403), errors.Denied),
    404: errors.Missing,
    409: errors.Conflict,
}
"""By status; any other failure may pass by itself."""


NOT_OF_ITS_KIND: Final = "failed to create typed patch object"
"""How the API server begins, with a 500, what it says of a server-side apply with a field, or a type of value, that the
kind does not have."""
CHUNK_BYTES: Final = 65_536


class NoAnswer(Exception):
    """The API server did not answer; the message says why."""


class TooLong(Exception):
    """The answer has more bytes than it may have."""


class Answer(NamedTuple):
    """What the API server said."""

    status: int
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """As an object; what is no JSON object (a proxy's page) becomes its message."""
        try:
            parsed = deepjson.loads(self.content)
        except ValueError:
            return {"message": self.content[:QUOTED].decode(errors="replace")}
        return parsed if isinstance(parsed, dict) else {"message": str(parsed)[:QUOTED]}

    @property
    def is_status(self) -> bool:
        """Whether the API server itself says how the request ended; a proxy between has no such words."""
        return self.document.get("kind") == "Status"

    @property
    def causes(self) -> tuple[dict[str, Any], ...]:
        """What the API server holds against the request, one by one."""
        return tuple((self.document.get("details") or {}).get("causes") or ())

    @property
    def error(self) -> type[errors.ApiError] | None:
        """Which error it means, whoever says it; None for success."""
        if self.status < 400:
            return None
        if any(cause.get("reason") == "NamespaceTerminating" for cause in self.causes):
            return errors.Missing
        if self.is_status and str(self.document.get("message", "")).startswith(NOT_OF_ITS_KIND):
            return errors.Refused
        return ERRORS.get(self.status, errors.Unavailable)


def with_proxy(configuration: Configuration) -> Configuration:
    """The configuration with the environment's proxy, if there is one for the API server.

    Left to itself the client looks for it anew at each request, and into ~/.netrc, in a thread: of two writes in the same
    millisecond one would wait for it. What .netrc has is for other servers.
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

    Raises `NoAnswer`, and `TooLong` for an answer of more bytes, of which the rest is not read.
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
    """The lines of a watch, each as an answer, as they come; one answer alone where it is not begun.

    seconds: after which it is over in any case. Raises `NoAnswer`, and `TooLong` for a longer line.
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
    """An answer whose body is still to come."""
    parameters = urlencode({key: value for key, value in (query or {}).items() if value})
    # Only this call adds the credentials, and renews them where they have become old.
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
