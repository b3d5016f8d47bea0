"""Plain HTTP to a model through the gateway."""

import time
from dataclasses import dataclass

import httpx

from sluice.core.naming import REVISION_HEADER


class GatewayUnreachable(Exception):
    """No answer; the message says from where and why."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back."""

    status: int
    revision: str
    """The revision that answered, or empty where the gateway answered itself."""
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
            f"{url} cannot be reached: {error}; give the gateway's address with --gateway"
        ) from error
    return HttpAnswer(
        response.status_code, response.headers.get(REVISION_HEADER, ""), response.text, time.perf_counter() - started
    )
