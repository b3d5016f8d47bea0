"""Prometheus through the API server (`services/proxy`), where the cluster's names do not resolve."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any, Final

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.views.serviceaddress import ServiceAddress
from sluice_core import errors
from sluice_core.adapters import exchange, prometheus
from sluice_judge.model import Answer, Answers, Failed, Question

RESOLVE_SECONDS: Final = 2.0
QUOTED: Final = 200
"""The most characters of a foreign message."""


class NotLetThrough(errors.Denied):
    """The API server does not let us through to the Service; in its words."""


async def is_known_here(address: ServiceAddress) -> bool:
    """Whether the name resolves here, as in a pod."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            return bool(await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):  # the time-out is an OSError
        return False


async def answers(
    cluster: kubectl.Kubectl, address: ServiceAddress, questions: Sequence[Question], moment: float | None = None
) -> Answers:
    """Answers every question at a moment, or now; a failure becomes a `Failed` answer. Raises `NotLetThrough`."""
    moment = time.time() if moment is None else moment
    found = [await _answer(cluster, address, question, moment) for question in questions]
    return {question.key: answer for question, answer in zip(questions, found, strict=True)}


async def _answer(cluster: kubectl.Kubectl, address: ServiceAddress, question: Question, moment: float) -> Answer:
    query = {"query": prometheus.query_of(question), "time": f"{moment:.3f}"}
    try:
        answer = await cluster.ask_service(address, "/api/v1/query", query, at_most_bytes=prometheus.PRESET_BYTES)
    except errors.Denied as error:
        raise NotLetThrough(str(error)) from error
    except errors.ApiError as error:
        return Failed(str(error))
    except exchange.TooLong:
        return _failed(address, f"an answer has more than {prometheus.PRESET_BYTES >> 20} MiB", too_large=True)
    if answer.status in (401, 403):
        return _failed(
            address,
            f"HTTP status {answer.status}: it wants to know who asks, and the API server passes no credentials on; ask "
            "it itself, with --prometheus URL and --prometheus-credentials FOLDER",
        )
    return _read(address, answer)


def _read(address: ServiceAddress, answer: exchange.Answer) -> Answer:
    document: dict[str, Any] = answer.document
    if answer.status >= 400:
        said = document.get("error") or document.get("message") or "without a reason"
        return _failed(address, f"HTTP status {answer.status}: {str(said)[:QUOTED]}")
    try:
        return prometheus.answered(document["data"]["result"])
    except prometheus.NO_ANSWER as error:
        return _failed(address, f"this is not an answer of Prometheus' query API ({error!r})")


def _failed(address: ServiceAddress, what: str, *, too_large: bool = False) -> Failed:
    return Failed(f"{address}, through the API server: {what}", too_large=too_large)
