"""Sends notices by HTTP, to the URL that a Secret in the operator's namespace holds."""

import base64
import binascii
from typing import Final

from sluice_core import errors
from sluice_core.adapters import http, kinds, kube
from sluice_core.decide import notify
from sluice_core.decide.notify import Body, Delivered, Delivery, NoAddress, SinkRefused, TryAgain
from sluice_core.kernel.plan import Endpoint, Notice

TIMEOUT_SECONDS: Final = 10.0
PATIENCE: Final = frozenset({408, 425, 429})
"""Answers below 500 that ask for another try."""
SECRETS: Final = kinds.Resource("v1", "Secret", "secrets")


class HttpNotifier:
    """Implements `ports.Notifier`."""

    def __init__(self, api: kube.Kube, *, namespace: str) -> None:
        """namespace: the operator's own, where the Secrets are."""
        self._api = api
        self._namespace = namespace
        self._poster = http.Poster(TIMEOUT_SECONDS)

    async def close(self) -> None:
        await self._poster.close()

    async def send(self, notice: Notice) -> Delivery:
        # The Secret is read every time, so that a new URL takes effect at once and stays in memory no longer than
        # needed.
        url = await self._url(notice.endpoint)
        if not isinstance(url, str):
            return url
        body = notify.body(notice)
        try:
            receipt = await self._poster.post(url, body=body.content, headers=headers(notice, body))
        except http.Unanswered as error:
            return TryAgain(str(error))
        return delivery(receipt)

    async def _url(self, endpoint: Endpoint) -> str | NoAddress | TryAgain:
        where = f"Secret {self._namespace}/{endpoint.secret}"
        try:
            secret = await self._api.request("GET", SECRETS.path(self._namespace, endpoint.secret))
        except errors.Missing:
            return NoAddress(f"{where} does not exist; create it with the URL under the key {endpoint.key}")
        except errors.Denied:
            return NoAddress(f"{where} may not be read; add its name to notifications.secretNames of the chart")
        except errors.ApiError as error:
            return TryAgain(f"{where} cannot be read: {error}")
        try:
            url = base64.b64decode((secret.get("data") or {})[endpoint.key], validate=True).decode().strip()
        except KeyError:
            return NoAddress(f"{where} has no key {endpoint.key}; add it, or name another one in urlSecretRef.key")
        except (binascii.Error, UnicodeDecodeError):
            return NoAddress(f"{where}: the key {endpoint.key} is not text; put the URL there")
        return (
            url if http.is_url(url) else NoAddress(f"{where}: the key {endpoint.key} is not an http:// or https:// URL")
        )


def headers(notice: Notice, body: Body) -> dict[str, str]:
    """Headers for the body. The key lets a receiver of any format recognise a notice that it already has."""
    return {"Content-Type": body.content_type, "Idempotency-Key": notice.id}


def delivery(receipt: http.Receipt) -> Delivery:
    """What an answer means for the notice."""
    if 200 <= receipt.status < 300:
        return Delivered()
    if receipt.status in PATIENCE or receipt.status >= 500:
        return TryAgain(f"the endpoint answered {receipt.status}", _pause_seconds(receipt.retry_after))
    return SinkRefused(f"the endpoint answered {receipt.status}; check the URL in the Secret, and the format")


def _pause_seconds(retry_after: str) -> float | None:
    """Retry-After in seconds; a date there is rare and left to our own pauses."""
    return float(retry_after) if retry_after.isdecimal() else None
