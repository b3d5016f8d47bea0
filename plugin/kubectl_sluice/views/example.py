"""An example request for a model, made from its metadata: a V2 body and a curl to copy."""

import json
import math
import shlex
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

INLINE_VALUES: Final = 256
"""More values than this do not fit a command line that people copy."""


class TensorMetadata(NamedTuple):
    """One input or output of a model."""

    name: str
    datatype: str
    """V2 datatype: BOOL, INT64, FP32, BYTES, …"""
    shape: tuple[int, ...]
    """-1 where any size is accepted."""


class ModelMetadata(NamedTuple):
    """A model's own metadata (Open Inference Protocol V2, `GET /v2/models/NAME`)."""

    name: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class Address(NamedTuple):
    """Where requests go."""

    gateway: str
    """Address to connect to, such as `http://127.0.0.1:8080`."""
    host: str
    """Value of the Host header, by which the gateway finds the model."""
    model: str
    """The served model's name."""

    @property
    def metadata_url(self) -> str:
        return f"{self.gateway.rstrip('/')}/v2/models/{quote(self.model)}"

    @property
    def infer_url(self) -> str:
        return f"{self.metadata_url}/infer"

    def url(self, path: str) -> str:
        return f"{self.gateway.rstrip('/')}{path}"


def host_of(url: str) -> str:
    """The Host header that belongs to a model's URL: `http://digits.default.models.local` → `digits.default…`."""
    return urlsplit(url).netloc


def sample_body(metadata: ModelMetadata) -> dict[str, Any]:
    """A V2 inference request of neutral values; open dimensions become 1."""
    return {"inputs": [_sample_input(tensor) for tensor in metadata.inputs]}


def too_long(metadata: ModelMetadata) -> bool:
    """Whether a sample body does not fit a command line."""
    return sum(math.prod(_concrete(tensor.shape)) for tensor in metadata.inputs) > INLINE_VALUES


def curl_metadata(address: Address) -> str:
    """The command that shows what the model expects."""
    return f"curl -s -H {shlex.quote(f'Host: {address.host}')} {shlex.quote(address.metadata_url)}"


def curl_infer(address: Address, metadata: ModelMetadata) -> str:
    """The command that asks for a prediction; a body that is too long for a command line is read from a file."""
    body = "@body.json" if too_long(metadata) else json.dumps(sample_body(metadata), separators=(",", ":"))
    return " \\\n  ".join(
        (
            f"curl -s -i {shlex.quote(address.infer_url)}",
            f"-H {shlex.quote(f'Host: {address.host}')} -H 'Content-Type: application/json'",
            f"-d {shlex.quote(body)}",
        )
    )


def _concrete(shape: tuple[int, ...]) -> list[int]:
    return [max(size, 1) for size in shape]


def _sample_input(tensor: TensorMetadata) -> dict[str, Any]:
    shape = _concrete(tensor.shape)
    return {
        "name": tensor.name,
        "shape": shape,
        "datatype": tensor.datatype,
        "data": [_neutral(tensor.datatype)] * math.prod(shape),
    }


def _neutral(datatype: str) -> int | bool | str:
    match datatype:
        case "BOOL":
            return False
        case "BYTES":
            return ""
        case _:
            return 0
