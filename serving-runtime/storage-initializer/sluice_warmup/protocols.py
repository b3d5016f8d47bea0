"""Warm-up requests in each inference protocol: names in, paths and bodies out, nothing sent.

V2        made up from the model's metadata
V1        made up from the metadata of TensorFlow Serving; other servers of V1 have none
OpenAI    made up without any
Native    the user's payload, at the user's or the runtime's path
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

PROTOCOLS: Final = ("V2", "V1", "OpenAI", "Native")
INFER_PATHS: Final[Mapping[str, str]] = {
    "V2": "/v2/models/{model}/infer",
    "V1": "/v1/models/{model}:predict",
}
OPENAI_PATHS: Final[Mapping[str, str]] = {"messages": "/v1/chat/completions", "input": "/v1/embeddings"}
"""By the field that only such a request has."""
COMPLETIONS: Final = "/v1/completions"
METADATA_PATHS: Final[Mapping[str, str]] = {
    "V2": "/v2/models/{model}",
    "V1": "/v1/models/{model}/metadata",
}
"""The path of a model's inputs; a protocol without one needs a payload from the user."""

LARGEST: Final = 16_000_000
"""The most elements of a generated input; more zeros would fill the memory."""
FILLERS: Final[Mapping[str, Any]] = {"BOOL": False, "BYTES": "", "DT_BOOL": False, "DT_STRING": ""}
"""The value for each datatype; for all others 0."""
DEFAULT_SIGNATURE: Final = "serving_default"


class NoPayload(Exception):
    """The metadata are not enough to make a request; the message says what is missing."""


def infer_path(protocol: str, model: str, payload: bytes) -> str:
    """The path of a request; empty where the protocol has none."""
    if protocol == "OpenAI":
        fields = _fields(payload)
        return next((path for field, path in OPENAI_PATHS.items() if field in fields), COMPLETIONS)
    return INFER_PATHS.get(protocol, "").format(model=model)


def completion(model: str) -> bytes:
    """A quick OpenAI request that every language model answers."""
    return json.dumps({"model": model, "prompt": "Hello", "max_tokens": 8}).encode()


def addressed(payload: bytes, model: str) -> bytes:
    """The same OpenAI request to another model of the server; any other stays as it is."""
    try:
        document = json.loads(payload)
    except ValueError:
        return payload
    return json.dumps({**document, "model": model}).encode() if isinstance(document, dict) else payload


def body_of(metadata: Mapping[str, Any]) -> bytes:
    """A V2 inference request of zeros, with one row where the number is open."""
    inputs = metadata.get("inputs")
    if not inputs:
        raise NoPayload("the model's metadata do not name any inputs")
    return json.dumps({"inputs": [_input(entry) for entry in inputs]}).encode()


def body_of_signature(metadata: Mapping[str, Any]) -> bytes:
    """The same in V1, from TensorFlow Serving's signatures of a model."""
    signatures = metadata.get("metadata", {}).get("signature_def", {}).get("signature_def", {})
    name = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in signatures else next(iter(signatures), "")
    inputs = signatures.get(name, {}).get("inputs")
    if not inputs:
        raise NoPayload("the model's metadata name no signature with inputs")
    tensors = {entry: _tensor(entry, inputs[entry]) for entry in inputs}
    return json.dumps({"signature_name": name, "inputs": tensors}).encode()


BODIES: Final[Mapping[str, Callable[[Mapping[str, Any]], bytes]]] = {"V2": body_of, "V1": body_of_signature}


def _input(entry: Mapping[str, Any]) -> dict[str, Any]:
    shape = [max(1, int(size)) for size in entry.get("shape", ())]
    count = _count(str(entry.get("name")), shape)
    datatype = str(entry.get("datatype", ""))
    filler = FILLERS.get(datatype, 0)
    return {"name": entry.get("name"), "shape": shape, "datatype": datatype, "data": [filler] * count}


def _tensor(name: str, entry: Mapping[str, Any]) -> Any:
    """Nested lists, as V1 writes a tensor."""
    about = entry.get("tensor_shape", {})
    if about.get("unknown_rank"):
        raise NoPayload(f"input {name} has no number of dimensions")
    shape = [max(1, int(dimension["size"])) for dimension in about.get("dim", ())]
    _count(name, shape)
    nested: Any = FILLERS.get(str(entry.get("dtype", "")), 0)
    for size in reversed(shape):
        nested = [nested] * size
    return nested


def _count(name: str, shape: list[int]) -> int:
    count = math.prod(shape)
    if count > LARGEST:
        raise NoPayload(f"input {name} of shape {shape} is too large to generate")
    return count


def _fields(payload: bytes) -> frozenset[str]:
    try:
        document = json.loads(payload)
    except ValueError:
        return frozenset()  # the server will report the error
    return frozenset(document) if isinstance(document, dict) else frozenset()
