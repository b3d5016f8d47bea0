"""Which version answers at a model's address, by the Open Inference Protocol V2: one GET, and never an inference.

`adapters.triton` differs: its client returns neither status nor headers, and is too slow to import for a short command.
"""

import ssl
from typing import Any, Final, NamedTuple

import aiohttp

from kubectl_sluice.views.example import Address, ModelMetadata, TensorMetadata
from sluice_core.adapters import deepjson, exchange
from sluice_core.kernel.naming import REVISION_HEADER

MOST_BYTES: Final = 2**20
"""The most bytes of an answer."""
MOST_DIMENSIONS: Final = 64
"""The most dimensions of a tensor; servers take fewer."""


class ModelUnreachable(Exception):
    """Nothing answers at the address; the message says why."""


class V2Answer(NamedTuple):
    """The answer to a request for the model's metadata."""

    status: int
    revision: str
    """The revision that answered; empty where the gateway answered itself, or does not name it."""
    metadata: ModelMetadata | None
    """None where the answer is not metadata: not every server speaks V2."""


async def ask(address: Address, *, timeout_seconds: float) -> V2Answer:
    """Asks a model behind the gateway for its inputs and outputs. Raises `ModelUnreachable`."""
    # Gateways compress on their own; and the client's default context has no authorities (`quick_imports`).
    headers = {"Host": address.host, "Accept-Encoding": "identity"}
    trust = ssl.create_default_context() if address.metadata_url.startswith("https:") else True
    limit = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with aiohttp.ClientSession(timeout=limit) as client:
            answer = await client.get(address.metadata_url, headers=headers, ssl=trust, allow_redirects=False)
            found = read_metadata(answer.status, await _content(answer))
    except TimeoutError as error:
        raise ModelUnreachable(f"{address.gateway} did not answer within {timeout_seconds:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ModelUnreachable(f"{address.gateway} cannot be reached ({str(error) or type(error).__name__})") from error
    return V2Answer(answer.status, answer.headers.get(REVISION_HEADER, ""), found)


def metadata(raw: Any) -> ModelMetadata:
    """The metadata in a protocol's answer. Raises KeyError, TypeError or ValueError for anything else."""
    return ModelMetadata(_text(raw["name"]), _tensors(raw["inputs"]), _tensors(raw["outputs"]))


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    try:
        return await exchange.bounded(answer, MOST_BYTES)
    except exchange.TooLong:
        return b""


def read_metadata(status: int, content: bytes) -> ModelMetadata | None:
    try:
        raw = deepjson.loads(content) if status == 200 else {}
        return metadata(raw)
    except (KeyError, TypeError, ValueError):
        return None


def _tensors(raw: Any) -> tuple[TensorMetadata, ...]:
    return tuple(TensorMetadata(_text(t["name"]), _text(t["datatype"]), _shape(t["shape"])) for t in raw)


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError(f"not a text: {raw!r}")
    raw.encode()  # a lone surrogate cannot be shown
    return raw


def _shape(raw: Any) -> tuple[int, ...]:
    try:
        shape = tuple(int(size) for size in raw)
    except OverflowError as error:
        raise ValueError("a size is not a number") from error
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"more than {MOST_DIMENSIONS} dimensions")
    return shape
